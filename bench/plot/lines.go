package plot

import (
	"strings"

	"gregor/bench/harness"
)

// latency draws how long requests took: a line for each server, over the share of requests that took no longer. Each step to
// the right is a tenth of the requests of the step before, which is where servers differ. It returns "" if there is nothing
// to draw. Kind is "" for acknowledgements, "delivered " for records that came to a reader.
func latency(r harness.Report, o harness.Outcome, kind string) string {
	type line struct {
		server string
		points [][2]float64 // one in so many requests, milliseconds
	}
	var lines []line
	var all []float64
	for _, column := range o.Columns {
		l := line{server: column.Server}
		for _, q := range harness.Quantiles {
			if v := column.Spread(kind + harness.Quantile(q)).Median; v > 0 { // not NaN
				l.points = append(l.points, [2]float64{100 / (100 - q), v})
				all = append(all, v)
			}
		}
		if len(l.points) > 1 {
			lines = append(lines, l)
		}
	}
	if len(lines) == 0 {
		return ""
	}
	const top, bottom, left, right = 50, 360, 70, 210
	c := &canvas{width: width, height: bottom + 60}
	last := harness.Quantiles[len(harness.Quantiles)-1]
	x := axis{least: 1, most: 100 / (100 - last), from: left, to: width - right}
	y := newAxis(all, bottom, top)
	title, rest, _ := strings.Cut(o.Title, ": ")
	c.text("title", "start", 12, 22, title+", ms until "+map[string]string{"": "acknowledged", harness.Delivered: "delivered"}[kind])
	c.text("dim", "start", 12, 40, rest)
	c.text("dim", "end", width-12, bottom+40, strings.TrimSpace(r.Machine.CPU))
	for _, v := range y.marks() {
		c.line("grid", left, y.at(v), width-right, y.at(v))
		c.text("dim", "end", left-8, y.at(v)+4, number(v))
	}
	for _, q := range harness.Quantiles {
		at := x.at(100 / (100 - q))
		c.line("grid", at, top, at, bottom)
		if label := strings.TrimSuffix(harness.Quantile(q), " ms"); q >= 90 || q == 50 {
			c.text("dim", "middle", at, bottom+18, label)
		}
	}
	c.text("dim", "middle", (left+width-right)/2, bottom+40, "share of requests that took no longer")
	for i, l := range lines {
		points := make([][2]float64, len(l.points))
		for j, p := range l.points {
			points[j] = [2]float64{x.at(p[0]), y.at(p[1])}
		}
		c.polyline(class(l.server), points)
		at := top + 12 + float64(i)*20
		c.rect(class(l.server), width-right+16, at-6, 18, 4)
		c.text("", "start", width-right+42, at, l.server)
	}
	return c.String()
}
