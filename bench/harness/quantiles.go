package harness

import (
	"strconv"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Delivered begins the names of the figures of what came to a reader, in place of what was acknowledged to a writer.
const Delivered = "delivered "

// Quantiles are the percentiles that a report has of every latency, so that the whole of it can be drawn.
var Quantiles = []float64{0, 25, 50, 75, 90, 95, 99, 99.5, 99.9, 99.95, 99.99}

// Quantile is the name of a percentile's figure: P99 is Quantile(99), Deliver99 is Delivered + Quantile(99).
func Quantile(q float64) string { return "p" + strconv.FormatFloat(q, 'g', -1, 64) + " ms" }

// Distribution are the percentiles of a latency in nanoseconds, but not those that are of fewer than ten requests.
func Distribution(kind string, h *hdrhistogram.Histogram) Figures {
	f := Figures{}
	for _, q := range Quantiles {
		if named := q == 50 || q == 99 || q == 99.9; named || float64(h.TotalCount())*(100-q) >= 1000 {
			f[kind+Quantile(q)] = Ms(time.Duration(h.ValueAtQuantile(q)))
		}
	}
	return f
}
