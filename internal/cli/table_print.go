package cli

import (
	"fmt"
	"io"
	"strings"
)

// printTable prints rows, the first of which is the heads, as Kafka's newer tools do: every cell filled up to the
// widest of its column and followed by a tab.
func printTable(w io.Writer, rows [][]string) {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], len(cell))
		}
	}
	for _, row := range rows {
		var line strings.Builder
		for i, cell := range row {
			fmt.Fprintf(&line, "%-*s\t", widths[i], cell)
		}
		fmt.Fprintln(w, line.String())
	}
}
