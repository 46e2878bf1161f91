package replica

import (
	"slices"
	"testing"

	"gregor/internal/log"
	"gregor/internal/metadata"
	"gregor/internal/record"
)

// inRacks registers the brokers anew, each in a rack, and has clients sent to the nearest replica.
func (w *world) inRacks(racks map[int32]string) {
	w.t.Helper()
	for _, id := range w.ids() {
		b, rack := w.brokers[id], racks[id]
		w.change(&metadata.RegisterBrokerRecord{BrokerID: id, IncarnationID: metadata.NewUUID(), BrokerEpoch: b.epoch, Rack: &rack,
			EndPoints: []metadata.RecordEndpoint{{Name: "PLAINTEXT", Host: "h", Port: uint16(9000 + id)}}})
		b.m.o.Nearest = func() bool { return true }
	}
	w.deliver(w.ids()...)
}

// ask is a client's fetch.
func ask(offset int64, rack string) ReadOptions {
	return ReadOptions{Offset: offset, MaxBytes: 1 << 20, AtLeastOne: true, LeaderEpoch: NoEpoch, LastFetchedEpoch: NoEpoch,
		Client: &ClientRead{Rack: rack, Listener: "PLAINTEXT"}}
}

// batchValues lists the values of whole batches.
func batchValues(t *testing.T, b []byte) (values []string) {
	t.Helper()
	for len(b) > 0 {
		batch, rest, err := record.Next(b)
		if err != nil {
			t.Fatal(err)
		}
		for r, err := range batch.Records() {
			if err != nil {
				t.Fatal(err)
			}
			values = append(values, string(r.Value))
		}
		b = rest
	}
	return values
}

// A leader sends a client to a replica in its rack that is in sync and has the offset, and serves all others itself.
func TestNearestReplica(t *testing.T) {
	w := newWorld(t, 1, 2, 3)
	w.inRacks(map[int32]string{1: "a", 2: "b", 3: "c"})
	w.topic("t", 1, 2, 3)
	w.settle()
	w.produce(1, "t", AcksLeader, nil, "x", "y")
	w.settle()
	w.produce(1, "t", AcksLeader, nil, "z") // the followers do not have it
	p := w.partition(1, "t")
	want := func(what string, o ReadOptions, broker int32) {
		t.Helper()
		res, err := p.Read(o)
		if err != nil {
			t.Fatal(what, err)
		}
		defer res.Slice.Close()
		got := int32(1)
		if res.Preferred != nil {
			got = *res.Preferred
			if res.Slice.Len() > 0 || res.HighWatermark != 2 {
				t.Errorf("%s: %d bytes beside the other replica, high watermark %d", what, res.Slice.Len(), res.HighWatermark)
			}
		}
		if got != broker {
			t.Errorf("%s: is to read from %d, want %d", what, got, broker)
		}
	}
	want("rack b", ask(0, "b"), 2)
	want("rack c", ask(2, "c"), 3)
	want("the leader's rack", ask(0, "a"), 1)
	want("no rack", ask(0, ""), 1)
	want("an unknown rack", ask(0, "z"), 1)
	want("an offset that only the leader has", ask(3, "b"), 1)
	other := ask(0, "b")
	other.Client.Listener = "SSL"
	want("a listener that the replica has not", other, 1)
	old := ask(0, "b")
	old.Client = nil
	want("an old client", old, 1)
	p.m.o.Nearest = nil
	want("without a selector", ask(0, "b"), 1)
	p.m.o.Nearest = func() bool { return true }
	w.fence(2)
	w.deliver(w.ids()...)
	want("a fenced replica", ask(0, "b"), 1)
	if slices.Contains(p.ISR(), 2) {
		t.Error("the fenced broker is in the ISR")
	}
}

// A follower serves clients up to the high watermark that it knows; what it does not have is out of range there. Clients
// that do not know of that are sent to the leader.
func TestFollowerServesClients(t *testing.T) {
	w := newWorld(t, 1, 2)
	w.topic("t", 1, 2)
	w.settle()
	w.produce(1, "t", AcksLeader, nil, "x", "y")
	w.settle()
	w.produce(1, "t", AcksLeader, nil, "z")
	w.fetch(2, 1) // asks from 2, and gets z with the high watermark 2
	p := w.partition(2, "t")
	read := func(offset int64) ([]string, error) {
		o := ask(offset, "")
		res, err := p.Read(o)
		if err != nil {
			return nil, err
		}
		defer res.Slice.Close()
		if (p.Available(&o) > 0) != (res.Slice.Len() > 0) {
			t.Errorf("at %d: %d bytes, available %d", offset, res.Slice.Len(), p.Available(&o))
		}
		b, err := res.Slice.Bytes()
		if err != nil {
			return nil, err
		}
		return batchValues(t, b), nil
	}
	if got, err := read(0); err != nil || !slices.Equal(got, []string{"x", "y"}) {
		t.Error(got, err)
	}
	if got, err := read(2); err != nil || len(got) != 0 {
		t.Error("above the high watermark:", got, err)
	}
	if got, err := read(3); err != nil || len(got) != 0 {
		t.Error("at the end:", got, err)
	}
	_, err := read(4)
	wantErr(t, "behind the end", err, log.ErrOffsetOutOfRange)
	o := ask(0, "")
	o.LeaderEpoch = 5
	_, err = p.Read(o)
	wantErr(t, "a newer epoch", err, ErrUnknownEpoch)
	o = ask(0, "")
	o.Client = nil
	_, err = p.Read(o)
	wantErr(t, "an old client", err, ErrNotLeader)
}
