package cli

import (
	"fmt"
	"io"
	"strings"
	"sync"
)

// screen shows lines of several processes and, below them, one line of status. On a terminal that line is drawn anew in
// its place; elsewhere it is printed each time that it changes, so that a log has one line for each change.
type screen struct {
	out      io.Writer
	terminal bool
	width    func() int // columns; a status that is longer would wrap, and could not be taken back

	mu     sync.Mutex
	status string
	shown  bool // the cursor is behind the status
}

// line prints a line above the status.
func (s *screen) line(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.erase()
	fmt.Fprintln(s.out, text)
	s.draw()
}

// setStatus shows another status; "" shows none.
func (s *screen) setStatus(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if text == s.status {
		return
	}
	s.erase()
	s.status = text
	if !s.terminal && text != "" {
		fmt.Fprintln(s.out, text)
	}
	s.draw()
}

func (s *screen) erase() {
	if s.shown {
		fmt.Fprint(s.out, "\r\x1b[K")
		s.shown = false
	}
}

func (s *screen) draw() {
	if !s.terminal || s.status == "" {
		return
	}
	text := []rune(s.status)
	if limit := s.width() - 1; limit > 0 && len(text) > limit {
		text = text[:limit]
	}
	fmt.Fprint(s.out, string(text))
	s.shown = true
}

// prefixed returns a writer that shows what is written line by line, with a prefix. end shows what is left without a line
// end.
func (s *screen) prefixed(prefix string) (w io.Writer, end func()) {
	p := &prefixedLines{s: s, prefix: prefix}
	return p, p.end
}

// maxPrefixedLine bounds what is kept of a line that does not end.
const maxPrefixedLine = 16 << 10

type prefixedLines struct {
	s      *screen
	prefix string
	mu     sync.Mutex
	rest   []byte
}

func (p *prefixedLines) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rest = append(p.rest, b...)
	for {
		line, rest, ok := strings.Cut(string(p.rest), "\n")
		if !ok && len(p.rest) < maxPrefixedLine {
			return len(b), nil
		}
		p.s.line(p.prefix + strings.TrimRight(line, "\r"))
		p.rest = []byte(rest)
	}
}

func (p *prefixedLines) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.rest) > 0 {
		p.s.line(p.prefix + string(p.rest))
		p.rest = nil
	}
}
