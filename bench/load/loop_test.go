package load

import (
	"errors"
	"strings"
	"testing"
	"time"

	"gregor/bench/limit"
)

func limited(t *testing.T, partitions int) []string {
	t.Helper()
	l, err := newLoop(schedule{})
	if errors.Is(err, ErrOtherSystem) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	l.close()
	s, err := limit.Start(t.Context(), limit.Options{Dir: t.TempDir(), Addr: "localhost:0", Partitions: partitions})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	addrs := make([]string, partitions)
	for i := range addrs {
		addrs[i] = s.Addr()
	}
	return addrs
}

// Every reader gets every byte that a counted load wrote, whether the kernel throws them away or not; large frames go out of
// a file, small ones do not.
func TestEveryByteIsCounted(t *testing.T) {
	for _, size := range []int{100, 20_000} {
		for _, discard := range []bool{false, true} {
			addrs := limited(t, 3)
			p := Produce{Addrs: addrs, Topic: "t", Acks: -1, Batch: Batch(2, size, 1), PerBatch: 2, Conns: 2, InFlight: 4, Count: 150, Time: time.Minute}
			made, err := p.Run(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if made.Requests != 300 || made.Records != 600 || made.Elapsed >= time.Minute || made.Latency.TotalCount() != 300 {
				t.Fatalf("made %+v", made)
			}
			f := Fetch{Addrs: addrs, Topic: "t", Readers: 2, To: 200, MaxBytes: 100_000, MaxWait: time.Second, Discard: discard}
			got, err := f.Run(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if want := int64(2 * 300 * len(p.Batch)); got.Bytes != want || got.Records != 1200 {
				t.Errorf("discard %v: read %d bytes and %d records, expected %d and 1200", discard, got.Bytes, got.Records, want)
			}
		}
	}
}

// A batch of another shape than was asked for would be miscounted: the reader says so.
func TestBatchesOfTwoSizes(t *testing.T) {
	s := shape{base: 10, bytes: 200, records: 5}
	if next, err := s.after(450, 12); err != nil || next != 20 {
		t.Errorf("two batches and a piece: %d, %v", next, err)
	}
	for _, offset := range []int64{9, 15} {
		if _, err := s.after(400, offset); err == nil || !strings.Contains(err.Error(), "one size") {
			t.Errorf("offset %d: %v", offset, err)
		}
	}
}

// At a rate, what is due is sent when it is due, and each record's delivery is timed once.
func TestDelivery(t *testing.T) {
	addrs := limited(t, 2)
	var began, ended time.Time
	p := Produce{Addrs: addrs, Topic: "t", Acks: -1, Batch: Batch(1, 100, 1), PerBatch: 1, Conns: 3, PerSecond: 1000, Warmup: 50 * time.Millisecond,
		Time: 200 * time.Millisecond, Began: func() { began = time.Now() }, Ended: func() { ended = time.Now() }}
	both, err := Run(t.Context(), &p, &Fetch{Addrs: addrs, Topic: "t", Readers: 2, MaxBytes: 1 << 20, MaxWait: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	if both.Produced.Requests != 200 {
		t.Errorf("%d requests in a fifth of a second at 1000 a second", both.Produced.Requests)
	}
	if n := both.Delivered.TotalCount(); n != 200 {
		t.Errorf("%d deliveries of 200 records", n)
	}
	if both.Delivered.Max() < both.Produced.Latency.Min() {
		t.Errorf("delivered within %v, acknowledged after %v at least", both.Delivered.Max(), both.Produced.Latency.Min())
	}
	if began.IsZero() || !ended.After(began) {
		t.Errorf("it began at %v and ended at %v", began, ended)
	}
}
