package peer

import (
	"context"
	"encoding/binary"
	"fmt"

	"gregor/internal/wire"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// FirstPrivateKey is where the requests begin that only nodes of gregor send to each other. They are never advertised in
// ApiVersions, so they are sent in the version that they have.
const FirstPrivateKey = 26000

// SoftwareName is what a node tells a node of itself (KIP-511).
const SoftwareName = "gregor-node"

type versionRange struct{ min, max int16 }

// negotiate asks what the peer serves. A peer that does not know our version of ApiVersions says so in version 0
// (KIP-511), and is asked again in that.
func (c *Conn) negotiate(ctx context.Context) error {
	resp, err := c.askVersions(ctx, 3)
	if err == nil && resp.ErrorCode == kerr.UnsupportedVersion.Code {
		resp, err = c.askVersions(ctx, 0)
	}
	if err != nil {
		return err
	}
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
		return fmt.Errorf("ApiVersions: %w", err)
	}
	c.versions = make(map[int16]versionRange, len(resp.ApiKeys))
	for _, k := range resp.ApiKeys {
		c.versions[k.ApiKey] = versionRange{k.MinVersion, k.MaxVersion}
	}
	return nil
}

func (c *Conn) askVersions(ctx context.Context, version int16) (*kmsg.ApiVersionsResponse, error) {
	req := versionsRequest{kmsg.NewPtrApiVersionsRequest()}
	req.ClientSoftwareName, req.ClientSoftwareVersion = SoftwareName, "4.3.0"
	req.SetVersion(version)
	resp, err := c.await(ctx, func(done func(kmsg.Response, error)) {
		c.sendAs(req, false, func(resp kmsg.Response, _ *wire.Frame, err error) { done(resp, err) })
	})
	if err != nil {
		return nil, err
	}
	return resp.(versionsResponse).ApiVersionsResponse, nil
}

// versionsRequest is an ApiVersions whose response may be a refusal in version 0.
type versionsRequest struct{ *kmsg.ApiVersionsRequest }

func (r versionsRequest) ResponseKind() kmsg.Response {
	return versionsResponse{r.ApiVersionsRequest.ResponseKind().(*kmsg.ApiVersionsResponse)}
}

type versionsResponse struct{ *kmsg.ApiVersionsResponse }

// look finds a refusal: the error comes first in every version.
func (r versionsResponse) look(body []byte) {
	if len(body) >= 2 && int16(binary.BigEndian.Uint16(body)) == kerr.UnsupportedVersion.Code {
		r.SetVersion(0)
	}
}

// Version is the version of an API that requests are sent in, false if the peer does not serve it.
func (c *Conn) Version(req kmsg.Request) (int16, bool) {
	v, err := c.version(req)
	return v, err == nil
}

// version is the highest that both sides know.
func (c *Conn) version(req kmsg.Request) (int16, error) {
	if req.Key() >= FirstPrivateKey {
		return req.GetVersion(), nil
	}
	r, ok := c.versions[req.Key()]
	v := min(req.MaxVersion(), r.max)
	if !ok || v < r.min {
		return 0, fmt.Errorf("%w: %s at %s", ErrUnsupported, kmsg.NameForKey(req.Key()), c.o.Addr)
	}
	return v, nil
}
