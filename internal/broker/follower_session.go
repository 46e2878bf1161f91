package broker

import (
	"sync"
	"sync/atomic"
	"time"

	"gregor/internal/metadata"
	"gregor/internal/replica"
	"gregor/internal/wire"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// A follower fetches all partitions that this broker leads, in one session that lasts as long as its connection. Most of
// them are idle. So the session is told by its partitions when they have something new, and a request costs what changed
// since the last one, not what the session holds.
//
// A request that comes while another one of the session waits ends that one: the follower has something to say, mostly
// that it follows more partitions, and its answer cannot leave before the first one's.

// followerFetch answers a follower's request within its session.
func (f *fetching) followerFetch(timeout time.Duration) {
	s := f.session
	f.turn = s.supersede()
	w := &followerWait{f: f}
	for {
		f.gatherDirty()
		out, ready := f.read()
		f.keepDirty(out)
		if ready || timeout <= 0 {
			f.reply(out)
			return
		}
		closeRecords(out)
		f.r.release() // nothing of the request's buffer is needed any more, and once parked it is anybody's
		if s.park(w) {
			break
		}
	}
	w.timer.Store(time.AfterFunc(timeout, func() { w.end(true) }))
	f.r.Conn.replies.onEnd(f.r.slot, func() {
		w.end(false)
		f.b.sessions.drop(s.id) // the next connection begins another one
	}, func() { w.end(true) })
	if w.isOver() { // it ended before the timer was there to be stopped
		w.timer.Load().Stop()
	}
}

// followerWait is a long poll of a follower.
type followerWait struct {
	f      *fetching
	timer  atomic.Pointer[time.Timer]
	once   sync.Once
	over   atomic.Bool
	answer bool // what it ended with
}

func (w *followerWait) isOver() bool { return w.over.Load() }

// end answers with what there is, once.
func (w *followerWait) end(answer bool) {
	w.once.Do(func() {
		w.over.Store(true)
		if t := w.timer.Load(); t != nil {
			t.Stop()
		}
		w.f.session.unpark(w)
		w.answer = answer
		if !w.f.b.server.do(w) { // the broker is closed, and every connection with it
			w.f.r.Drop()
		}
	})
}

// run is the end of the wait, on a goroutine of its own.
func (w *followerWait) run() {
	if !w.answer {
		w.f.r.Drop()
		return
	}
	w.f.r.blocks = true
	w.f.gatherDirty()
	out, _ := w.f.read()
	w.f.keepDirty(out)
	w.f.reply(out)
}

// empty answers that there is no news: what there is goes with the request that has come.
func (w *followerWait) empty() {
	w.once.Do(func() {
		w.over.Store(true)
		if t := w.timer.Load(); t != nil {
			t.Stop()
		}
		w.f.r.replyFetch(&wire.FetchResponse{Version: w.f.version, SessionID: w.f.session.id})
	})
}

// followerPart is what a follower's session keeps beside a partition.
type followerPart struct {
	session *fetchSession // nil: the session is not a follower's
	replica *replica.Partition
	dirty   bool // is in the session's list
	fresh   bool // the position was not told to the leader yet
	given   bool // records or a diverging epoch were answered, and the follower has not asked again
	asks    int  // how often it has asked: an answer to an older ask gives nothing to a newer one
	turn    int  // of the request that asked last: an older one must not answer it, since the follower would not take it
}

// follow makes a session a follower's. s.mu is held, or nobody else knows the session.
func (s *fetchSession) follow(b *Broker) {
	s.follower = b
	for p := s.order.next; p != &s.order; p = p.next {
		s.watch(p)
	}
}

// watch has a partition tell the session of news. What came before is looked for by the next request.
func (s *fetchSession) watch(p *sessionPartition) {
	p.session = s
	s.find(p)
	s.mark(p)
}

// find resolves the partition, which may be another one by now: moved away and back, deleted and made again.
func (s *fetchSession) find(p *sessionPartition) {
	now, err := s.follower.partition(s.byID, p.key.topic, metadata.UUID(p.key.id), p.key.partition)
	if err != nil {
		now = nil
	}
	if now == p.replica {
		return
	}
	if p.replica != nil {
		p.replica.RemoveFollower(p)
	}
	if p.replica = now; now != nil {
		now.AddFollower(p)
	}
}

// mark puts a partition on the list of what has to be looked at. s.mu is held.
func (s *fetchSession) mark(p *sessionPartition) {
	if !p.dirty {
		p.dirty = true
		s.dirty = append(s.dirty, p)
	}
}

// idleSession is how long a follower's session lives without a request. A follower in need makes another one.
const idleSession = time.Minute

// Wake implements [replica.Waiter]: there are more records, or a higher high watermark, or another leader.
func (p *sessionPartition) Wake(part *replica.Partition) {
	s := p.session
	s.mu.Lock()
	if s.parts[p.key] != p {
		s.mu.Unlock()
		return
	}
	s.mark(p)
	ends := s.ends(p, part)
	if ends {
		s.woken = true
	}
	w := s.parked
	idle := w == nil && s.follower.now().Sub(s.lastAsked) > idleSession
	s.mu.Unlock()
	switch {
	case w != nil && ends:
		w.end(true)
	case idle:
		s.follower.server.start(func() { s.follower.sessions.drop(s.id) })
	}
}

// ends reports whether a partition's news ends a long poll: records, or a change of leaders. A higher high watermark can
// wait for either. s.mu is held.
func (s *fetchSession) ends(p *sessionPartition, part *replica.Partition) bool {
	if p.given {
		return false
	}
	if _, epoch := part.Leader(); epoch != p.leaderEpoch {
		return true
	}
	return part.IsReadable(&replica.ReadOptions{Offset: p.offset, Replica: &wakingFollower})
}

// wakingFollower says that a follower reads, and who does not matter.
var wakingFollower = replica.ReplicaRead{Again: true}

// gatherDirty takes what has to be looked at, instead of all the session's partitions.
func (f *fetching) gatherDirty() {
	s := f.session
	s.mu.Lock()
	defer s.mu.Unlock()
	s.woken = false
	if f.parts = f.parts[:0]; len(s.dirty) == 1 {
		f.parts = f.one.part[:0]
	}
	later := 0 // for the request behind this one, which came while this one's long poll was ending
	for _, p := range s.dirty {
		if p.turn > f.turn {
			s.dirty[later] = p
			later++
			continue
		}
		p.dirty = false
		if s.parts[p.key] != p || p.given {
			continue
		}
		s.find(p)
		f.add(p.key, p.fetchAsk, p)
		in := &f.parts[len(f.parts)-1]
		in.asks, in.opts.Replica.Again = p.asks, !p.fresh
		p.fresh = false
	}
	clear(s.dirty[later:])
	s.dirty = s.dirty[:later]
}

// keepDirty puts back what could not be answered in full: for want of room, or because the news alone, a higher high
// watermark, is no reason to answer yet.
func (f *fetching) keepDirty(out []wire.FetchPartition) {
	s := f.session
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range out {
		in := &f.parts[i]
		p := in.inMemory
		if out[i].ErrorCode != 0 || out[i].Diverging != nil || out[i].Records != nil {
			continue
		}
		if p.highWatermark != out[i].HighWatermark || p.logStartOffset != out[i].LogStartOffset || !p.told ||
			in.replica.IsReadable(&in.opts) {
			s.mark(p)
		}
	}
}

// supersede ends the long poll that waits, if any. It returns the turn of the request that came.
func (s *fetchSession) supersede() (turn int) {
	s.mu.Lock()
	w := s.parked
	s.parked = nil
	turn = s.turn
	s.mu.Unlock()
	if w != nil {
		w.empty()
	}
	return turn
}

// park lets a long poll wait, unless something came up since it looked.
func (s *fetchSession) park(w *followerWait) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.woken {
		return false
	}
	s.parked = w
	return true
}

func (s *fetchSession) unpark(w *followerWait) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.parked == w {
		s.parked = nil
	}
}

// asked notes what a request says of a partition. s.mu is held.
func (s *fetchSession) asked(p *sessionPartition, in *kmsg.FetchRequestTopicPartition) {
	p.fetchAsk = askOf(in)
	if s.follower != nil {
		p.fresh, p.given = true, false
		p.asks++
		p.turn = s.turn
		if p.session == nil {
			s.watch(p)
		} else {
			s.mark(p)
		}
	}
}

// registeredAs has the leader told of every position again when the follower's broker has another epoch than before: it was
// unregistered, or cut off, and has registered anew while its connection and its session stayed. What it had told under its
// old epoch takes it into no ISR (KIP-903), and of idle partitions it would have nothing to tell. s.mu is held.
func (s *fetchSession) registeredAs(r *replica.ReplicaRead) {
	if s.follower == nil || r == nil || s.brokerEpoch == r.BrokerEpoch {
		return
	}
	s.brokerEpoch = r.BrokerEpoch
	for p := s.order.next; p != &s.order; p = p.next {
		p.fresh, p.turn = true, s.turn // an older request, which has the old epoch, must not be the one that tells
		s.mark(p)
	}
}

// close takes the session off its partitions.
func (s *fetchSession) close() {
	if s.follower == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.parts {
		s.unwatch(p)
	}
	clear(s.parts)
}

func (s *fetchSession) unwatch(p *sessionPartition) {
	if p.replica != nil {
		p.replica.RemoveFollower(p)
		p.replica = nil
	}
}
