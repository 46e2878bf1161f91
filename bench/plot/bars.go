package plot

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"gregor/bench/harness"
)

// bars are a picture of one figure of many cases, as ratios to Apache Kafka's. To the right is always better.
type bars struct {
	title  string
	better string                       // a word for what is to the right: "faster", "less"
	figure func(harness.Outcome) string // the name of the figure in a case; "": the case has none
}

// charts are the pictures of bars, by file name.
func charts() map[string]bars {
	shown := func(names ...string) func(harness.Outcome) string {
		return func(o harness.Outcome) string {
			i := slices.IndexFunc(names, func(n string) bool { return o.Main == n || slices.Contains(o.Show, n) })
			if i < 0 {
				return ""
			}
			return names[i]
		}
	}
	return map[string]bars{
		"ratios.svg": {"What a case is about, as times Apache Kafka's", "better", func(o harness.Outcome) string { return o.Main }},
		"cpu.svg":    {"Server processor time for the same work: times less than Apache Kafka", "less", shown(harness.CPUperGB, harness.CPUperM)},
		"memory.svg": {"Resident memory: times less than Apache Kafka", "less", shown(harness.RSS)},
	}
}

const (
	width  = 860
	labels = 190 // where bars begin
	values = 170 // what is beside the longest bar
	rowH   = 17
)

// row is a bar.
type row struct {
	server       string
	ratio, value float64
}

type group struct {
	title, figure string
	rows          []row
}

// groups are the cases that have the figure, for Apache Kafka and for another.
func (b bars) groups(r harness.Report) (all []group) {
	for _, o := range r.Cases {
		apache, figure := o.Column(harness.ApacheName), b.figure(o)
		if apache == nil || figure == "" {
			continue
		}
		base := apache.Spread(figure).Median
		g := group{title: o.Title, figure: figure}
		for _, c := range o.Columns {
			v := c.Spread(figure).Median
			ratio := v / base
			if !harness.MoreIsBetter(figure) {
				ratio = base / v
			}
			if v > 0 && !math.IsNaN(ratio) && !math.IsInf(ratio, 0) && ratio > 0 {
				g.rows = append(g.rows, row{c.Server, ratio, v})
			}
		}
		if len(g.rows) > 1 {
			all = append(all, g)
		}
	}
	return all
}

// draw returns "" if there is nothing to draw.
func (b bars) draw(r harness.Report) string {
	groups := b.groups(r)
	if len(groups) == 0 {
		return ""
	}
	ratios := []float64{1}
	height := 70.0
	for _, g := range groups {
		height += float64(len(g.rows)+1)*rowH + 14
		for _, row := range g.rows {
			ratios = append(ratios, row.ratio)
		}
	}
	c := &canvas{width: width, height: height}
	a := newAxis(ratios, labels, width-values)
	c.text("title", "start", 12, 22, b.title)
	c.text("dim", "end", width-12, 22, "right: "+b.better+" · logarithmic · "+strings.TrimSpace(r.Machine.CPU))
	for _, v := range a.marks() {
		class := "grid"
		if v == 1 {
			class = "one"
		}
		c.line(class, a.at(v), 50, a.at(v), height-12)
		c.text("dim", "middle", a.at(v), 44, number(v)+"x")
	}
	y := 60.0
	for _, g := range groups {
		c.text("case", "start", 12, y+12, g.title)
		y += rowH
		for _, row := range g.rows {
			c.text("", "end", labels-8, y+12, row.server)
			left, right := min(a.at(1), a.at(row.ratio)), max(a.at(1), a.at(row.ratio))
			c.rect(class(row.server), left, y+3, max(right-left, 1), rowH-5)
			c.text("dim", "start", right+6, y+12, fmt.Sprintf("%sx  %s %s", number(row.ratio), number(row.value), g.figure))
			y += rowH
		}
		y += 14
	}
	return c.String()
}
