package load

import (
	"context"
	"errors"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Idle opens connections that have asked what a client asks first (ApiVersions, Metadata) and then stay silent. The caller
// closes them.
func Idle(ctx context.Context, addr string, count int) (conns Conns, err error) {
	versions, metadata := kmsg.NewPtrApiVersionsRequest(), kmsg.NewPtrMetadataRequest()
	versions.SetVersion(2)
	metadata.SetVersion(4)
	metadata.Topics = []kmsg.MetadataRequestTopic{} // of no topic
	for range count {
		c, err := Dial(ctx, addr)
		if err != nil {
			return conns, errors.Join(err, conns.Close())
		}
		conns = append(conns, c)
		for _, req := range []kmsg.Request{versions, metadata} {
			if _, err := c.Do(req); err != nil {
				return conns, errors.Join(err, conns.Close())
			}
		}
	}
	return conns, nil
}

// Conns are connections that are closed together.
type Conns []*Conn

// Close closes all of them.
func (cs Conns) Close() (err error) {
	for _, c := range cs {
		err = errors.Join(err, c.Close())
	}
	return err
}
