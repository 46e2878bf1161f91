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

// Goals writes a table of them, with what the limit server has beside it.
func Goals(goals []Goal, cases []Outcome, server string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "| case | figure | goal | %s | %s | |\n|---|---|---:|---:|---:|---|\n", server, LimitName)
	for _, g := range goals {
		v, limit := g.measured(cases, server), g.measured(cases, LimitName)
		shown := ""
		if g.Against != LimitName && !math.IsNaN(limit) { // else it has nothing to say
			shown = g.show(limit)
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s |\n", g.What, g.title(), g.bound(), g.show(v), shown, g.verdict(v, limit))
	}
	return b.String()
}

func (g Goal) title() string {
	switch {
	case g.Against != "":
		return g.Figure + " of " + g.Against + "'s"
	case g.AgainstCase != "":
		return g.Figure + " of " + g.AgainstCase
	}
	return g.Figure
}

func (g Goal) bound() string {
	if MoreIsBetter(g.Figure) {
		return "at least " + g.Says
	}
	return "at most " + g.Says
}

func (g Goal) show(v float64) string {
	switch {
	case math.IsNaN(v):
		return "not measured"
	case g.Against != "" || g.AgainstCase != "":
		return ratio(v, 1)
	}
	return describe(g.Figure).show(v)
}

func (g Goal) met(v float64) bool {
	if MoreIsBetter(g.Figure) {
		return v >= g.Bound
	}
	return v <= g.Bound
}

func (g Goal) verdict(v, limit float64) string {
	switch {
	case math.IsNaN(v):
		return ""
	case g.met(v):
		return "reached"
	case !math.IsNaN(limit) && !g.met(limit):
		return "not reached, nor by the limit"
	}
	return "not reached"
}
