package broker

import (
	"context"
	"maps"
	"slices"

	"gregor/internal/controller"
	"gregor/internal/metadata"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// ApiVersions: versions 0-4 (KIP-35, KIP-511 client software, KIP-584 features, KIP-1022 feature ranges from 0).
//
// A version that the broker does not know is answered in version 0 with UNSUPPORTED_VERSION and the range of ApiVersions
// itself, so that the client can ask again (KIP-511). The response header never has tags.
func (b *Broker) apiVersions(_ context.Context, r *Request) {
	req := r.Body.(*kmsg.ApiVersionsRequest)
	resp := kmsg.NewPtrApiVersionsResponse()
	if r.Version >= 3 && !(validSoftware(req.ClientSoftwareName) && validSoftware(req.ClientSoftwareVersion)) {
		resp.ErrorCode = kerr.InvalidRequest.Code
		r.Reply(resp)
		return
	}
	if r.Version >= 3 {
		r.Conn.setSoftware(req.ClientSoftwareName, req.ClientSoftwareVersion)
	}
	resp.ApiKeys = make([]kmsg.ApiVersionsResponseApiKey, 0, len(b.table.rows))
	for _, h := range b.table.rows {
		k := kmsg.NewApiVersionsResponseApiKey()
		k.ApiKey, k.MinVersion, k.MaxVersion = int16(h.key), h.min, h.max
		resp.ApiKeys = append(resp.ApiKeys, k)
	}
	if r.Version >= 3 {
		b.addFeatures(resp, r.Version)
	}
	r.Reply(resp)
}

func (b *Broker) addFeatures(resp *kmsg.ApiVersionsResponse, version int16) {
	image := b.image()
	var supported map[string]metadata.VersionRange
	if b.quorum != nil {
		supported = controller.SupportedFeatures()
	} else if self := image.Broker(b.nodeID); self != nil {
		supported = self.Features
	}
	for _, name := range slices.Sorted(maps.Keys(supported)) {
		f := kmsg.NewApiVersionsResponseSupportedFeature()
		f.Name, f.MinVersion, f.MaxVersion = name, supported[name].Min, supported[name].Max
		// A client that speaks less than version 4 refuses a range that starts at 0 (KIP-1022).
		if f.MinVersion == 0 && version < 4 {
			continue
		}
		resp.SupportedFeatures = append(resp.SupportedFeatures, f)
	}
	features := map[string]int16{}
	maps.Copy(features, image.Features())
	features[metadata.KRaftVersionFeature] = b.kraftVersion() // it lives in the metadata log, but is none of its records
	for _, name := range slices.Sorted(maps.Keys(features)) {
		if features[name] == 0 {
			continue
		}
		f := kmsg.NewApiVersionsResponseFinalizedFeature()
		f.Name, f.MinVersionLevel, f.MaxVersionLevel = name, features[name], features[name]
		resp.FinalizedFeatures = append(resp.FinalizedFeatures, f)
	}
	resp.FinalizedFeaturesEpoch = image.Offset()
}

// unsupportedApiVersions is the answer to an unknown version of ApiVersions.
func (b *Broker) unsupportedApiVersions(r *Request) {
	resp := kmsg.NewPtrApiVersionsResponse()
	resp.ErrorCode = kerr.UnsupportedVersion.Code
	h := b.table.find(int16(kmsg.ApiVersions))
	k := kmsg.NewApiVersionsResponseApiKey()
	k.ApiKey, k.MinVersion, k.MaxVersion = int16(h.key), h.min, h.max
	resp.ApiKeys = append(resp.ApiKeys, k)
	resp.SetVersion(0)
	r.replyAs(resp)
}

// validSoftware is Kafka's rule for the name and version of a client: letters, digits, '.', '-', beginning and ending
// with a letter or digit.
func validSoftware(s string) bool {
	alnum := func(c byte) bool { return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }
	for i := 0; i < len(s); i++ {
		if !alnum(s[i]) && (s[i] != '.' && s[i] != '-' || i == 0 || i == len(s)-1) {
			return false
		}
	}
	return s != ""
}
