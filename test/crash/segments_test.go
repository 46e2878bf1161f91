package crash

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"gregor/test/client"
	"gregor/test/server"
)

// TestKillSmallSegments kills the broker while everything that a log does happens all the time: segments that
// roll after five batches, because their indexes are full, in several directories; a topic that is flushed before each acknowledgement and one after every seventh record; and a
// group of consumers that commits what it read. Nothing acknowledged is lost, and no committed
// offset goes back.
func TestKillSmallSegments(t *testing.T) {
	seed := newSeed(t)
	random := rand.New(rand.NewPCG(seed, 1))
	dir := t.TempDir()
	dirs := []string{dir + ".a", dir + ".b", dir + ".c"}
	s := server.Start(t, server.Options{Dir: dir, Extra: []string{
		"log.dirs=" + strings.Join(dirs, ","), "offsets.topic.num.partitions=3", "log.index.size.max.bytes=40", "log.index.interval.bytes=200",
		"log.flush.offset.checkpoint.interval.ms=50", "log.segment.delete.delay.ms=0",
	}})
	topics := []string{"rolled", "flushed", "flushed-sometimes"}
	for i, flush := range []string{"9223372036854775807", "1", "7"} {
		client.Create(t, s.Addr, topics[i], 2, "flush.messages", flush)
	}
	places := placesOf(2, topics...)

	w := startWriters(t, s.Addr, places)
	r := startReader(t, s.Addr, places)
	g := startGroup(t, s.Addr, places, 2)
	admin := kadm.NewClient(client.New(t, s.Addr))
	for round := range *crashes {
		w.waitFor(t, w.total()+1+random.IntN(600))
		g.waitFor(t, g.commits()+1+random.IntN(5))
		committed, acknowledged := g.committed(), w.acknowledged()
		s.Kill()
		if round%3 == 0 {
			tear(t, random, places, dirs...)
		}
		s.Restart(t)

		checkEnds(t, admin, round, places, acknowledged)
		r.waitFor(t, acknowledged)
		var offsets kadm.OffsetResponses
		client.Retry(t, func() (err error) {
			offsets, err = admin.FetchOffsets(client.Context(t), groupName)
			return err
		})
		for i, p := range places {
			if o, _ := offsets.Lookup(p.topic, p.partition); o.At < committed[i] {
				t.Fatalf("round %d: the committed offset of %v is %d, %d was acknowledged", round, p, o.At, committed[i])
			}
		}
	}
	written := w.stop(t)
	g.stop(t)
	t.Logf("%d kills, %v records acknowledged, %d commits", *crashes, written, g.commits())

	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	for i, p := range places {
		if n := len(segmentsOf(t, p, dirs...)); n < written[i]/2000 { // five batches each, of 100 records or less
			t.Errorf("%v has %d segments after %d records", p, n, written[i])
		}
	}
	s.Restart(t)
	checkAll(t, s.Addr, places, written)
}

const groupName = "followers"

// startGroup starts members of one group that read, and commit what they read before they read on.
func startGroup(t *testing.T, addr string, places []place, members int) *group {
	g := newGroup(places)
	for range members {
		c := client.New(t, addr, kgo.ConsumerGroup(groupName), kgo.ConsumeTopics(topicsOf(places)...), kgo.DisableAutoCommit(),
			kgo.BlockRebalanceOnPoll(), kgo.HeartbeatInterval(50*time.Millisecond), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxBytes(20_000))
		g.done.Go(func() { g.follow(c) })
	}
	t.Cleanup(g.end)
	return g
}

func (g *group) follow(c *kgo.Client) {
	for g.ctx.Err() == nil {
		fetches := c.PollRecords(g.ctx, 200)
		next := map[place]int64{}
		g.mu.Lock()
		fetches.EachRecord(func(r *kgo.Record) {
			p := place{r.Topic, r.Partition}
			i := g.index(p)
			// Repeats are a group's right after a restart, gaps are not.
			if int(r.Offset) > g.read[i] && g.failed == nil {
				g.failed = fmt.Errorf("%v: the group got offset %d, the next to read is %d", p, r.Offset, g.read[i])
			}
			g.read[i] = max(g.read[i], int(r.Offset)+1)
			next[p] = r.Offset + 1
		})
		g.mu.Unlock()
		g.commit(c, next, fetches.Records())
		c.AllowRebalance()
	}
}
