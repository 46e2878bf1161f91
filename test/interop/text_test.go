package interop

import (
	"slices"
	"strings"

	"gregor/test/reference"
)

func firstLine(text string) string {
	for _, line := range strings.Split(text, "\n") {
		if strings.TrimSpace(line) != "" {
			return line
		}
	}
	return ""
}

func sortLines(text string) string {
	lines := strings.Split(text, "\n")
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

func indent(prefix, text string) string {
	var b strings.Builder
	for _, line := range strings.Split(strings.TrimRight(text, "\n"), "\n") {
		b.WriteString("    " + prefix + line + "\n")
	}
	return b.String()
}

func both(ours, theirs reference.Result) string {
	return indent("ours: ", ours.Stdout+ours.Stderr) + indent("theirs: ", theirs.Stdout+theirs.Stderr)
}

// lineDiff shows which lines of a are not in b (-) and the other way round (+), by the longest common subsequence, for
// outputs of some hundred lines; of longer ones it shows where they part.
func lineDiff(a, b string) string {
	x, y := strings.Split(a, "\n"), strings.Split(b, "\n")
	const most = 600
	if len(x) > most || len(y) > most {
		i := 0
		for i < len(x) && i < len(y) && x[i] == y[i] {
			i++
		}
		return indent("- ", strings.Join(x[i:min(i+5, len(x))], "\n")) + indent("+ ", strings.Join(y[i:min(i+5, len(y))], "\n"))
	}
	length := make([][]int, len(x)+1)
	for i := range length {
		length[i] = make([]int, len(y)+1)
	}
	for i := len(x) - 1; i >= 0; i-- {
		for j := len(y) - 1; j >= 0; j-- {
			if x[i] == y[j] {
				length[i][j] = length[i+1][j+1] + 1
			} else {
				length[i][j] = max(length[i+1][j], length[i][j+1])
			}
		}
	}
	var out strings.Builder
	for i, j := 0, 0; i < len(x) || j < len(y); {
		switch {
		case i < len(x) && j < len(y) && x[i] == y[j]:
			i, j = i+1, j+1
		case j == len(y) || i < len(x) && length[i+1][j] >= length[i][j+1]:
			out.WriteString("    - " + x[i] + "\n")
			i++
		default:
			out.WriteString("    + " + y[j] + "\n")
			j++
		}
	}
	return out.String()
}
