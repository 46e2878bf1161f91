package raft

import (
	"context"
	"errors"
	"net"
	"slices"
	"strconv"
	"time"

	"gregor/internal/journal"
	"gregor/internal/peer"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// route is the way of an observer to the leader. It asks whoever it knows until somebody leads or tells who does.
type route struct {
	conn  *peer.Conn // nil: none, or on its way
	to    target
	last  int32           // the leader that was followed before; asked first, for it may be there still
	next  int             // in the list of candidates
	tried int             // since somebody led
	slow  string          // address that took requests, or a connection, and did not answer; "" for none
	said  map[string]bool // failures that were logged since somebody led
}

// target is a controller to ask.
type target struct {
	id   int32 // -1: not known
	addr string
}

const (
	observerDialTimeout = 2 * time.Second
	minLook             = 20 * time.Millisecond // between two who are asked
	maxLook             = 500 * time.Millisecond
	maxSaid             = 100
)

// connect goes to the leader, or to the next candidate.
func (e *Observer) connect() {
	to, ok := e.nextTarget()
	if !ok {
		e.say("no controller is known; set controller.quorum.bootstrap.servers or controller.quorum.voters", target{}, nil)
		e.later(maxLook, e.connect)
		return
	}
	e.route.to = to
	e.wg.Go(func() {
		ctx, cancel := context.WithTimeout(e.ctx, observerDialTimeout)
		defer cancel()
		conn, err := peer.Dial(ctx, e.peerOptions(to.addr))
		it := errand{do: func() error { return e.connected(to, conn, err) }}
		if err == nil {
			it.drop = conn.Close
		}
		if !e.give(it) && err == nil {
			conn.Close()
		}
	})
}

func (e *Observer) nextTarget() (target, bool) {
	if e.leader >= 0 {
		if addr, ok := e.addr(e.leader); ok {
			return target{e.leader, addr}, true
		}
	}
	if last := e.route.last; last >= 0 {
		e.route.last = -1
		if addr, ok := e.addr(last); ok && addr != e.route.slow {
			return target{last, addr}, true
		}
	}
	list := e.candidates()
	if len(list) == 0 {
		return target{}, false
	}
	to := list[e.route.next%len(list)]
	e.route.next++
	if to.addr == e.route.slow && len(list) > 1 && e.route.tried%(4*len(list)) != 0 {
		// Each time costs a timeout, while another may lead already.
		to = list[e.route.next%len(list)]
		e.route.next++
	}
	return to, true
}

// candidates are all controllers that are known, each address once.
func (e *Observer) candidates() []target {
	var list []target
	add := func(id int32, addr string) {
		if addr != "" && id != e.o.NodeID && !slices.ContainsFunc(list, func(t target) bool { return t.addr == addr }) {
			list = append(list, target{id, addr})
		}
	}
	for _, v := range e.Voters() {
		add(v.ID, address(v))
	}
	for _, v := range e.o.Voters {
		add(v.ID, address(v))
	}
	for _, addr := range e.o.Bootstrap {
		add(-1, addr)
	}
	return list
}

// addr is where a controller listens.
func (e *Observer) addr(id int32) (string, bool) {
	for _, v := range e.Voters() {
		if v.ID == id && len(v.Endpoints) > 0 {
			return address(v), true
		}
	}
	return "", false
}

// learn notes where a controller listens.
func (e *Observer) learn(id int32, host string, port int) {
	if id < 0 || host == "" || port <= 0 || port > 1<<16-1 {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if _, ok := e.learned[id]; ok || len(e.learned) < maxObservers {
		e.learned[id] = journal.Endpoint{Host: host, Port: uint16(port)}
	}
}

func (e *Observer) connected(to target, conn *peer.Conn, err error) error {
	if err != nil {
		e.say("a controller cannot be reached", to, err)
		e.noteSlow(to, err)
		e.lost(to)
		return nil
	}
	e.route.conn = conn
	e.ask()
	return nil
}

// noteSlow remembers who hangs: a process that stands still, or a host that swallows packets.
func (e *Observer) noteSlow(to target, err error) {
	if errors.Is(err, peer.ErrTimeout) || errors.Is(err, context.DeadlineExceeded) {
		e.route.slow = to.addr
	}
}

// lost leaves a connection that is of no use (any more) and looks for the leader.
func (e *Observer) lost(to target) {
	e.dropSnapshot()
	if e.route.conn != nil {
		e.route.conn.Abort()
		e.route.conn = nil
	}
	delay := time.Duration(0)
	if to.id >= 0 && to.id == e.leader {
		if e.route.tried == 0 {
			e.route.last = e.leader // it had answered: the connection broke
		}
		e.follow(e.epoch, -1)
	}
	if e.route.tried++; e.route.tried > 1 {
		// Everybody is asked in turn, soon at first; then less and less often.
		rounds := e.route.tried / max(len(e.candidates()), 1)
		delay = min(minLook<<min(rounds, 10), maxLook)
	}
	e.later(delay, e.connect)
}

// later does something on the goroutine after a time.
func (e *Observer) later(d time.Duration, f func()) {
	if d == 0 {
		e.enqueue(func() error { f(); return nil })
		return
	}
	e.wg.Go(func() {
		t := time.NewTimer(d)
		defer t.Stop()
		select {
		case <-t.C:
			e.enqueue(func() error { f(); return nil })
		case <-e.ctx.Done():
		}
	})
}

// redirect goes where a controller says that the leader is.
func (e *Observer) redirect(epoch, leader int32) {
	e.dropSnapshot()
	from := e.route.to
	if e.route.conn != nil {
		e.route.conn.Abort()
		e.route.conn = nil
	}
	if addr, ok := e.addr(leader); ok && addr == e.route.slow {
		leader = -1 // it has not noticed yet
	}
	if epoch >= e.epoch && leader >= 0 && leader != from.id {
		e.follow(epoch, leader)
		e.route.tried++
		if e.route.tried > 8 { // two that name each other
			e.later(minLook, e.connect)
			return
		}
		e.connect()
		return
	}
	if epoch > e.epoch || from.id >= 0 && from.id == e.leader {
		e.follow(max(epoch, e.epoch), -1)
	}
	e.lost(from)
}

// say logs a failure to get anywhere, once.
func (e *Observer) say(what string, to target, err error) {
	text := what + to.addr
	if err != nil {
		text += err.Error()
	}
	if e.ctx.Err() != nil || e.route.said[text] || len(e.route.said) >= maxSaid {
		return
	}
	if e.route.said == nil {
		e.route.said = make(map[string]bool)
	}
	e.route.said[text] = true
	if err != nil {
		e.o.Logger.Warn(what, "controller", to.id, "address", to.addr, "error", err.Error())
	} else {
		e.o.Logger.Warn(what)
	}
}

// ask sends the next fetch, of the log or of a snapshot.
func (e *Observer) ask() {
	conn, to := e.route.conn, e.route.to
	if conn == nil {
		return // lost since somebody meant to ask
	}
	if e.fetch != nil {
		req := partRequest(e.o.NodeID, e.epoch, e.fetch.c.id(), e.fetch.pos)
		clusterID := e.o.ClusterID
		req.ClusterID = &clusterID
		req.Topics[0].Partitions[0].ReplicaDirectoryID = e.o.DirectoryID
		conn.Send(req, func(resp kmsg.Response, err error) {
			e.enqueue(func() error { return e.tookPart(conn, to, resp, err) })
		})
		return
	}
	conn.SendFetch(e.request(), func(f *peer.Fetched, err error) {
		if !e.enqueue(func() error { return e.took(conn, to, f, err) }) && f != nil {
			f.Release()
		}
	})
}

func hostPort(addr string) (host string, port int) {
	host, text, err := net.SplitHostPort(addr)
	if err != nil {
		return "", 0
	}
	port, _ = strconv.Atoi(text)
	return host, port
}
