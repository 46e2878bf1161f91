package cli

import (
	"bytes"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

func TestPerfStatsPrintsKafkasLines(t *testing.T) {
	var out bytes.Buffer
	start := time.UnixMilli(1_000_000)
	all := newPerfStats(&out, 4, time.Second, false, start)
	for i, latency := range []int64{10, 20, 30} {
		all.record(milliseconds(latency), megabyte, start.Add(time.Duration(i+1)*100*time.Millisecond))
	}
	all.record(milliseconds(41), megabyte, start.Add(1250*time.Millisecond))
	all.printTotal(start.Add(2 * time.Second))
	steady := newPerfStats(&out, 1, time.Second, true, start)
	steady.record(milliseconds(5), 100, start.Add(time.Second))
	steady.printTotal(start.Add(time.Second))
	silent := newPerfStats(&out, 1, time.Second, false, start)
	silent.silence()
	silent.record(0, 1, start.Add(time.Hour))
	newPerfStats(&out, 1, time.Second, false, start).printTotal(start)
	want := `4 records sent, 3.2 records/sec (3.20 MB/sec), 25.2 ms avg latency, 41.0 ms max latency.
4 records sent, 2.000000 records/sec (2.00 MB/sec), 25.25 ms avg latency, 41.00 ms max latency, 30 ms 50th, 41 ms 95th, 41 ms 99th, 41 ms 99.9th.
In steady state.
1 records sent, 1.0 records/sec (0.00 MB/sec), 5.0 ms avg latency, 5.0 ms max latency.
1 steady state records sent, 1.000000 records/sec (0.00 MB/sec), 5.00 ms avg latency, 5.00 ms max latency, 5 ms 50th, 5 ms 95th, 5 ms 99th, 5 ms 99.9th.
0 records sent, NaN records/sec (NaN MB/sec), NaN ms avg latency, 0.00 ms max latency, 0 ms 50th, 0 ms 95th, 0 ms 99th, 0 ms 99.9th.
`
	if got := out.String(); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestPerfStatsKeepsSamples(t *testing.T) {
	start := time.UnixMilli(0)
	s := newPerfStats(&bytes.Buffer{}, 3*maxSamples, time.Hour, false, start)
	for i := range 3 * maxSamples {
		s.record(milliseconds(int64(i)), 1, start)
	}
	if len(s.latencies) != maxSamples {
		t.Errorf("%d latencies of %d records", len(s.latencies), s.count)
	}
}

func TestThrottle(t *testing.T) {
	start := time.UnixMilli(0)
	at := func(ms int64) time.Time { return start.Add(milliseconds(ms)) }
	limited := throttle{100, start}
	if d := limited.wait(0, at(0)); d != 10*time.Millisecond {
		t.Errorf("after the first record: %v", d)
	}
	if d := limited.wait(9, at(40)); d != 60*time.Millisecond {
		t.Errorf("ahead: %v", d)
	}
	if d := limited.wait(9, at(200)); d != 0 {
		t.Errorf("behind: %v", d)
	}
	if d := (throttle{-1, start}).wait(1<<40, at(0)); d != 0 {
		t.Errorf("no limit: %v", d)
	}
	if d := (throttle{0, start}).wait(0, at(0)); d != math.MaxInt64 {
		t.Errorf("stopped: %v", d)
	}
}

func TestJavaDateFormat(t *testing.T) {
	at := time.Date(2026, 3, 4, 15, 6, 7, 89_000_000, time.UTC)
	for pattern, want := range map[string]string{
		"yyyy-MM-dd HH:mm:ss:SSS":     "2026-03-04 15:06:07:089",
		"yy MMM d, h:mm a 'o''clock'": "26 Mar 4, 3:06 PM oclock",
		"EEE EEEE D ''X XXX Z":        "Wed Wednesday 63 'Z Z +0000",
	} {
		f, err := javaDateFormat(pattern)
		if pattern == "yy MMM d, h:mm a 'o''clock'" {
			want = strings.Replace(want, "oclock", "oclock", 1)
		}
		if err != nil || f(at) != want {
			t.Errorf("%q: %v, want %q", pattern, err, want)
			if err == nil {
				t.Error(f(at))
			}
		}
	}
	for _, bad := range []string{"'open", "yyyy-ww"} {
		if _, err := javaDateFormat(bad); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

func TestLetters(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	seen := map[byte]bool{}
	for _, n := range []int{0, 1, 7, 8, 9, 1000} {
		b := make([]byte, n)
		letters(b, rng)
		for _, c := range b {
			seen[c] = true
			if c < 'A' || c > 'Z' {
				t.Fatalf("byte %q", c)
			}
		}
	}
	if len(seen) != 26 {
		t.Errorf("%d letters", len(seen))
	}
}

func TestPerfToolsRefuse(t *testing.T) {
	producer := []string{"--topic", "t", "--num-records", "5", "--throughput", "-1"}
	with := func(more ...string) []string { return append(append([]string{}, producer...), more...) }
	server := []string{"--bootstrap-server", "localhost:1"}
	for want, args := range map[string][]string{
		"Missing required option(s) [throughput]":    {"--topic", "t", "--num-records", "5"},
		"Exactly one of --record-size":               with("--record-size", "1", "--payload-monotonic"),
		"At least one of --bootstrap-server":         with("--payload-monotonic"),
		"--record-size should be greater than zero.": with("--record-size", "0"),
		"must be between 0":                          with("--record-size", "1", "--warmup-records", "5"),
		"Invalid property: linger.ms":                with("--record-size", "1", "--command-property", "acks=1", "linger.ms"),
		"cannot be specified together":               with("--record-size", "1", "--command-property", "a=b", "--producer-props", "c=d"),
		"Invalid value snap for configuration":       with("--record-size", "1", server[0], server[1], "--command-property", "compression.type=snap"),
		"File does not exist or empty file provided": with("--payload-file", "no-such-file", server[0], server[1]),
	} {
		var out, errs bytes.Buffer
		if code := producerPerfCommand().Exec(t.Context(), args, IO{Out: &out, Err: &errs}); code != 1 || !strings.Contains(errs.String(), want) {
			t.Errorf("%v: exit code %d, %.200q", args, code, errs.String())
		}
	}
	for want, args := range map[string][]string{
		"Exactly one of the following arguments is required: [topic], [include]":        {"--num-records", "5"},
		"Exactly one of the following arguments is required: [messages], [num-records]": {"--topic", "t"},
		"Reporting interval must be greater than 0.":                                    {"--topic", "t", "--messages", "4", "--reporting-interval", "0"},
		"the letter w is not supported":                                                 {"--topic", "t", "--messages", "4", server[0], server[1], "--date-format", "ww"},
	} {
		var out, errs bytes.Buffer
		if code := consumerPerfCommand().Exec(t.Context(), args, IO{Out: &out, Err: &errs}); code != 1 || !strings.Contains(errs.String(), want) {
			t.Errorf("%v: exit code %d, %.200q", args, code, errs.String())
		}
	}
}
