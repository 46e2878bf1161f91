package sim

import (
	"errors"
	"time"
)

// network carries closures between nodes. What is under way when the receiver's process ends is lost.
type network struct {
	w      *World
	nodes  map[int32]*node
	cut    map[[2]int32]bool // from, to
	loss   float64           // of a message
	delay  time.Duration     // most messages take up to this long
	slow   float64           // how many take up to slowBy
	slowBy time.Duration
	late   float64 // how many come when nobody waits for them any more
}

var (
	errTimeout = errors.New("no answer in time")
	errRefused = errors.New("connection refused")
)

// passes reports whether a message gets through.
func (n *network) passes(from, to int32) bool {
	return from == to || !n.cut[[2]int32{from, to}] && !n.w.chance(n.loss)
}

// takes is how long a message takes.
func (n *network) takes() time.Duration {
	if n.w.chance(n.late) {
		return n.w.between(requestTimeout/2, 3*requestTimeout)
	}
	if n.w.chance(n.slow) {
		return n.w.between(n.delay, n.slowBy)
	}
	return n.w.between(100*time.Microsecond, n.delay)
}

// send has do called at the receiver, in its own time, or never. Clients have ids that no node has.
func (n *network) send(from, to int32, what string, do func()) {
	w := n.w
	if !n.passes(from, to) {
		w.note(from, "lost "+what, int64(to))
		return
	}
	d := n.takes()
	target := n.nodes[to]
	var p *process
	if target != nil {
		p = target.proc
	}
	w.after(d, func() {
		if n.cut[[2]int32{from, to}] {
			return
		}
		if target == nil {
			do()
			return
		}
		if p != nil {
			p.exec(what, do)
		}
	})
}

// call asks and answers once: with what the other side replies, or with an error when the time is over, or when nobody
// listens there. serve runs at the receiver.
func call[R any](n *network, from, to int32, what string, timeout time.Duration, serve func(p *process, reply func(R)), done func(R, error)) {
	var none R
	var back *process
	if f := n.nodes[from]; f != nil {
		back = f.proc
	}
	answered := false
	answer := func(r R, err error) {
		if answered {
			return
		}
		answered = true
		if back == nil {
			done(r, err)
			return
		}
		back.exec("answer "+what, func() { done(r, err) })
	}
	n.w.after(timeout, func() { answer(none, errTimeout) })
	target := n.nodes[to]
	if target.proc == nil {
		n.w.after(n.w.between(100*time.Microsecond, n.delay), func() { answer(none, errRefused) })
		return
	}
	p := target.proc
	n.send(from, to, what, func() {
		serve(p, func(r R) {
			n.sendBack(to, from, what, func() { answer(r, nil) })
		})
	})
}

// sendBack is send of an answer, whose receiver answer looks after.
func (n *network) sendBack(from, to int32, what string, do func()) {
	if !n.passes(from, to) {
		n.w.note(from, "lost answer "+what, int64(to))
		return
	}
	n.w.after(n.takes(), func() {
		if !n.cut[[2]int32{from, to}] {
			do()
		}
	})
}
