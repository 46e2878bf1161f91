package zookeeper

import (
	"math"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// counters are what four-letter words tell of the server since it started, or since srst.
type counters struct {
	received, receivedBytes, sent  atomic.Int64 // packets, bytes
	rejected                       atomic.Int64 // connections over maxClientCnxns
	dropped                        atomic.Int64 // connections that ended
	connects, revalidated, expired atomic.Int64 // handshakes; sessions
	authFailed, watchBytes         atomic.Int64
	responseBytes, snapshots       atomic.Int64
	digestMismatches               atomic.Int64
}

// latency is the times from a request to its answer, in whole milliseconds as ZooKeeper counts them.
type latency struct{ min, max, sum, count int64 }

func newLatency() latency { return latency{min: math.MaxInt64} }

func (l *latency) add(ms int64) {
	l.min, l.max = min(l.min, ms), max(l.max, ms)
	l.sum += ms
	l.count++
}

func (l *latency) least() int64 {
	if l.count == 0 {
		return 0
	}
	return l.min
}

func (l *latency) average() float64 {
	if l.count == 0 {
		return 0
	}
	return float64(l.sum) / float64(l.count)
}

// sizes are those of the answers, in bytes.
type sizes struct{ last, min, max int64 }

func newSizes() sizes { return sizes{-1, -1, -1} }

func (s *sizes) add(n int64) {
	s.last = n
	if s.min < 0 || n < s.min {
		s.min = n
	}
	s.max = max(s.max, n)
}

// connStats is what cons tells of a connection.
type connStats struct {
	sent     int64
	lastOp   string
	lastCxid int64
	lastZxid int64
	lastAtMs int64
	lastMs   int64
	latency  latency
}

func (s *connStats) reset() {
	*s = connStats{lastOp: "NA", lastCxid: -1, lastZxid: -1, latency: newLatency()}
}

func (s *connStats) answered(op string, cxid int32, zxid, atMs, ms int64) {
	if cxid >= 0 { // the others are not the client's own
		s.lastCxid = int64(cxid)
	}
	s.lastZxid, s.lastOp, s.lastAtMs, s.lastMs = zxid, op, atMs, ms
	s.latency.add(ms)
}

// javaDouble writes a figure with four decimals at the most, and one at the least, as Java does.
func javaDouble(f float64) string {
	s := strconv.FormatFloat(math.Round(f*1e4)/1e4, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}

// javaDate writes a time as Java's Date does.
func javaDate(t time.Time) string { return t.Format("Mon Jan 02 15:04:05 MST 2006") }
