package rabbitmq

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"testing"
	"time"

	"gregor/bench/load"
	"gregor/bench/peers/drive"
)

// start starts a server, if there is one.
func start(t *testing.T) *Server {
	t.Helper()
	binary := os.Getenv("GREGOR_RABBITMQ")
	if binary == "" {
		t.Skip("GREGOR_RABBITMQ names no rabbitmq-server: make bench-peers says where it is")
	}
	s, err := Start(t.Context(), Options{Binary: binary, Dir: t.TempDir(), Port: free(t, 4)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// free finds ports in a row that nobody listens on, below those that systems give to outgoing connections: the server takes
// seconds until it listens.
func free(t *testing.T, n int) int {
	t.Helper()
next:
	for port := 30500; port < 32000; port += n {
		for i := range n {
			l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port+i))
			if err != nil {
				continue next
			}
			l.Close()
		}
		return port
	}
	t.Fatal("no free ports")
	return 0
}

// As many records as were acknowledged are read again, of queues and of streams.
func TestLoads(t *testing.T) {
	s := start(t)
	const size, perRequest = 100, 8
	one := drive.Load{Conns: 2, InFlight: 4, PerRequest: perRequest, Time: time.Second}
	record := bytes.Repeat([]byte("x"), size)
	var bytesEach int
	hooks := drive.Hooks{Each: func(r []byte) { bytesEach += len(r) }}
	queues := Queues{Addr: s.AMQP, Topic: "load", Partitions: 3, MaxBytes: 1 << 30}
	plain := Streams{Addr: s.Streams, Topic: "plain", Partitions: 3, MaxBytes: 1 << 30, SegmentBytes: 64 << 20}
	batched := plain
	batched.Topic = "batched"
	firstOf := func(s Streams) Streams { s.Partitions = 1; return s }
	firstQueue := queues
	firstQueue.Partitions = 1
	for _, c := range []struct {
		name   string
		create func() error
		write  func(drive.Load) (load.Result, error)
		read   func(records int64) (load.Result, error)
		drop   func() error
		framed bool // bytes are counted with what is around the records
	}{
		{"queue", func() error { return queues.Create(t.Context()) },
			func(l drive.Load) (load.Result, error) {
				return Publish{Load: l, Queues: queues, Record: record}.Run(t.Context())
			},
			func(n int64) (load.Result, error) {
				return Consume{Queues: firstQueue, Records: n, Prefetch: 100, Hooks: hooks}.Run(t.Context())
			},
			func() error { return queues.Delete(t.Context()) }, false},
		{"stream", func() error { return plain.Create(t.Context()) },
			func(l drive.Load) (load.Result, error) {
				return Write{Load: l, Streams: plain, Record: record}.Run(t.Context())
			},
			func(n int64) (load.Result, error) {
				return Read{Streams: firstOf(plain), Readers: 1, Records: n, Hooks: hooks}.Run(t.Context())
			},
			func() error { return plain.Delete(t.Context()) }, true},
		{"batched", func() error { return batched.Create(t.Context()) },
			func(l drive.Load) (load.Result, error) {
				return Write{Load: l, Streams: batched, Batched: true, Record: record}.Run(t.Context())
			},
			func(n int64) (load.Result, error) {
				bytesEach = int(n) * size
				return Read{Streams: firstOf(batched), Readers: 1, Records: n}.Run(t.Context())
			},
			func() error { return batched.Delete(t.Context()) }, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := c.create(); err != nil {
				t.Fatal(err)
			}
			made, err := c.write(one)
			if err != nil {
				t.Fatal(err)
			}
			if made.Requests == 0 || made.Latency.TotalCount() != made.Requests || made.Bytes != made.Records*size {
				t.Fatalf("nothing was measured: %+v", made)
			}
			t.Logf("%d records, p99 %v", made.Records, made.Quantile(99))
			bytesEach = 0
			want := made.Records / 4
			got, err := c.read(want)
			if err != nil {
				t.Fatal(err)
			}
			if got.Records < want || !c.framed && got.Bytes != size*got.Records || got.Bytes < size*got.Records || bytesEach < size*int(want) {
				t.Errorf("read %+v of %d records, %d bytes of them", got, want, bytesEach)
			}
			if err := c.drop(); err != nil {
				t.Fatal(err)
			}
			if _, err := c.read(1); err == nil {
				t.Error("something was read that is not there")
			}
		})
	}
}
