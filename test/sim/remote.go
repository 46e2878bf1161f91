package sim

import (
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// socketTimeout is for how long a follower waits for a leader that says nothing.
const socketTimeout = 3 * time.Second

// replication drives the fetchers of a process, as their goroutines do.
type replication struct {
	p       *process
	remotes map[int32]*remote
	not     map[int32]time.Duration // when to connect again
}

// drive sends what the fetchers want to send.
func (r *replication) drive() {
	if !r.p.reg.following {
		return
	}
	for _, broker := range r.p.repl.Remotes() {
		c := r.remotes[broker]
		for range 100 {
			if c == nil && r.p.n.c.w.now < r.not[broker] {
				break
			}
			req := r.p.repl.NextFetch(broker)
			if req == nil {
				break
			}
			if c == nil {
				c = r.connect(broker)
			}
			c.send(req)
		}
	}
}

func (r *replication) connect(broker int32) *remote {
	to := r.p.n.c.nodes[broker-1]
	c := &remote{r: r, from: r.p, node: to, to: to.proc}
	r.remotes[broker] = c
	return c
}

// broken ends a connection.
func (r *replication) broken(c *remote, err error) {
	broker := c.node.id
	if r.remotes[broker] != c {
		return
	}
	r.p.n.c.w.tracef("node %d: connection to %d: %v", r.p.n.id, broker, err)
	delete(r.remotes, broker)
	r.not[broker] = r.p.n.c.w.now + r.p.n.c.w.between(10*time.Millisecond, 500*time.Millisecond)
	r.p.repl.FetchBroken(broker)
}

// remote is a connection to a leader: requests and responses come in order, or it breaks. What was sent on a connection
// that broke may still arrive, later than what is sent on the next one.
type remote struct {
	r     *replication
	from  *process
	node  *node
	to    *process      // nil: nobody listened
	there time.Duration // when the last request arrives
	back  time.Duration // when the last response arrives
	slots []*slot       // requests that were not answered, in their order
	poll  *longPoll     // that the last fetch waits in
}

// slot is the place of an answer among the others.
type slot struct {
	resp kmsg.Response
	send func(kmsg.Response)
}

// answer fills a slot, and sends what is ready in the order of the requests.
func (c *remote) answer(s *slot, resp kmsg.Response) {
	s.resp = resp
	for len(c.slots) > 0 && c.slots[0].resp != nil {
		first := c.slots[0]
		c.slots = c.slots[1:]
		first.send(first.resp)
	}
}

// failLater breaks the connection after a while, in the time of the process that made it.
func (c *remote) failLater(d time.Duration, err error) {
	c.from.after(d, "connection breaks", func() { c.r.broken(c, err) })
}

func (c *remote) send(req kmsg.Request) {
	w, net := c.from.n.c.w, c.from.n.c.net
	switch req := req.(type) {
	case *kmsg.FetchRequest:
		req.SetVersion(17)
	case *kmsg.ListOffsetsRequest:
		req.SetVersion(7)
	}
	fresh := transcode(req)
	answered := false
	c.from.after(socketTimeout, "socket timeout", func() {
		if !answered {
			c.r.broken(c, errTimeout)
		}
	})
	if c.to == nil {
		c.failLater(w.between(0, 5*time.Millisecond), errRefused)
		return
	}
	if !net.passes(c.from.n.id, c.node.id) {
		c.failLater(w.between(0, socketTimeout), errTimeout)
		return
	}
	c.there = max(c.there, w.now+net.takes())
	w.after(c.there-w.now, func() {
		if c.node.proc != c.to {
			c.failLater(w.between(0, 5*time.Millisecond), errReset)
			return
		}
		c.to.exec("serve fetch", func() {
			at := &slot{send: func(resp kmsg.Response) { c.sendBack(resp, fresh, &answered) }}
			c.slots = append(c.slots, at)
			if c.poll != nil {
				c.poll.finish() // a newer request ends it
			}
			c.poll = c.to.server.serve(fresh, func(resp kmsg.Response) { c.answer(at, resp) })
		})
	})
}

// sendBack carries a response to who asked.
func (c *remote) sendBack(resp kmsg.Response, req kmsg.Request, answered *bool) {
	w, net := c.from.n.c.w, c.from.n.c.net
	b := resp.AppendTo(nil)
	if !net.passes(c.node.id, c.from.n.id) {
		c.failLater(w.between(0, socketTimeout), errTimeout)
		return
	}
	c.back = max(c.back, w.now+net.takes())
	w.after(c.back-w.now, func() {
		c.from.exec("fetch response", func() {
			if c.r.remotes[c.node.id] != c {
				return
			}
			*answered = true
			resp := req.ResponseKind()
			if err := resp.ReadFrom(b); err != nil {
				panic(err)
			}
			if err := c.from.repl.TakeFetched(c.node.id, resp); err != nil {
				c.r.broken(c, err)
			}
			// The memory is used again: nobody may still look at it.
			for i := range b {
				b[i] = 0xdd
			}
		})
	})
}

var errReset = errors.New("connection reset")
