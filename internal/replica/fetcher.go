package replica

import (
	"container/heap"
	"errors"
	"math"
	"time"

	"gregor/internal/log"
	"gregor/internal/metadata"

	"github.com/twmb/franz-go/pkg/kerr"
)

// fetcher fetches from one broker for all partitions that it leads, or for a share of them. It is a machine: it has no
// goroutine, connection or clock. Whoever drives it takes requests from next, sends them in that order, and gives it
// the responses, in that order too.
//
// It works in fetch sessions (KIP-227): a request names the partitions whose position changed, so that hundreds of idle
// ones cost nothing. While a long poll is out, a change sends a second request behind it; a leader that knows fetch
// sessions as ours does ends the first at once. A partition that fails pauses, alone.
type fetcher struct {
	m      *Manager
	broker int32

	parts   map[partitionKey]*followed
	byName  map[string]metadata.UUID // for responses that name topics
	changed []*followed              // to be named in the next request
	forget  []*followed              // to be taken out of the session
	paused  pauseHeap
	asking  []*followed // whose position the leader does not have: where does its log end and start?

	session  int32 // 0: none
	epoch    int32 // of the next request
	sequence uint64
	sent     []sentRequest

	complaint  string // what was logged last, and when
	complained time.Time
}

// sentRequest is a request that has no response yet.
type sentRequest struct {
	sequence uint64
	full     bool        // began a session
	session  int32       // that it belongs to
	asked    []*followed // of ListOffsets
	start    bool        // asked for the log start, not the end
}

// followed is a partition of a fetcher. A new leader epoch makes a new one.
type followed struct {
	f   *follower
	key partitionKey

	state     fetchState
	offset    int64 // the position, as it was or will be told
	lastEpoch int32
	start     int64
	leaderHW  int64 // the leader's high watermark; MaxInt64 until it is known
	inSession bool
	queued    bool   // in changed
	sequence  uint64 // of the request that told the position

	failures int
	until    time.Time // of a pause
	at       int       // in the heap of pauses
}

type fetchState int8

const (
	fetchReady    fetchState = iota
	fetchPaused              // not fetched until a time
	fetchAskEnd              // waits for the leader's log end
	fetchAskStart            // waits for the leader's log start
	fetchStopped             // not fetched in this leader epoch any more
)

// initialFetchEpoch begins a session; it is also the epoch of a request outside of one.
const initialFetchEpoch int32 = 0

func newFetcher(m *Manager, broker int32) *fetcher {
	return &fetcher{m: m, broker: broker, parts: make(map[partitionKey]*followed), byName: make(map[string]metadata.UUID)}
}

// add follows a partition; one that was followed in an older leader epoch begins anew.
func (m *fetcher) add(f *follower, now time.Time) {
	key := f.p.key()
	if old := m.parts[key]; old != nil {
		if old.f == f {
			return
		}
		m.take(old)
	}
	d := &followed{f: f, key: key, at: -1, leaderHW: math.MaxInt64}
	m.parts[key] = d
	m.byName[f.p.topic] = f.p.id
	m.locate(d, now)
}

// remove ends following; nil does nothing.
func (m *fetcher) remove(f *follower) {
	if d := m.parts[f.p.key()]; d != nil && d.f == f {
		m.take(d)
		delete(m.parts, d.key)
	}
}

// take removes a partition from what goes on.
func (m *fetcher) take(d *followed) {
	m.leave(d)
	d.state = fetchStopped
}

// leave takes a partition out of the session and of the pauses.
func (m *fetcher) leave(d *followed) {
	if d.at >= 0 {
		heap.Remove(&m.paused, d.at)
	}
	if d.inSession {
		d.inSession = false
		m.forget = append(m.forget, d)
	}
}

// locate reads the partition's position and has it told.
func (m *fetcher) locate(d *followed, now time.Time) {
	offset, lastEpoch, start, err := d.f.position()
	if err != nil {
		m.fail(d, err, now)
		return
	}
	d.offset, d.lastEpoch, d.start = offset, lastEpoch, start
	if pause := d.f.throttled(offset < d.leaderHW); pause > 0 {
		m.rest(d, now.Add(pause))
		return
	}
	d.state = fetchReady
	if !d.queued {
		d.queued = true
		m.changed = append(m.changed, d)
	}
}

// minFetchPause is the first pause of a partition that failed. It is short: mostly the leader has not heard of its
// leadership yet, and everything that waits for acks=all waits for this.
const minFetchPause = 10 * time.Millisecond

// fail lets a partition pause, longer with each failure in a row. The others go on.
func (m *fetcher) fail(d *followed, err error, now time.Time) {
	if errors.Is(err, errRoleEnded) || errors.Is(err, log.ErrClosed) {
		m.stop(d)
		return
	}
	if errors.Is(err, ErrStorage) || errors.Is(err, log.ErrDirOffline) {
		m.stop(d)
		m.m.o.Logger.Error("replica is not fetched for any more: its log directory is offline", "topic", d.f.p.topic, "partition", d.f.p.index, "error", err.Error())
		return
	}
	pause := m.m.fetching().Backoff
	if d.failures < 16 {
		pause = min(pause, minFetchPause<<d.failures)
	}
	d.failures++
	m.rest(d, now.Add(pause))
	if d.failures > quietFailures || !transient(err) {
		m.complain(d, err, now, pause)
	}
}

// rest lets a partition pause.
func (m *fetcher) rest(d *followed, until time.Time) {
	m.leave(d)
	d.state, d.until = fetchPaused, until
	heap.Push(&m.paused, d)
}

// quietFailures is how often in a row a partition may fail with what a change of leaders brings along: two and a half
// seconds.
const quietFailures = 8

// complaintInterval is how often the same trouble is logged. It mostly is that of many partitions.
const complaintInterval = 30 * time.Second

func (m *fetcher) complain(d *followed, err error, now time.Time, pause time.Duration) {
	if m.complaint == err.Error() && now.Sub(m.complained) < complaintInterval {
		return
	}
	m.complaint, m.complained = err.Error(), now
	m.m.o.Logger.Warn("replica cannot be fetched for; trying again", "topic", d.f.p.topic, "partition", d.f.p.index, "leader", m.broker, "offset", d.offset,
		"error", err.Error(), "in", pause, "partitions_that_fail", len(m.paused))
}

// transient reports whether an error is one that the next moment is likely to take away.
func transient(err error) bool {
	for _, e := range []error{kerr.NotLeaderForPartition, kerr.UnknownLeaderEpoch, kerr.FencedLeaderEpoch, kerr.UnknownTopicID, kerr.UnknownTopicOrPartition} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// stop gives a partition up for this leader epoch.
func (m *fetcher) stop(d *followed) {
	m.leave(d)
	d.state = fetchStopped
}

// wanted reports whether there is anything to fetch, now or after a pause.
func (m *fetcher) wanted() bool {
	for _, d := range m.parts {
		if d.state != fetchStopped {
			return true
		}
	}
	return false
}

// deadline is when the next pause ends; zero if nothing pauses.
func (m *fetcher) deadline() time.Time {
	if len(m.paused) == 0 {
		return time.Time{}
	}
	return m.paused[0].until
}

// broken forgets what was on the way: the connection has ended.
func (m *fetcher) broken() {
	m.sent = m.sent[:0]
	m.asking = m.asking[:0]
	for _, d := range m.parts {
		if d.state == fetchAskEnd || d.state == fetchAskStart {
			d.state = fetchAskEnd
			m.asking = append(m.asking, d)
		}
	}
	if m.m.o.Inline {
		sortFollowed(m.asking)
	}
	m.restart()
}

// restart gives the session up: the next request names everything.
func (m *fetcher) restart() {
	m.session, m.epoch = 0, initialFetchEpoch
	m.forget = m.forget[:0]
	m.changed = m.changed[:0]
	for _, d := range m.parts {
		d.inSession, d.queued = false, false
		if d.state == fetchReady {
			d.queued = true
			m.changed = append(m.changed, d)
		}
	}
	if m.m.o.Inline {
		sortFollowed(m.changed)
	}
}
