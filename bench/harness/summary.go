package harness

import (
	"fmt"
	"strings"
)

// Summary is a table of all cases: what a server has of the figure that each is about, as times what others have.
func Summary(cases []Outcome, server string, others []string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "| case | | %s |", server)
	line := "|---|---|---:|"
	for _, name := range others {
		fmt.Fprintf(&b, " of %s's |", name)
		line += "---:|"
	}
	b.WriteString("\n" + line + "\n")
	for _, o := range cases {
		mine := o.Column(server)
		if mine == nil {
			continue
		}
		v := mine.Spread(o.Main).Median
		fmt.Fprintf(&b, "| %s | %s | %s |", o.Name, o.Main, describe(o.Main).show(v))
		for _, name := range others {
			shown := ""
			if c := o.Column(name); c != nil {
				shown = ratio(v, c.Spread(o.Main).Median)
			}
			fmt.Fprintf(&b, " %s |", shown)
		}
		b.WriteString("\n")
	}
	return b.String()
}
