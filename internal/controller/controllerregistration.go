package controller

import (
	"gregor/internal/metadata"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// registerController decides ControllerRegistration (KIP-919): a controller tells where it listens and which features it
// knows. It has no session and no epoch; the newest word counts.
func (m *machine) registerController(req *kmsg.ControllerRegistrationRequest) decision {
	r := metadata.NewRegisterControllerRecord()
	r.ControllerID, r.IncarnationID, r.ZKMigrationReady = req.ControllerID, req.IncarnationID, req.ZkMigrationReady
	for _, l := range req.Listeners {
		r.EndPoints = append(r.EndPoints, metadata.RecordEndpoint{Name: l.Name, Host: l.Host, Port: l.Port, SecurityProtocol: l.SecurityProtocol})
	}
	for _, f := range req.Features {
		r.Features = append(r.Features, metadata.RecordFeature{Name: f.Name, MinSupportedVersion: f.MinSupportedVersion, MaxSupportedVersion: f.MaxSupportedVersion})
	}
	return decision{records: []metadata.Record{r}, reply: req.ResponseKind()}
}
