package controller

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"gregor/internal/config"
	"gregor/internal/journal"
	"gregor/internal/metadata"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A node that was so far behind that the log it lacks is gone gets a snapshot while it runs. Its publishers are told
// what is different, and nothing of what a transaction had begun.
func TestSnapshotMidRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, j := shell(t, nil)
		registerOne(t, c)
		for _, name := range []string{"stays", "goes"} {
			if got := do[*kmsg.CreateTopicsResponse](t, c, createRequest(name)); codeOf(got) != nil {
				t.Fatal(codeOf(got))
			}
		}
		p := &publications{c: c}
		if err := c.AddPublisher(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		p.topics = nil
		base := c.Image()
		j.depose()

		ahead := metadata.NewDelta(base)
		for _, r := range []metadata.Record{
			&metadata.RemoveTopicRecord{TopicID: base.Topic("goes").ID},
			&metadata.TopicRecord{Name: "comes", TopicID: metadata.UUID{1, 15: 200}},
			&metadata.PartitionRecord{TopicID: metadata.UUID{1, 15: 200}, Replicas: []int32{1}, ISR: []int32{1}, Leader: 1},
		} {
			if err := ahead.Apply(r); err != nil {
				t.Fatal(err)
			}
		}
		j.mu.Lock()
		j.commit(batchOf(base, j.next, &metadata.BeginTransactionRecord{}, &metadata.TopicRecord{Name: "never", TopicID: metadata.UUID{2, 15: 200}}))
		j.mu.Unlock()
		if err := j.h.Load(snapshotOf(ahead.Image(1000, 7), 0)); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if got := fmt.Sprint(p.topics); got != "[deleted goes created comes]" {
			t.Fatalf("published %s", got)
		}
		if got := c.Image(); got.Offset() != 1000 || got.Epoch() != 7 || got.Topic("stays") != base.Topic("stays") || got.NumTopics() != 2 {
			t.Fatalf("image at %d, epoch %d, %d topics", got.Offset(), got.Epoch(), got.NumTopics())
		}
		// And the log goes on behind it.
		j.mu.Lock()
		j.epoch, j.next = 8, 1001
		j.commit(batchOf(c.Image(), 1001, &metadata.TopicRecord{Name: "more", TopicID: metadata.UUID{3, 15: 200}}))
		j.mu.Unlock()
		synctest.Wait()
		if c.Image().Topic("more") == nil || c.Image().Topic("comes") == nil {
			t.Fatal("the log does not go on behind the snapshot")
		}
	})
}

// A leader that died within a transaction leaves it open. The next one ends it, and nobody ever hears of what was in it.
func TestOpenTransactionIsAborted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, j := shell(t, nil)
		registerOne(t, c)
		p := &publications{c: c}
		if err := c.AddPublisher(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		j.depose()
		j.mu.Lock()
		b := batchOf(c.Image(), j.next, &metadata.BeginTransactionRecord{}, &metadata.TopicRecord{Name: "never", TopicID: metadata.UUID{2, 15: 200}})
		b.Epoch, j.next = j.epoch, b.LastOffset+1
		j.commit(b)
		j.mu.Unlock()
		j.Campaign()
		synctest.Wait()
		if got := do[*kmsg.CreateTopicsResponse](t, c, createRequest("never")); codeOf(got) != nil {
			t.Fatal(codeOf(got))
		}
		if got := fmt.Sprint(p.topics); got != "[created never]" || c.Image().Topic("never").ID == (metadata.UUID{2, 15: 200}) {
			t.Fatalf("published %s, %v", got, c.Image().Topic("never"))
		}
	})
}

// A broker whose process has ended is fenced at once, unless it has come back meanwhile; and the shell is told whenever
// this node begins to lead, so that it can look for such.
func TestLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, j := shell(t, nil)
		active := 0
		j.depose()
		synctest.Wait()
		c.o.OnActive = func(image *metadata.Image) {
			active++
			if !c.Active() || image.Offset() < 0 {
				t.Errorf("told too early: active %t, offset %d", c.Active(), image.Offset())
			}
		}
		if c.Active() {
			t.Fatal("active, and another leads")
		}
		j.Campaign()
		synctest.Wait()
		if active != 1 || !c.Active() {
			t.Fatalf("told %d times, active %t", active, c.Active())
		}
		registerOne(t, c)
		epoch := c.Image().Broker(1).Epoch
		c.Lost(1, epoch-1)
		c.Lost(7, 1)
		synctest.Wait()
		if c.Image().Broker(1).Fenced {
			t.Fatal("fenced for the end of a process before it")
		}
		began := time.Now()
		c.Lost(1, epoch)
		synctest.Wait()
		if !c.Image().Broker(1).Fenced || time.Since(began) > 0 {
			t.Fatal("not fenced at once")
		}
		j.depose()
		synctest.Wait()
		c.Lost(1, epoch) // means nothing to who does not lead
		synctest.Wait()
	})
}

func batchOf(image *metadata.Image, offset int64, records ...metadata.Record) (b journal.Batch) {
	values := encode(image, records)
	return journal.Batch{Offset: offset, LastOffset: offset + int64(len(values)) - 1, Epoch: 1, Values: values, SizeBytes: 100}
}

// quorumJournal is a journal whose voters can be upgraded.
type quorumJournal struct {
	*memJournal
	journal.Quorum
	version int16
	changes []journal.VoterChange
	refuse  error
}

func (j *quorumJournal) Status() journal.Status {
	s := j.memJournal.Status()
	s.KRaftVersion = j.version
	return s
}

func (j *quorumJournal) ChangeVoters(_ context.Context, c journal.VoterChange) error {
	j.changes = append(j.changes, c)
	if j.refuse == nil {
		j.version = 1
	}
	return j.refuse
}

// kraft.version is a feature as the others to who asks, and lives in the quorum (KIP-853).
func TestUpgradeQuorum(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		values, _, err := config.ParseBroker(map[string]string{"node.id": "1"})
		if err != nil {
			t.Fatal(err)
		}
		j := &quorumJournal{memJournal: &memJournal{}, refuse: journal.ErrInvalidVoter}
		c, err := Open(t.Context(), Options{NodeID: 1, ClusterID: "test", Journal: j, Config: config.NewLive(values)})
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		}()
		if err := c.WaitActive(t.Context()); err != nil {
			t.Fatal(err)
		}
		update := func(level int16, kind int8, validate bool) error {
			req := kmsg.NewPtrUpdateFeaturesRequest()
			req.Version, req.ValidateOnly = 2, validate
			req.FeatureUpdates = []kmsg.UpdateFeaturesRequestFeatureUpdate{{Feature: metadata.KRaftVersionFeature, MaxVersionLevel: level, UpgradeType: kind}}
			return kerr.ErrorForCode(do[*kmsg.UpdateFeaturesResponse](t, c, req).ErrorCode)
		}
		if err := update(1, upgrade, true); err != nil || len(j.changes) != 0 {
			t.Fatalf("only validated: %v, changes %v", err, j.changes)
		}
		if err := update(1, upgrade, false); !errors.Is(err, kerr.InvalidRequest) || c.KRaftVersion() != 0 {
			t.Fatalf("refused: %v", err)
		}
		j.refuse = nil
		if err := update(1, upgrade, false); err != nil || !j.changes[1].Upgrade || c.KRaftVersion() != 1 {
			t.Fatalf("%v, changes %v", err, j.changes)
		}
		if err := update(1, upgrade, false); err != nil || len(j.changes) != 2 {
			t.Fatalf("once more: %v, changes %v", err, j.changes)
		}
		if err := update(0, safeDowngrade, false); !errors.Is(err, kerr.InvalidUpdateVersion) {
			t.Fatalf("back: %v", err)
		}
	})
}

// A controller that was busy looks at the heartbeats that waited for it before it looks at the clock.
func TestHeartbeatsBeforeTheClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, j := shell(t, map[string]string{"broker.session.timeout.ms": "9000"})
		registerOne(t, c)
		written := len(j.batches)
		beat := func() {
			req := kmsg.NewPtrBrokerHeartbeatRequest()
			req.BrokerID, req.BrokerEpoch, req.CurrentMetadataOffset = 1, c.Image().Broker(1).Epoch, c.Image().Offset()
			c.Do(t.Context(), Caller{}, req, func(kmsg.Response) {})
		}
		// The goroutine is busy from before the first tick until after the session's end, but hears of the broker in between.
		// Which of two channels a select takes is chance, so it is tried often.
		for range 20 {
			beat()
			synctest.Wait()
			busy := make(chan struct{})
			c.enqueue(event{do: func() {
				<-busy
				c.machine.soft.lastTickMs = c.o.Now().UnixMilli() // it was busy in small steps, not stopped
			}})
			time.Sleep(9001 * time.Millisecond)
			beat()
			close(busy)
			synctest.Wait()
			if len(j.batches) > written { // fenced, and then brought back by the heartbeat
				t.Fatal("fenced with a heartbeat in the queue")
			}
		}
	})
}
