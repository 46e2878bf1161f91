package cases

import (
	"math"
	"testing"

	"gregor/bench/harness"
)

func TestProducerFigures(t *testing.T) {
	const out = `4001 records sent, 799.6 records/sec (0.76 MB/sec), 12.0 ms avg latency, 301.0 ms max latency.
300000 records sent, 105000.5 records/sec (100.14 MB/sec), 25.15 ms avg latency, 301.00 ms max latency, 20 ms 50th, 66 ms 95th, 80 ms 99th, 90 ms 99.9th.

`
	f, err := producerFigures(out)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range (harness.Figures{harness.MBps: 105.0005, harness.P50: 20, harness.P99: 80}) {
		if math.Abs(f[name]-want) > 1e-9 {
			t.Errorf("%s is %v, want %v", name, f[name], want)
		}
	}
	for name, bad := range map[string]string{
		"empty": "", "another program's": "usage: ProducerPerformance [-h]",
		"too few": "4001 records sent, 799.6 records/sec (0.76 MB/sec), 12.0 ms avg latency, 301.0 ms max latency.",
	} {
		if f, err := producerFigures(bad); err == nil {
			t.Errorf("%s: %v", name, f)
		}
	}
}

func TestConsumerFigures(t *testing.T) {
	const head = "start.time, end.time, data.consumed.in.MB, MB.sec, data.consumed.in.nMsg, nMsg.sec, rebalance.time.ms, fetch.time.ms, fetch.MB.sec, fetch.nMsg.sec\n"
	const row = "2026-11-23 03:00:00:000, 2026-11-23 03:00:04:500, 429.1534, 95.3674, 450000, 100000.0000, 500, 4000, 107.2884, 112500.0000\n"
	f, err := consumerFigures("a warning\n" + head + row)
	if err != nil || f[harness.MBps] != 112.5 {
		t.Errorf("%v, %v", f, err)
	}
	const few = "2026-11-23 03:00:00:000, 2026-11-23 03:00:04:500, 0.9537, 0.2119, 1000, 222.0000, 500, 4000, 0.2384, 250.0000\n"
	for name, bad := range map[string]string{"empty": "", "no head": row, "no row": head, "too few": head + few} {
		if f, err := consumerFigures(bad); err == nil {
			t.Errorf("%s: %v", name, f)
		}
	}
}

// Names are what -cases chooses by, and every case can be shown.
func TestAllCases(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range All() {
		if c.Name == "" || c.Title == "" || c.Main == "" || c.Measure == nil {
			t.Errorf("%q lacks something: %+v", c.Name, c)
		}
		if seen[c.Name] {
			t.Errorf("%s is there twice", c.Name)
		}
		seen[c.Name] = true
		if n := c.Config.Nodes; c.Workload.Replicas > max(n, 1) {
			t.Errorf("%s: %d replicas on %d nodes", c.Name, c.Workload.Replicas, n)
		}
	}
}
