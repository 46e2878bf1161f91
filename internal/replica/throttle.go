package replica

import (
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Throttled is the replicas of a topic whose replication is throttled on this broker (KIP-73): the values of
// leader.replication.throttled.replicas or follower.replication.throttled.replicas, narrowed to those that name this
// broker.
type Throttled struct {
	All        bool
	Partitions []int32 // ascending
}

// ParseThrottled reads a list of partition:broker, or "*". What does not name the broker is left out.
func ParseThrottled(list []string, broker int32) (t Throttled) {
	for _, e := range list {
		e = strings.TrimSpace(e)
		if e == "*" {
			return Throttled{All: true}
		}
		p, b, _ := strings.Cut(e, ":")
		partition, perr := strconv.ParseInt(strings.TrimSpace(p), 10, 32)
		id, berr := strconv.ParseInt(strings.TrimSpace(b), 10, 32)
		if perr == nil && berr == nil && int32(id) == broker {
			t.Partitions = append(t.Partitions, int32(partition))
		}
	}
	slices.Sort(t.Partitions)
	return t
}

func (t *Throttled) has(partition int32) bool {
	if t.All {
		return true
	}
	_, found := slices.BinarySearch(t.Partitions, partition)
	return found
}

// Rates is the limits of replication in bytes a second, each for all of this broker together.
type Rates struct {
	Leader, Follower int64 // leader. and follower.replication.throttled.rate
	MoveDirs         int64 // replica.alter.log.dirs.io.max.bytes.per.second

	Samples, DirSamples         int           // replication. and alter.log.dirs.replication.quota.window.num
	SampleWidth, DirSampleWidth time.Duration // ...quota.window.size.seconds
}

// DefaultRates is Kafka's default: no limit.
func DefaultRates() Rates {
	return Rates{Leader: unlimited, Follower: unlimited, MoveDirs: unlimited,
		Samples: 11, DirSamples: 11, SampleWidth: time.Second, DirSampleWidth: time.Second}
}

// throttles are the quotas of a Manager.
type throttles struct {
	leader, follower, moves throttle
}

// throttle is a quota that several goroutines use.
type throttle struct {
	mu sync.Mutex
	q  quota
}

func (m *Manager) startThrottles() {
	r := m.rates()
	m.throttles.leader.q = newQuota(r.Samples, r.SampleWidth)
	m.throttles.follower.q = newQuota(r.Samples, r.SampleWidth)
	m.throttles.moves.q = newQuota(r.DirSamples, r.DirSampleWidth)
	m.setRates()
}

func (m *Manager) rates() Rates {
	if m.o.Rates == nil {
		return DefaultRates()
	}
	return m.o.Rates()
}

// setRates takes over altered limits.
func (m *Manager) setRates() {
	r := m.rates()
	m.throttles.leader.setLimit(r.Leader)
	m.throttles.follower.setLimit(r.Follower)
	m.throttles.moves.setLimit(r.MoveDirs)
}

func (t *throttle) setLimit(limit int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.q.setLimit(limit)
}

func (t *throttle) record(bytes int, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.q.set {
		t.q.record(bytes, now)
	}
}

func (t *throttle) wait(now time.Time) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.q.wait(now)
}

func (t *throttle) exceeded(now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.q.set && t.q.exceeded(now)
}

// holdsBack tells whether a follower's read has to wait: its replica is throttled, the limit is used up, and it is not in
// sync. One in sync goes on, so that a limit that is too low takes nobody out of the ISR; its bytes count, and those that
// are out of sync leave room for them.
func (ld *leader) holdsBack(follower int32) bool {
	p := ld.p
	if c := p.config.Load(); c == nil || !c.LeaderThrottled.has(p.index) {
		return false
	}
	if t := &p.m.throttles.leader; !t.exceeded(p.m.now()) {
		return false
	}
	ld.mu.Lock()
	defer ld.mu.Unlock()
	return !slices.Contains(ld.isr, follower)
}

// gave counts what a follower was given of a throttled replica.
func (ld *leader) gave(bytes int) {
	p := ld.p
	if c := p.config.Load(); bytes > 0 && c != nil && c.LeaderThrottled.has(p.index) {
		p.m.throttles.leader.record(bytes, p.m.now())
	}
}

// maxThrottlePause bounds a follower's pause, so that a limit that is raised is noticed.
const maxThrottlePause = time.Second

// throttled tells how long a follower that lags is not to fetch.
func (f *follower) throttled(lagging bool) time.Duration {
	c := f.p.config.Load()
	if !lagging || c == nil || !c.FollowerThrottled.has(f.p.index) {
		return 0
	}
	return min(f.p.m.throttles.follower.wait(f.p.m.now()), maxThrottlePause)
}

// got counts what a throttled replica has fetched.
func (f *follower) got(bytes int) {
	if c := f.p.config.Load(); bytes > 0 && c != nil && c.FollowerThrottled.has(f.p.index) {
		f.p.m.throttles.follower.record(bytes, f.p.m.now())
	}
}
