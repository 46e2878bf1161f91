package harness

import (
	"fmt"
	"math"
	"slices"
	"time"

	"gregor/bench/load"
)

// Figures are what one run measured, by name. The names and their order in a table are those of Known.
type Figures map[string]float64

// Names of figures. CPU is processor time in seconds, memory is in MB (1,000,000 bytes), latency in milliseconds.
const (
	Requests   = "requests/s"
	MBps       = "MB/s"
	P50        = "p50 ms"
	P99        = "p99 ms"
	P999       = "p99.9 ms"
	CPUperGB   = "server CPU s/GB"
	CPUperM    = "server CPU s/million"
	ClientGB   = "client CPU s/GB"
	ClientM    = "client CPU s/million"
	MachineGB  = "machine CPU s/GB" // with the kernel's own threads: writing back to the disk
	MachineM   = "machine CPU s/million"
	RSS        = "RSS MB"
	RSSAnon    = "RSS anon MB"
	RSSFile    = "RSS file MB"
	RSSMost    = "RSS of the largest MB"
	Millis     = "ms"
	Deliver50  = "delivered p50 ms"
	Deliver99  = "delivered p99 ms"
	Deliver999 = "delivered p99.9 ms"
	ReadMBps   = "read MB/s"
)

// figure says how a figure is shown.
type figure struct {
	name   string
	format string
	more   bool // is better
}

// known is in the order of columns; what is not here is shown after them, and less of it is better.
var known = []figure{
	{Requests, "%.0f", true}, {MBps, "%.1f", true}, {ReadMBps, "%.1f", true}, {Millis, "%.1f", false},
	{P50, "%.3f", false}, {P99, "%.3f", false}, {P999, "%.3f", false},
	{Deliver50, "%.3f", false}, {Deliver99, "%.3f", false}, {Deliver999, "%.3f", false},
	{CPUperGB, "%.3f", false}, {CPUperM, "%.1f", false}, {ClientGB, "%.3f", false}, {ClientM, "%.1f", false},
	{MachineGB, "%.3f", false}, {MachineM, "%.1f", false},
	{RSS, "%.0f", false}, {RSSMost, "%.0f", false}, {RSSAnon, "%.0f", false}, {RSSFile, "%.0f", false},
}

// describe finds how a figure is shown.
func describe(name string) figure {
	if i := slices.IndexFunc(known, func(f figure) bool { return f.name == name }); i >= 0 {
		return known[i]
	}
	return figure{name, "%.2f", false}
}

// MoreIsBetter says which way a figure is to go.
func MoreIsBetter(name string) bool { return describe(name).more }

func (f figure) show(v float64) string {
	if math.IsNaN(v) {
		return ""
	}
	return fmt.Sprintf(f.format, v)
}

// Add puts the figures of more in.
func (f Figures) Add(more Figures) Figures {
	for name, v := range more {
		f[name] = v
	}
	return f
}

// Figures are the processor time by the work that was done in it, and the memory.
func (u Usage) Figures(requests, bytes int64) Figures {
	f := Figures{RSS: float64(u.RSSAnon+u.RSSFile) / 1e6, RSSAnon: float64(u.RSSAnon) / 1e6, RSSFile: float64(u.RSSFile) / 1e6, RSSMost: float64(u.RSSMost) / 1e6}
	if bytes > 0 {
		gb := float64(bytes) / 1e9
		f[CPUperGB], f[ClientGB], f[MachineGB] = u.Server.Seconds()/gb, u.Client.Seconds()/gb, u.Machine.Seconds()/gb
	}
	if requests > 0 {
		m := float64(requests) / 1e6
		f[CPUperM], f[ClientM], f[MachineM] = u.Server.Seconds()/m, u.Client.Seconds()/m, u.Machine.Seconds()/m
	}
	return f
}

// OfLoad are the figures of a load: its rate, and the latency of its requests.
func OfLoad(r load.Result) Figures {
	f := Figures{Requests: r.PerSecond(), MBps: float64(r.Bytes) / 1e6 / r.Elapsed.Seconds()}
	if r.Latency != nil && r.Latency.TotalCount() > 0 {
		f.Add(Distribution("", r.Latency))
	}
	return f
}

// Ms is a time in milliseconds.
func Ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// Spread is the median of values, the least and the most.
type Spread struct{ Median, Least, Most float64 }

func spread(values []float64) Spread {
	if len(values) == 0 {
		return Spread{math.NaN(), math.NaN(), math.NaN()}
	}
	v := slices.Sorted(slices.Values(values))
	n := len(v)
	return Spread{(v[(n-1)/2] + v[n/2]) / 2, v[0], v[n-1]}
}
