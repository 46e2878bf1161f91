package replica

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/internal/log"
	"gregor/internal/log/vfs"
	"gregor/internal/metadata"
)

// clientOf asks a broker as one asks that reads as a client.
type clientOf struct {
	b *testBroker
}

func (c clientOf) SendFetch(req *kmsg.FetchRequest, done func(*kmsg.FetchResponse, func(), error)) {
	if !c.b.up {
		done(nil, nil, errors.New("nobody listens"))
		return
	}
	in := req.Topics[0].Partitions[0]
	resp := req.ResponseKind().(*kmsg.FetchResponse)
	t, out := kmsg.NewFetchResponseTopic(), kmsg.NewFetchResponseTopicPartition()
	p, err := c.b.m.PartitionByID(req.Topics[0].TopicID, in.Partition)
	var res ReadResult
	if err == nil {
		res, err = p.Read(ReadOptions{Offset: in.FetchOffset, MaxBytes: int(in.PartitionMaxBytes), AtLeastOne: true, LeaderEpoch: NoEpoch,
			LastFetchedEpoch: NoEpoch, Client: &ClientRead{}})
	}
	out.ErrorCode, out.HighWatermark = servedCode(err), res.HighWatermark
	if res.Slice.Len() > 0 {
		out.RecordBatches, err = res.Slice.Bytes()
	}
	res.Slice.Close()
	t.Partitions = append(t.Partitions, out)
	resp.Topics = append(resp.Topics, t)
	done(resp, func() {}, err)
}

func (clientOf) Send(kmsg.Request, func(kmsg.Response, error)) {}
func (clientOf) Close()                                        {}

// canRepair lets a broker ask the others, and tell the world's controller which of its replicas is lost.
func (w *world) canRepair(broker int32) {
	m := w.brokers[broker].m
	m.o.Connect = func(_ context.Context, id int32) (Remote, error) { return clientOf{w.brokers[id]}, nil }
	m.o.AssignDirs = func(_ context.Context, req *kmsg.AssignReplicasToDirsRequest, done func(*kmsg.AssignReplicasToDirsResponse, error)) {
		for _, d := range req.Directories {
			for _, t := range d.Topics {
				topic := w.truth.TopicByID(t.TopicID)
				r := metadata.NewPartitionChangeRecord()
				r.TopicID, r.PartitionID = t.TopicID, 0
				p := topic.Partitions[0]
				for _, id := range p.Replicas {
					dir := p.Dir(id)
					if id == broker {
						dir = d.ID
					}
					r.Directories = append(r.Directories, dir)
				}
				if metadata.UUID(d.ID) == metadata.DirLost && p.InISR(broker) {
					r.ISR = slices.DeleteFunc(slices.Clone(p.ISR), func(id int32) bool { return id == broker })
					if p.Leader == broker {
						r.Leader = r.ISR[0]
					}
				}
				w.change(r)
			}
		}
		done(nil, errors.New("the answer is lost; the metadata tells"))
	}
}

// TestDamagedReplicaIsMended: a start finds damage in the log of a leader or of a follower. The replica is given up, serves
// nobody, is repaired in place or copied again, and comes back into the ISR. Without another whole replica it stays as it is.
func TestDamagedReplicaIsMended(t *testing.T) {
	const file = "/d/t-0/00000000000000000000.log"
	flip := func(at int) func(b []byte) []byte { return func(b []byte) []byte { b[at] ^= 4; return b } }
	for _, c := range []struct {
		name   string
		broker int32
		harm   func(b []byte) []byte
		anew   bool // in place it does not fit
		alone  bool
	}{
		{"a follower", 2, flip(150), false, false},
		{"the leader", 1, flip(150), false, false},
		{"two ranges", 2, func(b []byte) []byte { b[100] ^= 1; b[400] ^= 1; return b }, false, false},
		{"a length", 2, flip(11), false, false},
		{"stretched", 2, func(b []byte) []byte { b[100] ^= 1; return slices.Insert(b, 150, 0, 0, 0) }, true, false},
		{"nobody else is whole", 1, flip(150), false, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, 1, 2, 3)
			w.publish(&metadata.FeatureLevelRecord{Name: metadata.MetadataVersionFeature, FeatureLevel: metadata.MaxMetadataVersion})
			w.topic("t", 1, 2, 3)
			var want []string
			for i := range 20 {
				w.produce(1, "t", -1, nil, fmt.Sprint("value ", i))
				want = append(want, fmt.Sprintf("value %d@0", i))
			}
			w.settle()
			w.same("t", want, 1, 2, 3)
			b := w.brokers[c.broker]
			b.kill()
			f, err := b.fs.Open(file)
			if err != nil {
				t.Fatal(err)
			}
			size, _ := f.Size()
			content := make([]byte, size)
			_, _ = f.ReadAt(content, 0)
			f.Close()
			if err := vfs.WriteFile(b.fs, file, c.harm(slices.Clone(content)), true); err != nil {
				t.Fatal(err)
			}
			if c.alone {
				w.publish(elect("t", 1, 1))
			}
			b.start()
			w.canRepair(c.broker)
			p := w.partition(c.broker, "t")
			if _, err := p.Read(ReadOptions{LeaderEpoch: NoEpoch, LastFetchedEpoch: NoEpoch, MaxBytes: 1000, Client: &ClientRead{}}); err == nil || p.Log() != nil {
				t.Fatalf("the damaged replica serves: %v", err)
			}
			lost := false
			for range 12 {
				b.m.repairStep(t.Context())
				w.settle()
				lost = lost || w.truth.Topic("t").Partitions[0].Dir(c.broker) == metadata.DirLost
			}
			if c.alone {
				if p.Log() != nil || !errors.Is(b.dirs.Broken("t", 0), log.ErrDamaged) || lost {
					t.Error("the only replica is not as it was")
				}
				return
			}
			if !lost || w.truth.Topic("t").Partitions[0].Dir(c.broker) == metadata.DirLost {
				t.Error("the controller was not told that the replica was lost, and that it is back")
			}
			if c.broker == 1 {
				if leader := w.truth.Topic("t").Partitions[0].Leader; leader == 1 {
					t.Error("the damaged leader leads")
				}
			}
			for id := range w.brokers {
				got := w.brokers[id].values("t")
				for i := range got {
					got[i], _, _ = strings.Cut(got[i], "@")
				}
				if len(got) != len(want) || got[19] != "value 19" {
					t.Errorf("broker %d has %q", id, got)
				}
			}
			w.isr("t", 1, 2, 3)
			if len(b.m.brokenOnes()) > 0 && b.m.repairStep(t.Context()) && len(b.m.brokenOnes()) > 0 {
				t.Error("the replica is still held for broken")
			}
		})
	}
}
