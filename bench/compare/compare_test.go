package compare

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"gregor/bench/load"
	"gregor/test/client"
	"gregor/test/server"
)

var (
	rounds  = flag.Int("rounds", 3, "times that each case is measured on each server")
	seconds = flag.Int("seconds", 3, "seconds of each measurement")
	cases   = flag.String("cases", "", "which cases, a regular expression")
)

func TestMain(m *testing.M) { server.Main(m) }

// kind is a load on a topic of its own.
type kind struct {
	name       string
	partitions int
	load       load.Produce
	variants   []variant
}

// variant is a server and the topic's configuration.
type variant struct {
	name   string
	apache bool
	config []string
}

func kinds() []kind {
	one := load.Produce{Acks: -1, Batch: load.Batch(1, 100, time.Now().UnixMilli()), PerBatch: 1}
	small, big := one, one
	one.Conns, one.InFlight = 32, 1
	small.Conns, small.InFlight = 16, 8
	big.Batch, big.PerBatch = load.Batch(128, 1000, time.Now().UnixMilli()), 128
	big.Conns, big.InFlight = 2, 5
	flush := []string{"flush.messages", "1"}
	return []kind{
		{"flush before acknowledge, 32 connections, one record each", 1, one,
			[]variant{{"Apache Kafka, flush.messages=1", true, flush}, {"gregor, flush.messages=1", false, flush}, {"gregor, flushed by the system", false, nil}}},
		{"small requests, 16 connections, 8 in flight", 3, small, []variant{{"Apache Kafka", true, nil}, {"gregor", false, nil}}},
		{"large batches, 128 x 1 KB", 3, big, []variant{{"Apache Kafka", true, nil}, {"gregor", false, nil}}},
	}
}

func TestCompare(t *testing.T) {
	if os.Getenv("GREGOR_COMPARE") == "" {
		t.Skip("measures for minutes: make bench-compare")
	}
	only := regexp.MustCompile(*cases)
	var out strings.Builder
	for _, k := range kinds() {
		if !only.MatchString(k.name) {
			continue
		}
		// A directory's name, which comes from the test's, stands in log.dirs, which is a list.
		t.Run(strings.ReplaceAll(k.name, ",", ""), func(t *testing.T) { out.WriteString(k.measure(t) + "\n") })
	}
	fmt.Print("\n", out.String())
}

func (k kind) measure(t *testing.T) string {
	servers := map[bool]*server.Server{}
	columns := make([]column, len(k.variants))
	for i, v := range k.variants {
		columns[i].server = v.name
		if servers[v.apache] == nil {
			servers[v.apache] = server.Start(t, server.Options{Apache: v.apache, Ours: !v.apache, Fast: true, Extra: []string{"log.retention.check.interval.ms=1000"}})
		}
		client.Create(t, servers[v.apache].Addr, topic(i), k.partitions, append([]string{"retention.bytes", "1000000000", "segment.bytes", "268435456"}, v.config...)...)
	}
	for round := range *rounds + 1 { // the first warms up
		for i, v := range k.variants {
			s := servers[v.apache]
			l := k.load
			l.Topic, l.Warmup, l.Time = topic(i), 500*time.Millisecond, time.Duration(*seconds)*time.Second
			for range k.partitions {
				l.Addrs = append(l.Addrs, s.Addr)
			}
			before := cpu(s.Pid())
			var r load.Result
			client.Retry(t, func() (err error) { // the leaders of a new topic begin a little later
				r, err = l.Run(t.Context())
				return err
			})
			used := cpu(s.Pid()) - before
			if round == 0 {
				continue
			}
			m := measure{perSecond: r.PerSecond(), mbps: float64(r.Bytes) / 1e6 / r.Elapsed.Seconds(), p50: r.Quantile(50), p99: r.Quantile(99),
				cpu: used.Seconds() / (l.Warmup + l.Time).Seconds()}
			columns[i].runs = append(columns[i].runs, m)
			t.Logf("%-40s %8.0f requests/s, p50 %v, p99 %v", v.name, m.perSecond, m.p50, m.p99)
		}
	}
	return table(k.name, columns)
}

func topic(i int) string { return "variant-" + strconv.Itoa(i) }

// cpu is the processor time that a process has used.
func cpu(pid int) time.Duration {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0 // not Linux
	}
	const ticks = 100 // a second, on every Linux that Go runs on
	_, rest, _ := strings.Cut(string(b), ") ")
	f := strings.Fields(rest)
	user, _ := strconv.ParseInt(f[11], 10, 64)
	system, _ := strconv.ParseInt(f[12], 10, 64)
	return time.Duration(user+system) * time.Second / ticks
}
