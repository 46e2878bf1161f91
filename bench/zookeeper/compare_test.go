package zookeeper

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gregor/test/server"
	zk "gregor/test/zookeeper"
)

var (
	rounds  = flag.Int("rounds", 3, "times that each case is measured on each server")
	seconds = flag.Float64("seconds", 3, "seconds of each measurement")
)

func TestMain(m *testing.M) { server.Main(m) }

// nodes is how many a large tree has, each with so many bytes.
const (
	nodes     = 100_000
	nodeBytes = 100
	watchers  = 1000
)

// column is a server.
type column struct {
	name   string
	server *zk.Server
}

// row is what was measured of both, in their order.
type row struct {
	what    string
	better  string // "more" or "less"
	unit    string
	figures [2][]float64
}

// TestCompare measures both and prints a table.
func TestCompare(t *testing.T) {
	if os.Getenv("GREGOR_COMPARE") == "" {
		t.Skip("measures for minutes: make bench-zookeeper")
	}
	columns := [2]column{{name: "gregor"}, {name: "Apache ZooKeeper 3.8"}}
	for i := range columns {
		// Heap and options are those of Kafka's zookeeper-server-start.
		columns[i].server = zk.Start(t, zk.Options{Apache: i == 1, Heap: "512m", Fast: true, Extra: []string{"tickTime=2000"}})
	}
	var table []*row
	measure := func(what, better, unit string, times int, f func(*zk.Server) float64) {
		r := &row{what: what, better: better, unit: unit}
		table = append(table, r)
		for range times {
			for i, c := range columns {
				r.figures[i] = append(r.figures[i], f(c.server))
			}
		}
		t.Log(r)
	}
	measure("start, empty", "less", "ms", *rounds, func(s *zk.Server) float64 { return restart(t, s) })
	for _, c := range columns { // both have run in before anything is measured
		for range 2 {
			creates(t, c.server, 16)
			reads(t, c.server, 16)
		}
	}
	for _, clients := range []int{1, 16, 100} {
		measure(fmt.Sprintf("creates, clients: %d", clients), "more", "/s", *rounds, func(s *zk.Server) float64 { return creates(t, s, clients) })
	}
	for _, clients := range []int{1, 16, 100} {
		measure(fmt.Sprintf("reads, clients: %d", clients), "more", "/s", *rounds, func(s *zk.Server) float64 { return reads(t, s, clients) })
	}
	for _, each := range []struct {
		name string
		load func(*testing.T, *zk.Server, int) float64
	}{{"a create", creates}, {"a read", reads}} {
		measure("CPU of "+each.name+", clients: 16", "less", "µs", *rounds, func(s *zk.Server) float64 {
			before := s.CPU()
			rate := each.load(t, s, 16)
			return float64((s.CPU() - before).Microseconds()) / (rate * *seconds)
		})
	}
	measure(fmt.Sprintf("one change until %d watchers know", watchers), "less", "ms", *rounds, func(s *zk.Server) float64 { return fanOut(t, s) })

	// A tree of its own, since what was made until now would count.
	for i := range columns {
		columns[i].server.Kill()
		columns[i].server = zk.Start(t, zk.Options{Apache: i == 1, Heap: "512m", Fast: true, Extra: []string{"tickTime=2000"}})
	}
	measure("memory, empty", "less", "MB", 1, func(s *zk.Server) float64 { return float64(s.ResidentBytes()) / 1e6 })
	measure(fmt.Sprintf("%d creates, 1,000 in flight", nodes), "less", "s", 1, func(s *zk.Server) float64 { return fill(t, s) })
	measure(fmt.Sprintf("memory after that: %d nodes", nodes), "less", "MB", 1, func(s *zk.Server) float64 { return float64(s.ResidentBytes()) / 1e6 })
	measure(fmt.Sprintf("start, %d nodes in the log", nodes), "less", "ms", 1, func(s *zk.Server) float64 { return restart(t, s) })
	measure(fmt.Sprintf("start, %d nodes in a snapshot", nodes), "less", "ms", *rounds, func(s *zk.Server) float64 { return restart(t, s) })
	measure(fmt.Sprintf("memory after a start: %d nodes", nodes), "less", "MB", 1, func(s *zk.Server) float64 { return float64(s.ResidentBytes()) / 1e6 })
	t.Logf("\n%s", markdown(columns, table))
}

func (r *row) String() string {
	return fmt.Sprintf("%s: gregor %.1f, Apache %.1f %s", r.what, r.figures[0], r.figures[1], r.unit)
}

func median(all []float64) float64 {
	all = slices.Sorted(slices.Values(all))
	return all[len(all)/2]
}

func markdown(columns [2]column, table []*row) string {
	var b strings.Builder
	fmt.Fprintf(&b, "| | %s | %s | ratio |\n|---|---|---|---|\n", columns[0].name, columns[1].name)
	for _, r := range table {
		ours, theirs := median(r.figures[0]), median(r.figures[1])
		ratio, format := ours/theirs, "%.0f"
		if r.better == "less" {
			ratio = theirs / ours
		}
		if theirs < 10 || ours < 10 {
			format = "%.1f"
		}
		word := "better"
		if ratio < 1 {
			word = "worse"
			ratio = 1 / ratio
		}
		fmt.Fprintf(&b, "| %s, %s | "+format+" | "+format+" | %.1f times %s |\n", r.what, r.unit, ours, theirs, ratio, word)
	}
	return b.String()
}

func restart(t *testing.T, s *zk.Server) float64 {
	s.Kill()
	began := time.Now()
	s.Restart(t)
	return float64(time.Since(began).Microseconds()) / 1000
}

func dial(t *testing.T, s *zk.Server) *zk.Conn {
	t.Helper()
	c, err := zk.Dial(s.Addr, zk.Hello{TimeoutMs: 30_000})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func do(t *testing.T, c *zk.Conn, r zk.Request) {
	if m, err := c.Do(r); err != nil || m.Err != 0 && m.Err != -110 {
		t.Errorf("%s: %+v, %v", r.Text, m, err)
	}
}

// busy has clients with one request in flight each work for a while, and returns requests a second.
func busy(t *testing.T, s *zk.Server, clients int, next func(client, n int) zk.Request) float64 {
	conns := make([]*zk.Conn, clients)
	for i := range conns {
		conns[i] = dial(t, s)
		defer func() {
			do(t, conns[i], zk.Bare(zk.OpCloseSession))
			_ = conns[i].Close()
		}()
	}
	var done atomic.Int64
	var work sync.WaitGroup
	began := time.Now()
	end := began.Add(time.Duration(*seconds * float64(time.Second)))
	for i, c := range conns {
		work.Go(func() {
			for n := 0; time.Now().Before(end); n++ {
				do(t, c, next(i, n))
				done.Add(1)
			}
		})
	}
	work.Wait()
	return float64(done.Load()) / time.Since(began).Seconds()
}

var run atomic.Int64 // gives each measurement a part of the tree of its own

func creates(t *testing.T, s *zk.Server, clients int) float64 {
	root := fmt.Sprintf("/creates-%d", run.Add(1))
	c := dial(t, s)
	do(t, c, zk.Create(zk.OpCreate, root, nil, zk.Open, 0, 0))
	for i := range clients {
		do(t, c, zk.Create(zk.OpCreate, fmt.Sprintf("%s/%d", root, i), nil, zk.Open, 0, 0))
	}
	_ = c.Close()
	data := make([]byte, nodeBytes)
	return busy(t, s, clients, func(client, n int) zk.Request {
		return zk.Create(zk.OpCreate, fmt.Sprintf("%s/%d/%d", root, client, n), data, zk.Open, 0, 0)
	})
}

func reads(t *testing.T, s *zk.Server, clients int) float64 {
	c := dial(t, s)
	do(t, c, zk.Create(zk.OpCreate, "/read", make([]byte, nodeBytes), zk.Open, 0, 0))
	_ = c.Close()
	r := zk.Read(zk.OpGetData, "/read", false)
	return busy(t, s, clients, func(int, int) zk.Request { return r })
}

func fanOut(t *testing.T, s *zk.Server) float64 {
	c := dial(t, s)
	do(t, c, zk.Create(zk.OpCreate, "/watched", nil, zk.Open, 0, 0))
	conns := make([]*zk.Conn, watchers)
	for i := range conns {
		conns[i] = dial(t, s)
		defer conns[i].Close()
		do(t, conns[i], zk.Read(zk.OpGetData, "/watched", true))
	}
	var work sync.WaitGroup
	for _, each := range conns {
		work.Go(func() {
			if m, err := each.Receive(); err != nil || m.Xid != zk.XidEvent {
				t.Errorf("%+v, %v", m, err)
			}
		})
	}
	began := time.Now()
	do(t, c, zk.SetData("/watched", nil, -1))
	work.Wait()
	took := time.Since(began)
	_ = c.Close()
	return float64(took.Microseconds()) / 1000
}

func fill(t *testing.T, s *zk.Server) float64 {
	c := dial(t, s)
	defer c.Close()
	do(t, c, zk.Create(zk.OpCreate, "/many", nil, zk.Open, 0, 0))
	for i := range 100 {
		do(t, c, zk.Create(zk.OpCreate, fmt.Sprintf("/many/%d", i), nil, zk.Open, 0, 0))
	}
	began := time.Now()
	window := make(chan struct{}, 1000)
	go func() {
		data := make([]byte, nodeBytes)
		for i := range nodes {
			window <- struct{}{}
			if _, err := c.Send(zk.Create(zk.OpCreate, fmt.Sprintf("/many/%d/node-%d", i%100, i), data, zk.Open, 0, 0)); err != nil {
				t.Error(err)
				return
			}
		}
	}()
	for range nodes {
		if m, err := c.Receive(); err != nil || m.Err != 0 {
			t.Fatal(m, err)
		}
		<-window
	}
	return time.Since(began).Seconds()
}
