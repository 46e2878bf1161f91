package compare

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// measure is one run of a case on one server.
type measure struct {
	perSecond float64 // requests
	mbps      float64
	p50, p99  time.Duration
	cpu       float64 // seconds of the server's processors in each second
}

// column is what a case measured on one server, run by run.
type column struct {
	server string
	runs   []measure
}

// spread is the median of something, with the least and the most.
func (c column) spread(of func(measure) float64) (median, least, most float64) {
	values := make([]float64, len(c.runs))
	for i, m := range c.runs {
		values[i] = of(m)
	}
	slices.Sort(values)
	return values[len(values)/2], values[0], values[len(values)-1]
}

// table writes one case: a line for each server, the ratios to the first.
func table(name string, columns []column) string {
	var b strings.Builder
	fmt.Fprintf(&b, "| %s | requests/s (least-most) | ratio | MB/s | p50 | p99 | server CPU, s per million requests |\n|---|---:|---:|---:|---:|---:|---:|\n", name)
	rate := func(m measure) float64 { return m.perSecond }
	first, _, _ := columns[0].spread(rate)
	for _, c := range columns {
		median, least, most := c.spread(rate)
		mbps, _, _ := c.spread(func(m measure) float64 { return m.mbps })
		p50, _, _ := c.spread(func(m measure) float64 { return float64(m.p50) })
		p99, _, _ := c.spread(func(m measure) float64 { return float64(m.p99) })
		cpu, _, _ := c.spread(func(m measure) float64 { return m.cpu / m.perSecond * 1e6 })
		fmt.Fprintf(&b, "| %s | %.0f (%.0f-%.0f) | %.2f | %.1f | %v | %v | %.0f |\n", c.server, median, least, most, median/first, mbps,
			time.Duration(p50).Round(10*time.Microsecond), time.Duration(p99).Round(10*time.Microsecond), cpu)
	}
	return b.String()
}
