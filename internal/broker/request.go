package broker

import (
	"gregor/internal/wire"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Request is one request on a connection. Its handler calls exactly one of Reply and Drop, once, now or later, on any
// goroutine.
//
// Body of a request whose row in the table is pooled (Produce, Fetch) is valid until its handler returns, or the request
// is ended if that is sooner: its strings and byte slices lie in a buffer that is then used again. What the others hold
// may be kept.
type Request struct {
	Key, Version  int16
	CorrelationID int32
	ClientID      string
	Conn          *Conn
	Body          kmsg.Request

	frame  wire.Frame
	pooled bool
	slot   slotID // its place in the order of replies
	// blocks says that whoever ends the request is on a goroutine of its own, which may wait for the peer to take the reply.
	blocks bool
}

// Reply sends the response when its turn comes. resp gets the request's version. It must not be changed afterwards.
func (r *Request) Reply(resp kmsg.Response) {
	resp.SetVersion(r.Version)
	r.replyAs(resp)
}

// replyAs sends the response in the version it has.
func (r *Request) replyAs(resp kmsg.Response) {
	buf := r.Conn.server.pool.Get(1 << 10)[:0]
	buf = wire.AppendResponse(buf, r.CorrelationID, resp)
	r.finish(outgoing{buf: buf, head: buf})
}

// replyProduce is Reply without what kmsg's encoder allocates.
func (r *Request) replyProduce(resp *kmsg.ProduceResponse) {
	resp.Version = r.Version
	buf := wire.AppendProduceResponse(r.Conn.server.pool.Get(1 << 10)[:0], r.CorrelationID, resp)
	r.finish(outgoing{buf: buf, head: buf})
}

// inlineRecords is up to how many bytes of records a Fetch response is written from memory instead of with sendfile.
const inlineRecords = 8 << 10

// replyFetch sends a response whose records are ranges of files.
func (r *Request) replyFetch(resp *wire.FetchResponse) {
	pool := &r.Conn.server.pool
	all, head, parts := resp.Append(pool.Get(1 << 10)[:0], r.CorrelationID)
	out := outgoing{buf: all, head: head, parts: parts}
	if len(parts) > 0 {
		small, err := wire.Inline(head, parts, inlineRecords, pool.Get)
		if err != nil {
			out.free(pool)
			r.DropConn("records cannot be read: " + err.Error())
			return
		}
		if small != nil {
			out.free(pool)
			out = outgoing{buf: small, head: small}
		}
	}
	r.finish(out)
}

// OnClose has f called once if the connection closes before the request is answered; at once if it is closed already. f
// must not block. The request must be ended all the same.
func (r *Request) OnClose(f func()) { r.Conn.replies.onEnd(r.slot, f, nil) }

// Drop ends a request that gets no response (Produce with acks=0).
func (r *Request) Drop() { r.finish(outgoing{}) }

// DropConn ends a request by closing its connection: where Kafka does that instead of answering.
func (r *Request) DropConn(reason string) {
	r.Conn.close(reason)
	r.finish(outgoing{})
}

// park takes the body out of a request that is going to wait for other clients, and gives its share of the memory budget
// back: who waits for minutes must not keep others from sending. The body lives as long as somebody holds it.
func (r *Request) park() kmsg.Request {
	body := r.Body
	r.Body = nil
	r.release()
	return body
}

// release gives the request's memory back. It may be called before the request is ended, by a handler that is done with
// Body.
func (r *Request) release() {
	if r.pooled {
		r.frame.Release()
	} else {
		r.frame.Abandon()
	}
}

// finish hands the response to the queue of its connection, and gives the request's memory back. If nobody else is going
// to write it, it is written: here, if this goroutine may wait, or on another one.
func (r *Request) finish(out outgoing) {
	r.release()
	kept, write := r.Conn.replies.finish(r.slot, out)
	switch {
	case !kept:
		out.free(&r.Conn.server.pool)
	case write && r.blocks:
		r.Conn.write()
	case write && !r.Conn.server.do(r.Conn):
		r.Conn.write() // which gives the right back: with the server every connection is closed
	}
}
