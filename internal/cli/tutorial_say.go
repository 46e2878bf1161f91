package cli

import (
	"fmt"
	"hash/fnv"
	"strings"
)

// narrator shows the tutorial as it goes: commands behind a prompt, and what they print behind the name of their
// terminal. Colours are for terminals.
type narrator struct {
	screen *screen
	colour bool
}

const (
	ansiBold  = "1"
	ansiDim   = "2"
	ansiRed   = "31"
	ansiGreen = "32"
)

func (n *narrator) paint(code, text string) string {
	if !n.colour || text == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

func (n *narrator) title(text string) {
	n.screen.line("\n" + n.paint(ansiBold, text))
}

func (n *narrator) text(format string, args ...any) {
	n.screen.line(fmt.Sprintf(format, args...))
}

func (n *narrator) command(terminal, command string) {
	n.screen.line(n.prefix(terminal) + n.paint(ansiBold, "$ "+command))
}

func (n *narrator) output(terminal, line string) {
	n.screen.line(n.prefix(terminal) + line)
}

// prefix gives each terminal a name and, on ours, a colour.
func (n *narrator) prefix(terminal string) string {
	if terminal == "" {
		return ""
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(terminal))
	return n.paint(fmt.Sprint(33+h.Sum32()%4), fmt.Sprintf("%-12s", terminal)+"| ")
}

func (n *narrator) picture(text string) {
	for line := range strings.Lines(text) {
		n.screen.line("    " + strings.TrimRight(line, "\n"))
	}
}
