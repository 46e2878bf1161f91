package replica

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// The quota against all that was ever recorded.
func TestQuotaModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(2, 5).Draw(t, "samples")
		q := newQuota(n, time.Second)
		limit := rapid.Int64Range(0, 1000).Draw(t, "limit")
		q.setLimit(limit)
		now := time.UnixMilli(1_000_000)
		type event struct {
			at    time.Time
			bytes int
		}
		var all []event
		for range rapid.IntRange(1, 40).Draw(t, "events") {
			now = now.Add(time.Duration(rapid.IntRange(0, 3000).Draw(t, "ms")) * time.Millisecond)
			bytes := rapid.IntRange(0, 2000).Draw(t, "bytes")
			q.record(bytes, now)
			all = append(all, event{now, bytes})
			// What counts lies within the window, and everything of the last n-1 samples' time does.
			window, most, least := time.Duration(n)*time.Second, 0, 0
			for _, e := range all {
				if now.Sub(e.at) < window+time.Second {
					most += e.bytes
				}
				if now.Sub(e.at) < window-time.Second {
					least += e.bytes
				}
			}
			rate := q.rate(now)
			if rate > float64(most) || rate < float64(least)/(window+time.Second).Seconds()-1e-6 {
				t.Fatalf("rate %f, between %d and %d bytes in %v", rate, least, most, window)
			}
			wait := q.wait(now)
			if q.exceeded(now.Add(wait)) || wait > 2*time.Millisecond && !q.exceeded(now.Add(wait-2*time.Millisecond)) {
				t.Fatalf("after a wait of %v exceeded: %v", wait, q.exceeded(now.Add(wait)))
			}
			if q.exceeded(now) != (rate > float64(limit)) {
				t.Fatal("exceeded at rate", rate)
			}
		}
	})
}

func TestQuotaWithoutLimit(t *testing.T) {
	q := newQuota(11, time.Second)
	q.record(math.MaxInt32, time.UnixMilli(1))
	if q.setLimit(unlimited); q.exceeded(time.UnixMilli(1)) || q.wait(time.UnixMilli(1)) != 0 {
		t.Error("exceeded without a limit")
	}
}

func TestParseThrottled(t *testing.T) {
	got := ParseThrottled([]string{"4:1", " 2:1 ", "3:2", "x:1", "1:", ""}, 1)
	if got.All || !slices.Equal(got.Partitions, []int32{2, 4}) || !got.has(4) || got.has(3) {
		t.Errorf("%+v", got)
	}
	if all := ParseThrottled([]string{"*"}, 7); !all.has(99) {
		t.Error("* does not name all")
	}
}

// throttle makes topics that begin with t throttled on all brokers, with the same limit for leaders or followers.
func (w *world) throttle(leader, follower int64) {
	for _, id := range w.ids() {
		m := w.brokers[id].m
		was := m.o.TopicConfig
		m.o.TopicConfig = func(topic string, o map[string]string) (TopicConfig, error) {
			c, err := was(topic, o)
			c.LeaderThrottled.All, c.FollowerThrottled.All = strings.HasPrefix(topic, "t"), strings.HasPrefix(topic, "t")
			return c, err
		}
		r := DefaultRates()
		r.Leader, r.Follower = leader, follower
		m.o.Rates = func() Rates { return r }
		m.Reconfigure()
	}
}

// A throttled replica that is out of sync gets no more than its rate, on either side; one in sync and other topics are not
// held back; in the end it has everything.
func TestThrottledReplication(t *testing.T) {
	const rate = 1000
	for _, side := range []string{"leader", "follower"} {
		t.Run(side, func(t *testing.T) {
			w := newWorld(t, 1, 2, 3)
			if side == "leader" {
				w.throttle(rate, unlimited)
			} else {
				w.throttle(unlimited, rate)
			}
			w.topic("t", 1, 2, 3)
			w.topic("free", 1, 2, 3)
			w.settle()
			w.brokers[3].kill()
			w.fence(3)
			w.settle()
			for range 30 { // 30 batches of about 1000 bytes while broker 3 is away
				w.produce(1, "t", AcksLeader, nil, strings.Repeat("x", 1000))
				w.produce(1, "free", AcksLeader, nil, strings.Repeat("x", 1000))
				w.settle()
			}
			if got := w.partition(1, "t").Log().HighWatermark(); got != 30 {
				t.Fatalf("the replica in sync is held back: high watermark %d", got)
			}
			w.clock = w.clock.Add(time.Minute) // what went to broker 2 is forgotten
			w.brokers[3].start()
			if side == "leader" {
				w.throttle(rate, unlimited)
			} else {
				w.throttle(unlimited, rate)
			}
			for _, id := range w.ids() { // one batch at a time
				w.brokers[id].m.o.Fetching = func() Fetching {
					f := DefaultFetching()
					f.PartitionMax, f.MaxBytes = 1, 1<<20
					return f
				}
			}
			began := w.clock
			behind := func(topic string) int64 {
				p, err := w.brokers[3].m.Partition(topic, 0)
				if err != nil || p.Log() == nil {
					return 0
				}
				return p.Log().EndOffset()
			}
			for w.clock.Sub(began) < 5*time.Second {
				w.settle()
			}
			if got := behind("free"); got != 30 {
				t.Errorf("a topic that is not throttled has %d of 30 records", got)
			}
			elapsed := w.clock.Sub(began).Seconds()
			if got := behind("t"); float64(got*rate) > elapsed*rate+4*rate || got == 0 {
				t.Errorf("%d records of %d bytes came in %.1f s", got, rate, elapsed)
			}
			for w.clock.Sub(began) < 2*time.Minute {
				w.settle()
			}
			if got := behind("t"); got != 30 {
				t.Errorf("%d of 30 records after two minutes", got)
			}
		})
	}
}
