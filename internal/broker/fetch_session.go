package broker

import (
	"math"
	"math/rand/v2"
	"sync"
	"time"

	"gregor/internal/wire"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Fetch sessions (KIP-227): the broker remembers what a client fetches, the client sends only what changes, and the
// broker answers only the partitions that have something to say.

// Session epochs that are not numbers of a request within a session.
const (
	initialEpoch int32 = 0  // a full request that begins a session
	finalEpoch   int32 = -1 // a full request that ends one, or stands outside
)

// evictAfter is how long a session is safe from being pushed out by another one.
const evictAfter = 2 * time.Minute

// partitionKey names a partition of a session: by id or by name, as its client does.
type partitionKey struct {
	topic     string
	id        [16]byte
	partition int32
}

// sessionPartition is what a session remembers of a partition: what the client asked and what it was told last.
type sessionPartition struct {
	key        partitionKey
	prev, next *sessionPartition

	fetchAsk

	highWatermark  int64
	logStartOffset int64
	told           bool

	followerPart
}

// fetchAsk is what a request says of a partition.
type fetchAsk struct {
	offset           int64
	logStart         int64 // of a follower's log
	maxBytes         int32
	leaderEpoch      int32
	lastFetchedEpoch int32
}

func askOf(in *kmsg.FetchRequestTopicPartition) fetchAsk {
	return fetchAsk{
		offset: in.FetchOffset, logStart: in.LogStartOffset, maxBytes: in.PartitionMaxBytes,
		leaderEpoch: in.CurrentLeaderEpoch, lastFetchedEpoch: in.LastFetchedEpoch,
	}
}

// fetchSession is one client's session. The partitions are in the order in which they are served: one that gave records
// goes to the end, so that a full response does not starve the ones behind it.
type fetchSession struct {
	id       int32
	byID     bool
	created  time.Time
	lastUsed time.Time // guarded by the cache's mutex

	mu    sync.Mutex
	epoch int32
	parts map[partitionKey]*sessionPartition
	order sessionPartition // sentinel of a ring

	// Of a follower's session (follower_session.go).
	follower    *Broker // nil: it is a client's
	brokerEpoch int64   // of the follower's broker, as the last request said it
	dirty       []*sessionPartition
	parked      *followerWait // the long poll that waits
	woken       bool          // something came up since the last look that ends a long poll
	turn        int           // of the last request
	lastAsked   time.Time
}

func newFetchSession(byID bool) *fetchSession {
	s := &fetchSession{byID: byID, epoch: 1, parts: make(map[partitionKey]*sessionPartition)}
	s.order.prev, s.order.next = &s.order, &s.order
	return s
}

func (s *fetchSession) add(p *sessionPartition) {
	s.parts[p.key] = p
	s.pushBack(p)
}

func (s *fetchSession) pushBack(p *sessionPartition) {
	p.prev, p.next = s.order.prev, &s.order
	p.prev.next, s.order.prev = p, p
}

func (s *fetchSession) unlink(p *sessionPartition) {
	p.prev.next, p.next.prev = p.next, p.prev
}

func (s *fetchSession) remove(k partitionKey) {
	if p := s.parts[k]; p != nil {
		delete(s.parts, k)
		s.unlink(p)
		s.unwatch(p)
	}
}

// update takes over the partitions that a request names and forgets those that it gives up.
func (s *fetchSession) update(req *kmsg.FetchRequest) {
	eachFetchPartition(req, func(k partitionKey, in *kmsg.FetchRequestTopicPartition) {
		p := s.parts[k]
		if p == nil {
			k.topic = cloneString(k.topic)
			p = &sessionPartition{key: k, highWatermark: -1, logStartOffset: -1}
			s.add(p)
		}
		s.asked(p, in)
	})
	for i := range req.ForgottenTopics {
		f := &req.ForgottenTopics[i]
		for _, index := range f.Partitions {
			s.remove(fetchKey(req.Version, f.Topic, f.TopicID, index))
		}
	}
}

// news reports whether an incremental response has to contain this answer, and remembers it as told.
func (p *sessionPartition) news(out *wire.FetchPartition) bool {
	tell := !p.told
	if out.Records != nil && out.Records.Len() > 0 || out.ErrorCode != 0 || out.Diverging != nil || out.PreferredReadReplica >= 0 {
		tell = true
	}
	if p.highWatermark != out.HighWatermark || p.logStartOffset != out.LogStartOffset {
		tell = true
	}
	p.told = true
	p.highWatermark, p.logStartOffset = out.HighWatermark, out.LogStartOffset // -1 with an error: its end is news too
	return tell
}

func nextEpoch(e int32) int32 {
	if e == math.MaxInt32 {
		return 1
	}
	return e + 1
}

// sessionCache holds the sessions of all connections, at most max.incremental.fetch.session.cache.slots of them.
type sessionCache struct {
	now   func() time.Time
	slots int

	mu       sync.Mutex
	sessions map[int32]*fetchSession
}

func newSessionCache(slots int, now func() time.Time) *sessionCache {
	return &sessionCache{now: now, slots: slots, sessions: make(map[int32]*fetchSession)}
}

// begin finds the session that a request belongs to and brings it up to date. A nil session with no error is a request
// outside of a session. create says that the response may begin one.
func (c *sessionCache) begin(req *kmsg.FetchRequest) (s *fetchSession, create bool, err *kerr.Error) {
	if req.Version < 7 || req.SessionEpoch == initialEpoch || req.SessionEpoch == finalEpoch {
		if req.Version >= 7 && req.SessionID != 0 {
			c.drop(req.SessionID)
		}
		return nil, req.Version >= 7 && req.SessionEpoch == initialEpoch, nil
	}
	c.mu.Lock()
	s = c.sessions[req.SessionID]
	if s != nil {
		s.lastUsed = c.now()
	}
	c.mu.Unlock()
	if s == nil {
		return nil, false, kerr.FetchSessionIDNotFound
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.epoch != req.SessionEpoch {
		return nil, false, kerr.InvalidFetchSessionEpoch
	}
	if s.byID != (req.Version >= 13) {
		return nil, false, kerr.FetchSessionTopicIDError
	}
	s.lastAsked = c.now()
	s.turn++
	s.update(req)
	s.registeredAs(followerOf(req))
	if len(s.parts) == 0 {
		c.mu.Lock()
		delete(c.sessions, s.id)
		c.mu.Unlock()
		return nil, false, nil
	}
	s.epoch = nextEpoch(s.epoch)
	return s, false, nil
}

func (c *sessionCache) drop(id int32) {
	c.mu.Lock()
	s := c.sessions[id]
	delete(c.sessions, id)
	c.mu.Unlock()
	if s != nil {
		s.close()
	}
}

// create makes a session of a full request and its answers, a follower's if follower is not nil. It returns 0 if there is
// no room: the client then goes on with full requests.
func (c *sessionCache) create(byID bool, parts []*sessionPartition, follower *Broker) int32 {
	now := c.now()
	s := newFetchSession(byID)
	for _, p := range parts {
		s.add(p)
	}
	s.created, s.lastUsed, s.lastAsked = now, now, now
	if follower != nil {
		s.mu.Lock()
		s.follow(follower)
		s.mu.Unlock()
	}
	id, evicted := c.admit(s, now)
	if evicted != nil {
		evicted.close()
	}
	if id == 0 {
		s.close()
	}
	return id
}

// admit gives a session its id, and its place to it if another one has to go.
func (c *sessionCache) admit(s *fetchSession, now time.Time) (id int32, evicted *fetchSession) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.sessions) >= c.slots {
		// A follower is never without one: there are few of them, and a cluster that replicates slowly helps nobody.
		if evicted = c.evict(now, len(s.parts)); evicted == nil && s.follower == nil {
			return 0, nil
		}
	}
	for s.id == 0 || c.sessions[s.id] != nil {
		s.id = rand.Int32N(math.MaxInt32)
	}
	c.sessions[s.id] = s
	return s.id, evicted
}

// evict makes room for a session of size partitions: the session unused for longest if that is more than evictAfter, or
// the smallest one if it is smaller than the new one and old enough. It returns nil if there is none. c.mu is held.
func (c *sessionCache) evict(now time.Time, size int) *fetchSession {
	var oldest, smallest *fetchSession
	for _, s := range c.sessions {
		if s.follower != nil {
			continue
		}
		if oldest == nil || s.lastUsed.Before(oldest.lastUsed) {
			oldest = s
		}
		if now.Sub(s.created) > evictAfter && (smallest == nil || len(s.parts) < len(smallest.parts)) {
			smallest = s
		}
	}
	switch {
	case oldest != nil && now.Sub(oldest.lastUsed) > evictAfter:
		delete(c.sessions, oldest.id)
		return oldest
	case smallest != nil && len(smallest.parts) < size:
		delete(c.sessions, smallest.id)
		return smallest
	}
	return nil
}

// len is the number of sessions.
func (c *sessionCache) len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.sessions)
}

func fetchKey(version int16, topic string, id [16]byte, partition int32) partitionKey {
	if version >= 13 {
		return partitionKey{id: id, partition: partition}
	}
	return partitionKey{topic: topic, partition: partition}
}

func eachFetchPartition(req *kmsg.FetchRequest, f func(partitionKey, *kmsg.FetchRequestTopicPartition)) {
	for i := range req.Topics {
		t := &req.Topics[i]
		for j := range t.Partitions {
			f(fetchKey(req.Version, t.Topic, t.TopicID, t.Partitions[j].Partition), &t.Partitions[j])
		}
	}
}
