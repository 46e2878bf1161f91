package harness

import (
	"fmt"
	"math"
	"strings"
)

// Goal is what a figure of a case is to reach.
type Goal struct {
	Case, What, Figure string
	Against            string  // a server's name: Bound is the ratio to it; empty: Bound is the figure itself
	AgainstCase        string  // of the same server, in place of another server
	Bound              float64 // at least, if more of the figure is better; else at most
	Says               string  // the bound as it is written: "1/4"
}

// measured is what gregor reached, or NaN.
func (g Goal) measured(cases []Outcome, server string) float64 {
	var mine, other *Column
	for _, o := range cases {
		if o.Name == g.Case {
			mine = o.Column(server)
			if g.Against != "" {
				other = o.Column(g.Against)
			}
		}
	}
	for _, o := range cases {
		if o.Name == g.AgainstCase {
			other = o.Column(server)
		}
	}
	if mine == nil || other == nil && (g.Against != "" || g.AgainstCase != "") {
		return math.NaN()
	}
	v := mine.Spread(g.Figure).Median
	if other != nil {
		v /= other.Spread(g.Figure).Median
	}
	return v
}

// Goals writes a table of them.
func Goals(goals []Goal, cases []Outcome, server string) string {
	var b strings.Builder
	b.WriteString("| case | figure | goal | measured | |\n|---|---|---:|---:|---|\n")
	for _, g := range goals {
		least, against := "at most", ""
		if MoreIsBetter(g.Figure) {
			least = "at least"
		}
		switch {
		case g.Against != "":
			against = " of " + g.Against + "'s"
		case g.AgainstCase != "":
			against = " of " + g.AgainstCase
		}
		v := g.measured(cases, server)
		shown, met := "not measured", ""
		if !math.IsNaN(v) {
			shown, met = describe(g.Figure).show(v), "not reached"
			if against != "" {
				shown = ratio(v, 1)
			}
			if MoreIsBetter(g.Figure) && v >= g.Bound || !MoreIsBetter(g.Figure) && v <= g.Bound {
				met = "reached"
			}
		}
		fmt.Fprintf(&b, "| %s | %s%s | %s %s | %s | %s |\n", g.What, g.Figure, against, least, g.Says, shown, met)
	}
	return b.String()
}
