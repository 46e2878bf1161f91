package replica

import (
	"cmp"
	"context"
	"encoding/binary"
	"maps"
	"slices"
	"sync"
	"time"

	"gregor/internal/metadata"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// fetchers are the fetchers of a Manager: for each broker that leads something here as many as num.replica.fetchers. One
// that was made stays; without partitions it has no connection.
type fetchers struct {
	m *Manager

	mu     sync.Mutex
	byKey  map[fetcherKey]*fetchLoop
	closed bool
}

type fetcherKey struct {
	broker int32
	index  int
}

func (m *Manager) fetching() Fetching {
	if m.o.Fetching == nil {
		return DefaultFetching()
	}
	return m.o.Fetching()
}

// follow has a partition fetched for.
func (fs *fetchers) follow(f *follower) {
	if f.leader != metadata.NoLeader && f.leader != f.p.nodeID {
		fs.tell(f, true)
	}
}

// leave ends it. What is being appended at the moment was waited for when the role changed.
func (fs *fetchers) leave(f *follower) { fs.tell(f, false) }

func (fs *fetchers) tell(f *follower, follow bool) {
	if fs.m.o.Connect == nil && !fs.m.o.Inline {
		return
	}
	index := 0
	if n := fs.m.fetching().Fetchers; n > 1 && !fs.m.o.Inline {
		index = int((uint64(binary.BigEndian.Uint32(f.p.id[12:])) + uint64(f.p.index)) % uint64(n))
	}
	fs.mu.Lock()
	if fs.closed {
		fs.mu.Unlock()
		return
	}
	if !follow {
		// num.replica.fetchers may have changed since: all are asked.
		var all []*fetchLoop
		for key, l := range fs.byKey {
			if key.broker == f.leader {
				all = append(all, l)
			}
		}
		fs.mu.Unlock()
		for _, l := range all {
			l.tell(f, false)
		}
		return
	}
	key := fetcherKey{f.leader, index}
	l := fs.byKey[key]
	if l == nil {
		l = newFetchLoop(fs.m, f.leader)
		if fs.byKey == nil {
			fs.byKey = make(map[fetcherKey]*fetchLoop)
		}
		fs.byKey[key] = l
		if !fs.m.o.Inline {
			l.start()
		}
	}
	fs.mu.Unlock()
	l.tell(f, true)
}

func (fs *fetchers) close() {
	fs.mu.Lock()
	fs.closed = true
	all := slices.Collect(maps.Values(fs.byKey))
	fs.mu.Unlock()
	for _, l := range all {
		l.cancel()
	}
	for _, l := range all {
		l.wg.Wait()
	}
}

// all lists the fetchers by broker.
func (fs *fetchers) all() []*fetchLoop {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	list := slices.Collect(maps.Values(fs.byKey))
	slices.SortFunc(list, func(a, b *fetchLoop) int { return cmp.Compare(a.machine.broker, b.machine.broker) })
	return list
}

// fetchLoop drives one fetcher over a connection: one goroutine that sleeps until something happens. Responses that bring
// what they should are taken, and the next request sent, by the connection's goroutine that read them: each switch of
// threads between the two would delay whoever waits for acks=all.
type fetchLoop struct {
	m       *Manager
	machine *fetcher
	cancel  context.CancelFunc
	ctx     context.Context
	woken   chan struct{}
	wg      sync.WaitGroup

	mu        sync.Mutex
	told      []followChange
	responses []fetchReply

	driving    sync.Mutex // guards the machine and what follows
	remote     Remote
	generation int       // of the connection
	connectAt  time.Time // not before
	failures   int
	next       time.Time // when the goroutine goes on by itself; zero: never
	broke      error     // why the connection is to end
}

// followChange is what the metadata wants of a fetcher.
type followChange struct {
	f      *follower
	follow bool
}

// fetchReply is a response on its way from the connection's goroutine to the fetcher's.
type fetchReply struct {
	generation int
	resp       kmsg.Response
	release    func() // may be nil
	err        error
}

func newFetchLoop(m *Manager, broker int32) *fetchLoop {
	l := &fetchLoop{m: m, machine: newFetcher(m, broker), woken: make(chan struct{}, 1)}
	l.ctx, l.cancel = context.WithCancel(m.ticker.ctx)
	return l
}

func (l *fetchLoop) start() { l.wg.Go(l.run) }

func (l *fetchLoop) wake() {
	select {
	case l.woken <- struct{}{}:
	default:
	}
}

func (l *fetchLoop) tell(f *follower, follow bool) {
	l.mu.Lock()
	l.told = append(l.told, followChange{f, follow})
	l.mu.Unlock()
	l.wake()
}

func (l *fetchLoop) reply(r fetchReply) {
	if l.driving.TryLock() {
		taken := l.takeNow(r)
		l.driving.Unlock()
		if taken {
			return
		}
	}
	l.mu.Lock()
	l.responses = append(l.responses, r)
	l.mu.Unlock()
	l.wake()
}

// takeNow takes a response and sends what follows from it, without waiting for anything but the disk. It reports false if
// that is not all there is to do. driving is held.
func (l *fetchLoop) takeNow(r fetchReply) bool {
	if r.err != nil || r.generation != l.generation || l.remote == nil || l.broke != nil || l.waiting() {
		return false
	}
	l.handle(r)
	var at time.Time
	if l.broke == nil {
		at = l.sendAll()
	}
	if l.broke != nil || !l.machine.wanted() || !at.Equal(l.next) {
		l.wake()
	}
	return true
}

// waiting reports whether the goroutine has something to take first.
func (l *fetchLoop) waiting() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.told)+len(l.responses) > 0
}

func (l *fetchLoop) run() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	defer func() {
		l.driving.Lock()
		defer l.driving.Unlock()
		l.disconnect(nil)
		l.take() // gives back the memory of what came last
	}()
	for l.ctx.Err() == nil {
		l.driving.Lock()
		l.take()
		l.next = l.drive()
		wait := time.Hour
		if !l.next.IsZero() {
			wait = max(l.next.Sub(l.m.now()), 0)
		}
		l.driving.Unlock()
		timer.Reset(wait)
		select {
		case <-l.ctx.Done():
		case <-l.woken:
		case <-timer.C:
		}
	}
}

// changes takes over what the metadata wants.
func (l *fetchLoop) changes() {
	l.mu.Lock()
	told := l.told
	l.told = nil
	l.mu.Unlock()
	now := l.m.now()
	for _, c := range told {
		if c.follow {
			l.machine.add(c.f, now)
		} else {
			l.machine.remove(c.f)
		}
	}
}

// take handles what has come.
func (l *fetchLoop) take() {
	l.changes()
	l.mu.Lock()
	responses := l.responses
	l.responses = nil
	l.mu.Unlock()
	l.endBroken()
	for _, r := range responses {
		l.handle(r)
		l.endBroken()
	}
}

// handle gives the machine a response, or finds that the connection is of no use any more.
func (l *fetchLoop) handle(r fetchReply) {
	if r.generation == l.generation && l.remote != nil {
		err := r.err
		if err == nil {
			err = l.machine.received(r.resp, l.m.now())
		}
		if l.broke = err; err == nil {
			l.failures = 0
		}
	}
	if r.release != nil {
		r.release()
	}
}

func (l *fetchLoop) endBroken() {
	if err := l.broke; err != nil {
		l.broke = nil
		l.disconnect(err)
	}
}

// minConnectPause is the first pause after a connection failed.
const minConnectPause = 20 * time.Millisecond

// connectTimeout bounds one attempt: the broker may come back elsewhere meanwhile.
const connectTimeout = 5 * time.Second

// drive connects if there is something to fetch, and sends what is to be sent. It returns when it wants to go on without
// anything happening; zero for never.
func (l *fetchLoop) drive() time.Time {
	if !l.machine.wanted() {
		if l.remote != nil {
			l.disconnect(nil)
		}
		return time.Time{}
	}
	if l.remote == nil && !l.connect() {
		return l.connectAt
	}
	return l.sendAll()
}

// sendAll sends all requests that can be sent, and tells when there will be more if nothing happens.
func (l *fetchLoop) sendAll() time.Time {
	for {
		req := l.machine.next(l.m.now())
		if req == nil {
			return l.machine.deadline()
		}
		l.send(req)
	}
}

func (l *fetchLoop) connect() bool {
	if l.m.now().Before(l.connectAt) {
		return false
	}
	ctx, cancel := context.WithTimeout(l.ctx, connectTimeout)
	defer cancel()
	remote, err := l.m.o.Connect(ctx, l.machine.broker)
	if err != nil {
		l.pause(err)
		return false
	}
	l.remote = remote
	l.generation++
	return true
}

func (l *fetchLoop) pause(cause error) {
	pause := l.m.fetching().Backoff
	if l.failures < 16 {
		pause = min(pause, minConnectPause<<l.failures)
	}
	l.failures++
	l.connectAt = l.m.now().Add(pause)
	if l.failures == 3 && l.ctx.Err() == nil { // a leader that has just died is known to be dead a moment later
		l.m.o.Logger.Warn("cannot fetch from the leader; trying again", "leader", l.machine.broker, "error", cause.Error(), "in", pause)
	}
}

// disconnect ends the connection; with an error the next one waits.
func (l *fetchLoop) disconnect(cause error) {
	if l.remote == nil {
		return
	}
	l.remote.Close()
	l.remote = nil
	l.machine.broken()
	if cause != nil {
		l.pause(cause)
	}
}

func (l *fetchLoop) send(req kmsg.Request) {
	generation := l.generation
	if f, ok := req.(*kmsg.FetchRequest); ok {
		l.remote.SendFetch(f, func(resp *kmsg.FetchResponse, release func(), err error) {
			l.reply(fetchReply{generation, resp, release, err})
		})
		return
	}
	l.remote.Send(req, func(resp kmsg.Response, err error) {
		l.reply(fetchReply{generation, resp, nil, err})
	})
}
