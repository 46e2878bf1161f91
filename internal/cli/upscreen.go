package cli

import (
	"fmt"
	"io"
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
	l := &lineWriter{line: func(text string) { s.line(prefix + text) }}
	return l, l.end
}
