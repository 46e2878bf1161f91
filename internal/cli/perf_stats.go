package cli

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"sync"
	"time"
)

// perfStats counts acknowledged records as kafka-producer-perf-test does. Its methods may be called from several
// goroutines.
type perfStats struct {
	mu       sync.Mutex
	w        io.Writer
	steady   bool // only records after the warm-up are counted here
	silent   bool // windows are no longer printed
	interval time.Duration

	start     time.Time
	latencies []int32 // every sampling-th latency
	sampling  int64
	count     int64
	bytes     int64
	total     int64 // of latencies
	max       int64

	window struct {
		start                    time.Time
		count, bytes, total, max int64
	}
}

// maxSamples is how many latencies are kept for the percentiles.
const maxSamples = 500_000

func newPerfStats(w io.Writer, records int64, interval time.Duration, steady bool, now time.Time) *perfStats {
	s := &perfStats{w: w, steady: steady, interval: interval, start: now, sampling: max(1, records/maxSamples)}
	s.latencies = make([]int32, 0, min(records/s.sampling+1, maxSamples))
	s.window.start = now
	return s
}

// record counts one acknowledged record; latencies are in whole milliseconds.
func (s *perfStats) record(latency time.Duration, bytes int, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ms := max(0, latency.Milliseconds())
	if s.count%s.sampling == 0 {
		s.latencies = append(s.latencies, int32(min(ms, math.MaxInt32)))
	}
	s.count++
	s.bytes += int64(bytes)
	s.total += ms
	s.max = max(s.max, ms)
	s.window.count++
	s.window.bytes += int64(bytes)
	s.window.total += ms
	s.window.max = max(s.window.max, ms)
	if now.Sub(s.window.start) >= s.interval {
		s.printWindow(now)
	}
}

func (s *perfStats) silence() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.silent = true
}

const megabyte = 1024 * 1024

func (s *perfStats) printWindow(now time.Time) {
	elapsed := preciseMs(now.Sub(s.window.start))
	if !s.silent {
		if s.steady && s.count == s.window.count {
			fmt.Fprintln(s.w, "In steady state.")
		}
		fmt.Fprintf(s.w, "%d records sent, %s records/sec (%s MB/sec), %s ms avg latency, %s ms max latency.\n", s.window.count,
			javaFixed(1000*float64(s.window.count)/elapsed, 1), javaFixed(1000*float64(s.window.bytes)/elapsed/megabyte, 2),
			javaFixed(float64(s.window.total)/float64(s.window.count), 1), javaFixed(float64(s.window.max), 1))
	}
	s.window.start = now
	s.window.count, s.window.bytes, s.window.total, s.window.max = 0, 0, 0, 0
}

func (s *perfStats) printTotal(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	elapsed := preciseMs(now.Sub(s.start))
	slices.Sort(s.latencies)
	percentile := func(p float64) int32 {
		if len(s.latencies) == 0 {
			return 0
		}
		return s.latencies[int(p*float64(len(s.latencies)))]
	}
	steady := ""
	if s.steady {
		steady = " steady state"
	}
	fmt.Fprintf(s.w, "%d%s records sent, %s records/sec (%s MB/sec), %s ms avg latency, %s ms max latency, %d ms 50th, %d ms 95th, %d ms 99th, %d ms 99.9th.\n",
		s.count, steady, javaFixed(1000*float64(s.count)/elapsed, 6), javaFixed(1000*float64(s.bytes)/elapsed/megabyte, 2),
		javaFixed(float64(s.total)/float64(s.count), 2), javaFixed(float64(s.max), 2),
		percentile(0.5), percentile(0.95), percentile(0.99), percentile(0.999))
}

// preciseMs is a duration in milliseconds with what comes after the point: Kafka rounds down, and divides by zero when a
// test is over within a millisecond.
func preciseMs(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// javaFixed prints a number with so many decimals, and what is no number in Java's words.
func javaFixed(v float64, decimals int) string {
	switch {
	case math.IsNaN(v):
		return "NaN"
	case math.IsInf(v, 1):
		return "Infinity"
	case math.IsInf(v, -1):
		return "-Infinity"
	}
	return strconv.FormatFloat(v, 'f', decimals, 64)
}

// throttle says how long a sender has to wait so that no more than rate records a second leave. A rate below 0 is no
// limit; with 0 nothing leaves after the first record.
type throttle struct {
	rate  float64
	start time.Time
}

// wait is how long before record number n (from 0) may be followed by the next one.
func (t throttle) wait(n int64, now time.Time) time.Duration {
	switch {
	case t.rate < 0:
		return 0
	case t.rate == 0:
		return math.MaxInt64
	}
	due := t.start.Add(time.Duration(float64(n+1) / t.rate * float64(time.Second)))
	// Timers are coarse: what is less than two milliseconds is made up for later.
	if d := due.Sub(now); d >= 2*time.Millisecond {
		return d
	}
	return 0
}
