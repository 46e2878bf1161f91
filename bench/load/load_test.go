package load

import (
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor"
	"gregor/test/client"
)

// What the frames say is what kmsg reads in them.
func TestFramesAreRequests(t *testing.T) {
	p := Produce{Topic: "t", Acks: -1, Batch: Batch(3, 10, 1)}
	frame := p.frame(2)
	produce := kmsg.NewPtrProduceRequest()
	produce.Version = 8
	read(t, frame, produce)
	if got := produce.Topics[0].Partitions[0]; got.Partition != 2 || string(got.Records) != string(p.Batch) || produce.Acks != -1 || produce.Topics[0].Topic != "t" {
		t.Errorf("not what was meant: %+v", produce)
	}
	f := Fetch{Topic: "t", MaxBytes: 99, MaxWait: time.Second}
	frame, _ = f.frame(3)
	fetch := kmsg.NewPtrFetchRequest()
	fetch.Version = 11
	read(t, frame, fetch)
	if got := fetch.Topics[0].Partitions[0]; got.Partition != 3 || got.PartitionMaxBytes != 99 || fetch.MaxWaitMillis != 1000 || fetch.SessionEpoch != -1 || got.CurrentLeaderEpoch != -1 {
		t.Errorf("not what was meant: %+v", fetch)
	}
}

func read(t *testing.T, frame []byte, req kmsg.Request) {
	t.Helper()
	body := frame[correlationAt+4+2+len(clientID):]
	if err := req.ReadFrom(body); err != nil {
		t.Fatal(err)
	}
	if again := req.AppendTo(nil); string(again) != string(body) {
		t.Errorf("%d bytes of a request whose encoding has %d", len(body), len(again))
	}
}

// What is written is there, counted, and read again.
func TestLoadOnABroker(t *testing.T) {
	broker, err := gregor.Start(t.Context(), gregor.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { broker.Close() })
	addr := broker.Addr()
	client.Create(t, addr, "loaded", 2)
	const perBatch = 5
	for _, load := range []struct {
		rate int
		spin bool
	}{{}, {rate: 1000}, {rate: 1000, spin: true}} {
		rate := load.rate
		t.Run(fmt.Sprintf("rate=%d,spin=%v", rate, load.spin), func(t *testing.T) {
			p := Produce{Addrs: []string{addr, addr}, Topic: "loaded", Acks: -1, Batch: Batch(perBatch, 100, 1), PerBatch: perBatch,
				Conns: 3, InFlight: 4, PerSecond: rate, Spin: load.spin, Time: 200 * time.Millisecond}
			made, err := p.Run(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if made.Requests == 0 || made.Latency.TotalCount() != made.Requests || made.Quantile(50) <= 0 {
				t.Fatalf("nothing was measured: %+v", made)
			}
			if rate > 0 && made.Requests > int64(rate)/5+10 {
				t.Errorf("%d requests in a fifth of a second at %d a second", made.Requests, rate)
			}
			f := Fetch{Addrs: p.Addrs, Topic: "loaded", Readers: 2, To: made.Records / 4, MaxBytes: 1 << 20, MaxWait: time.Second}
			got, err := f.Run(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if want := 4 * f.To / perBatch * int64(len(p.Batch)); got.Bytes < want {
				t.Errorf("read %d bytes, of at least %d", got.Bytes, want)
			}
		})
	}
	p := Produce{Addrs: []string{addr}, Topic: "absent", Acks: -1, Batch: Batch(1, 1, 1), PerBatch: 1, Conns: 1, InFlight: 1, Time: time.Second}
	if _, err := p.Run(t.Context()); err == nil {
		t.Error("records for a topic that is not there were counted")
	}
}
