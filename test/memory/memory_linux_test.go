package memory

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"gregor/bench/load"
	"gregor/test/client"
	"gregor/test/server"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// anonymous is the memory of a process that is its own: heap, stacks and the runtime's, without the pages of files (its
// binary, which all processes share).
func anonymous(t *testing.T, pid int) int64 {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(b), "RssAnon:")
	fields := strings.Fields(rest)
	if !ok || len(fields) < 2 {
		t.Skip("the kernel does not tell RssAnon")
	}
	kB, err := strconv.ParseInt(fields[0], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return kB << 10
}

// cpuSeconds is the processor time that a process has taken.
func cpuSeconds(t *testing.T, pid int) float64 {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	var ticks float64
	for _, field := range strings.Fields(string(b[bytes.LastIndexByte(b, ')')+2:]))[11:13] {
		n, err := strconv.ParseFloat(field, 64)
		if err != nil {
			t.Fatal(err)
		}
		ticks += n
	}
	return ticks / 100
}

// highest samples the memory of a process until the function it returns is called, which gives the largest.
func highest(t *testing.T, pid int) (stop func() int64) {
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	var most int64
	wg.Go(func() {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for ctx.Err() == nil {
			most = max(most, anonymous(t, pid))
			select {
			case <-tick.C:
			case <-ctx.Done():
			}
		}
	})
	return func() int64 { cancel(); wg.Wait(); return most }
}

// What a broker holds in memory: 40 MB at rest, and 100 MB under all that this machine can send it.
func TestMemory(t *testing.T) {
	const idleLimit, loadLimit = 40 << 20, 100 << 20
	s := server.Start(t, server.Options{Ours: true, Extra: []string{
		"log.segment.bytes=16777216", "log.retention.bytes=134217728", "log.retention.check.interval.ms=100", "log.segment.delete.delay.ms=0"}})
	client.Create(t, s.Addr, "t", 3)
	if got := anonymous(t, s.Pid()); got > idleLimit {
		t.Errorf("idle: %d MB, the limit is %d MB", got>>20, idleLimit>>20)
	} else {
		t.Logf("idle: %.1f MB", float64(got)/(1<<20))
	}
	addrs := []string{s.Addr, s.Addr, s.Addr}
	for _, c := range []struct {
		name               string
		records, recordLen int
		conns, inFlight    int
		readers            int
	}{
		{"batches of 128 KB, 3 connections", 128, 1024, 3, 5, 0},
		{"batches of 128 KB, 32 connections", 128, 1024, 32, 5, 0},
		{"batches of 900 KB, 16 connections", 900, 1024, 16, 4, 0},
		{"small requests, 16 connections", 1, 100, 16, 5, 0},
		{"batches of 128 KB, and 10 readers of each partition", 128, 1024, 3, 5, 10},
		{"small requests, 1,000 connections", 1, 100, 1000, 1, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			stop, cpu := highest(t, s.Pid()), cpuSeconds(t, s.Pid())
			p := load.Produce{Addrs: addrs, Topic: "t", Acks: -1, Batch: load.Batch(c.records, c.recordLen, time.Now().UnixMilli()), PerBatch: c.records,
				Conns: c.conns, InFlight: c.inFlight, Time: loadTime}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var wg sync.WaitGroup
			if c.readers > 0 {
				wg.Go(func() {
					f := load.Fetch{Addrs: addrs, Topic: "t", Readers: c.readers, To: 1 << 62, MaxBytes: 1 << 20, MaxWait: time.Second}
					f.Run(ctx)
				})
			}
			made, err := p.Run(t.Context())
			cancel()
			wg.Wait()
			if err != nil {
				t.Fatal(err)
			}
			most := stop()
			t.Logf("%.0f MB/s, %.0f requests/s, %.1f µs of CPU each: at most %.1f MB", float64(made.Bytes)/1e6/made.Elapsed.Seconds(), made.PerSecond(),
				(cpuSeconds(t, s.Pid())-cpu)*1e6/float64(made.Requests), float64(most)/(1<<20))
			if most > loadLimit {
				t.Errorf("%d MB, the limit is %d MB", most>>20, loadLimit>>20)
			}
		})
	}
}

// loadTime is how long each load lasts.
const loadTime = time.Second

// An idle connection costs the broker its two goroutines and what they need to know, and no buffer.
func TestMemoryOfIdleConnections(t *testing.T) {
	const n, limit = 2000, 10 << 10
	// GOGC: what is allocated on the way and not collected yet is not the connections'.
	s := server.Start(t, server.Options{Ours: true, Env: []string{"GOGC=50"}})
	before := anonymous(t, s.Pid())
	for range n {
		c, err := load.Dial(t.Context(), s.Addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := c.Do(kmsg.NewPtrMetadataRequest()); err != nil {
			t.Fatal(err)
		}
	}
	each := (anonymous(t, s.Pid()) - before) / n
	t.Logf("%.1f KB for each of %d idle connections", float64(each)/1024, n)
	if each > limit {
		t.Errorf("%d bytes for each idle connection, the limit is %d", each, limit)
	}
}
