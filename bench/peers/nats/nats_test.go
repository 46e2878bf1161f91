package nats

import (
	"bytes"
	"net"
	"os"
	"testing"
	"time"

	"gregor/bench/peers/drive"
)

// start starts the server that `make build/nats-server` builds, if it did.
func start(t *testing.T, o Options) *Server {
	t.Helper()
	o.Binary = os.Getenv("GREGOR_NATS")
	if o.Binary == "" {
		t.Skip("GREGOR_NATS names no nats-server: make bench-peers builds one")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	o.Port = l.Addr().(*net.TCPAddr).Port
	l.Close()
	o.Dir = t.TempDir()
	s, err := Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Kill)
	return s
}

// Whatever way records are published, as many as were acknowledged are read again.
func TestLoads(t *testing.T) {
	for mode, name := range []string{"each", "fast"} {
		t.Run(name, func(t *testing.T) {
			s := start(t, Options{Always: mode == 0})
			streams := Streams{Addr: s.Addr, Topic: "load", Partitions: 3, MaxBytes: 1 << 30, Batches: true}
			if err := streams.Create(t.Context()); err != nil {
				t.Fatal(err)
			}
			record := bytes.Repeat([]byte("x"), 100)
			p := Produce{Load: drive.Load{Conns: 2, InFlight: 4, PerRequest: 8, Time: time.Second}, Streams: streams, Mode: Mode(mode), Record: record}
			made, err := p.Run(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if made.Requests == 0 || made.Latency.TotalCount() != made.Requests || made.Bytes != made.Records*100 {
				t.Fatalf("nothing was measured: %+v", made)
			}
			t.Logf("%d records, p99 %v", made.Records, made.Quantile(99))
			each := 0
			f := Fetch{Streams: streams, Readers: 1, Records: made.Records / 4}
			f.Partitions = 1
			f.Each = func(r []byte) { each += len(r) }
			got, err := f.Run(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if again, err := f.Run(t.Context()); err != nil || again.Records != got.Records { // from the start
				t.Errorf("the second time %+v, %v", again, err)
			}
			each /= 2
			if got.Records != f.Records || got.Bytes != int64(each) || got.Bytes != 100*f.Records {
				t.Errorf("read %+v of %d records", got, f.Records)
			}
			if err := streams.Delete(t.Context()); err != nil {
				t.Fatal(err)
			}
			p.Time = 50 * time.Millisecond
			if _, err := p.Run(t.Context()); err == nil {
				t.Error("records for streams that are not there were counted")
			}
		})
	}
}
