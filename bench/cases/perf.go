package cases

import (
	"fmt"
	"strconv"
	"strings"

	"gregor/bench/harness"
)

// lastLine is the last line of an output that is not empty.
func lastLine(out string) string {
	out = strings.TrimSpace(out)
	return strings.TrimSpace(out[strings.LastIndexByte(out, '\n')+1:])
}

// producerFigures reads the last line of kafka-producer-perf-test:
//
//	300000 records sent, 105000.1 records/sec (100.14 MB/sec), 25.1 ms avg latency, 301.0 ms max latency, 20 ms 50th, 66 ms 95th, 80 ms 99th, 90 ms 99.9th.
func producerFigures(out string) (harness.Figures, error) {
	line := lastLine(out)
	var records, perSecond float64
	if _, err := fmt.Sscanf(line, "%f records sent, %f records/sec", &records, &perSecond); err != nil {
		return nil, fmt.Errorf("not the last line of kafka-producer-perf-test: %q: %w", line, err)
	}
	if records != perfRecords {
		return nil, fmt.Errorf("%v records of %d: %q", records, perfRecords, line)
	}
	f := harness.Figures{harness.MBps: perSecond * clientRecord / 1e6}
	for _, part := range strings.Split(strings.TrimSuffix(line, "."), ", ") {
		var ms float64
		var which string
		if n, _ := fmt.Sscanf(part, "%f ms %s", &ms, &which); n == 2 {
			switch which {
			case "50th":
				f[harness.P50] = ms
			case "99th":
				f[harness.P99] = ms
			}
		}
	}
	return f, nil
}

// consumerFigures reads the table that kafka-consumer-perf-test prints: a line of names and one of values. The speed is
// that of fetching, without the time to join a group.
func consumerFigures(out string) (harness.Figures, error) {
	var names []string
	for line := range strings.Lines(out) {
		if strings.HasPrefix(line, "start.time") {
			names = strings.Split(strings.TrimSpace(line), ",")
		}
	}
	values := strings.Split(lastLine(out), ",")
	if names == nil || len(values) != len(names) {
		return nil, fmt.Errorf("not what kafka-consumer-perf-test prints:\n%s", out)
	}
	got := make(map[string]float64)
	for i, name := range names {
		if v, err := strconv.ParseFloat(strings.TrimSpace(values[i]), 64); err == nil {
			got[strings.TrimSpace(name)] = v
		}
	}
	if got["data.consumed.in.nMsg"] < readRecords {
		return nil, fmt.Errorf("%v records of %d:\n%s", got["data.consumed.in.nMsg"], readRecords, out)
	}
	return harness.Figures{harness.MBps: got["fetch.nMsg.sec"] * clientRecord / 1e6}, nil
}
