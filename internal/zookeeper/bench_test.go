package zookeeper

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"

	"gregor/internal/zookeeper/proto"
)

// benchServer is a server on a real disk.
func benchServer(b *testing.B) (*Server, Config) {
	c := testConfig()
	c.DataDir, c.PreAllocBytes = b.TempDir(), 64<<20
	return benchStart(b, c), c
}

func benchStart(b *testing.B, c Config) *Server {
	s, err := Start(context.Background(), c, nil)
	if err != nil {
		b.Fatal(err)
	}
	return s
}

func benchStop(b *testing.B, s *Server) {
	if err := s.Close(context.Background()); err != nil {
		b.Fatal(err)
	}
}

// drive sends n requests of each client, so many of which wait for their answers at a time.
func drive(b *testing.B, s *Server, clients, window, n int, request func(client, i int) proto.Request) {
	var wg sync.WaitGroup
	for c := range clients {
		nc, err := net.Dial("tcp", s.Addr().String())
		if err != nil {
			b.Fatal(err)
		}
		p := &peer{Conn: nc}
		r := bufio.NewReaderSize(nc, 64<<10)
		hello := proto.ConnectRequest{TimeoutMs: 60000, Password: make([]byte, 16)}
		_, _ = nc.Write(append([]byte{0, 0, 0, byte(len(hello.Append(nil)))}, hello.Append(nil)...))
		answer := func() proto.Code {
			var head [4]byte
			if _, err := io.ReadFull(r, head[:]); err != nil {
				b.Error(err)
				return proto.ConnectionLoss
			}
			body := make([]byte, binary.BigEndian.Uint32(head[:]))
			if _, err := io.ReadFull(r, body); err != nil {
				b.Error(err)
			}
			return proto.NewDecoder(body).ReplyHeader().Err
		}
		answer()
		wg.Go(func() {
			defer nc.Close()
			var buf []byte
			for i := 0; i < n; {
				k := min(window, n-i)
				buf = buf[:0]
				for range k {
					buf = p.encode(buf, request(c, i))
					i++
				}
				if _, err := nc.Write(buf); err != nil {
					b.Error(err)
					return
				}
				for range k {
					if code := answer(); code != proto.OK {
						b.Error(code)
						return
					}
				}
			}
		})
	}
	wg.Wait()
}

func BenchmarkCreate(b *testing.B) {
	for _, c := range []struct{ clients, window int }{{1, 1}, {1, 100}, {20, 1}, {20, 50}} {
		b.Run(fmt.Sprintf("clients=%d/window=%d", c.clients, c.window), func(b *testing.B) {
			s, _ := benchServer(b)
			defer benchStop(b, s)
			data := strings.Repeat("x", 100)
			n := (b.N + c.clients - 1) / c.clients
			b.ResetTimer()
			drive(b, s, c.clients, c.window, n, func(client, i int) proto.Request { return create(fmt.Sprintf("/n-%d-%d", client, i), data) })
			b.ReportMetric(float64(n*c.clients)/b.Elapsed().Seconds(), "creates/s")
		})
	}
}

func BenchmarkRead(b *testing.B) {
	for _, c := range []struct{ clients, window int }{{1, 1}, {20, 1}, {20, 50}} {
		b.Run(fmt.Sprintf("clients=%d/window=%d", c.clients, c.window), func(b *testing.B) {
			s, _ := benchServer(b)
			defer benchStop(b, s)
			drive(b, s, 1, 100, 1000, func(_, i int) proto.Request { return create(fmt.Sprintf("/n%d", i), strings.Repeat("x", 100)) })
			n := (b.N + c.clients - 1) / c.clients
			b.ResetTimer()
			drive(b, s, c.clients, c.window, n, func(_, i int) proto.Request { return &proto.GetDataRequest{Path: fmt.Sprintf("/n%d", i%1000)} })
			b.ReportMetric(float64(n*c.clients)/b.Elapsed().Seconds(), "reads/s")
		})
	}
}

// BenchmarkNodes is a start that reads 100,000 nodes with 100 bytes each, and the memory that they take.
func BenchmarkNodes(b *testing.B) {
	var before, after runtime.MemStats
	s, c := benchServer(b)
	runtime.GC()
	runtime.ReadMemStats(&before)
	drive(b, s, 10, 100, 10_000, func(client, i int) proto.Request {
		return create(fmt.Sprintf("/n-%d-%d", client, i), strings.Repeat("x", 100))
	})
	runtime.GC()
	runtime.ReadMemStats(&after)
	for b.Loop() {
		benchStop(b, s)
		s = benchStart(b, c)
	}
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/1e5, "bytes/node")
	benchStop(b, s)
}

// BenchmarkStart starts on an empty directory.
func BenchmarkStart(b *testing.B) {
	for b.Loop() {
		s, _ := benchServer(b)
		benchStop(b, s)
	}
}
