package broker

import (
	"context"

	"gregor/internal/controller"
	"gregor/internal/forward"
	"gregor/internal/wire"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Envelope: version 0, on the controllers' listeners (KIP-590): a broker hands on what a client asks of the controller.
// A controller that is not active says so in the Envelope, so that the broker can go to the one that is.
func (b *Broker) envelope(ctx context.Context, r *Request) {
	e := r.Body.(*kmsg.EnvelopeRequest)
	resp := kmsg.NewPtrEnvelopeResponse()
	from, h, req, err := b.open(r, e)
	if err != nil {
		resp.ErrorCode = errorCode(err)
		r.Reply(resp)
		return
	}
	b.controller.Do(context.WithoutCancel(ctx), from, req, func(inner kmsg.Response) {
		if controller.IsNotController(inner) {
			resp.ErrorCode = kerr.NotController.Code
		} else {
			inner.SetVersion(h.Version)
			forward.SetOffset(resp, b.image().Offset())
			resp.ResponseData = inner.AppendTo(wire.AppendResponseHeader(nil, h.CorrelationID, inner))
		}
		r.Reply(resp)
	})
}

// open reads the request in an Envelope, within the same bounds as one that comes by itself. Errors are *kerr.Error.
func (b *Broker) open(r *Request, e *kmsg.EnvelopeRequest) (from Caller, h wire.RequestHeader, req kmsg.Request, err error) {
	from.Listener = r.Conn.Listener()
	if from.Principal, from.ClientHost, err = forward.Sender(e); err != nil {
		return from, h, nil, err
	}
	var body []byte
	if h, body, err = wire.ReadRequestHeader(e.RequestData); err != nil {
		return from, h, nil, kerr.InvalidRequest
	}
	from.ClientID = h.ClientID
	row := b.table.find(h.Key)
	if row == nil || !row.enveloped {
		return from, h, nil, kerr.InvalidRequest
	}
	if h.Version < row.min || h.Version > row.max {
		return from, h, nil, kerr.UnsupportedVersion
	}
	if req, err = r.Conn.decode(row, h, body, &r.frame); err != nil {
		b.log.Warn("request in an Envelope cannot be read", "peer", r.Conn.ClientHost(), "error", err.Error())
		return from, h, nil, kerr.InvalidRequest
	}
	return from, h, req, nil
}
