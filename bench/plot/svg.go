package plot

import (
	"fmt"
	"html"
	"strings"
)

// canvas collects the elements of a picture.
type canvas struct {
	width, height float64
	b             strings.Builder
}

// style gives every class its colour on a light page and on a dark one. Servers that are not named have the class other.
const style = `
text { font: 12px system-ui, -apple-system, "Segoe UI", Helvetica, Arial, sans-serif; fill: #1f2328 }
.title { font-size: 15px; font-weight: 600 } .case { font-weight: 600 } .dim { fill: #59636e }
.page { fill: #ffffff } .grid { stroke: #d1d9e0 } .one { stroke: #59636e }
.gregor { fill: #0969da; stroke: #0969da } .apache { fill: #bc4c00; stroke: #bc4c00 } .limit { fill: #6e7781; stroke: #6e7781 }
.nats { fill: #1a7f37; stroke: #1a7f37 } .nats-fast { fill: #4ac26b; stroke: #4ac26b }
.rabbitmq-quorum { fill: #cf222e; stroke: #cf222e } .rabbitmq-stream { fill: #8250df; stroke: #8250df }
.rabbitmq-stream-batched { fill: #bf3989; stroke: #bf3989 } .other { fill: #9a6700; stroke: #9a6700 }
polyline { fill: none !important; stroke-width: 2 }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 } .dim { fill: #9198a1 } .page { fill: #0d1117 } .grid { stroke: #3d444d } .one { stroke: #9198a1 }
.gregor { fill: #4493f8; stroke: #4493f8 } .apache { fill: #f0883e; stroke: #f0883e } .limit { fill: #9198a1; stroke: #9198a1 }
.nats { fill: #3fb950; stroke: #3fb950 } .nats-fast { fill: #7ee787; stroke: #7ee787 }
.rabbitmq-quorum { fill: #f85149; stroke: #f85149 } .rabbitmq-stream { fill: #ab7df8; stroke: #ab7df8 }
.rabbitmq-stream-batched { fill: #f778ba; stroke: #f778ba } .other { fill: #d29922; stroke: #d29922 }
}
`

// class is the class of a server's colour.
func class(server string) string {
	if strings.Contains(style, "\n."+server+" {") || strings.Contains(style, " ."+server+" {") {
		return server
	}
	return "other"
}

func (c *canvas) line(class string, x1, y1, x2, y2 float64) {
	fmt.Fprintf(&c.b, `<line class="%s" x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f"/>`+"\n", class, x1, y1, x2, y2)
}

func (c *canvas) rect(class string, x, y, width, height float64) {
	fmt.Fprintf(&c.b, `<rect class="%s" x="%.1f" y="%.1f" width="%.1f" height="%.1f"/>`+"\n", class, x, y, width, height)
}

// text is anchored at its start, middle or end.
func (c *canvas) text(class, anchor string, x, y float64, s string) {
	fmt.Fprintf(&c.b, `<text class="%s" text-anchor="%s" x="%.1f" y="%.1f">%s</text>`+"\n", class, anchor, x, y, html.EscapeString(s))
}

func (c *canvas) polyline(class string, points [][2]float64) {
	fmt.Fprintf(&c.b, `<polyline class="%s" points="`, class)
	for _, p := range points {
		fmt.Fprintf(&c.b, "%.1f,%.1f ", p[0], p[1])
	}
	c.b.WriteString("\"/>\n")
}

func (c *canvas) String() string {
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %.0f %.0f" width="%.0f" height="%.0f">`+"\n<style>%s</style>\n"+
		`<rect class="page" x="0" y="0" width="%.0f" height="%.0f"/>`+"\n%s</svg>\n",
		c.width, c.height, c.width, c.height, style, c.width, c.height, c.b.String())
}
