package cli

import (
	"bytes"
	"sync"
)

// maxHeldLine bounds what is kept of a line that does not end.
const maxHeldLine = 16 << 10

// lineWriter cuts what is written into lines and hands each on, without its end.
type lineWriter struct {
	line func(text string)

	mu   sync.Mutex
	rest []byte
}

func (l *lineWriter) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rest = append(l.rest, b...)
	for {
		line, rest, ok := bytes.Cut(l.rest, []byte("\n"))
		if !ok && len(l.rest) < maxHeldLine {
			return len(b), nil
		}
		l.line(string(bytes.TrimRight(line, "\r")))
		l.rest = bytes.Clone(rest)
	}
}

// end hands on what is left without a line end.
func (l *lineWriter) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.rest) > 0 {
		l.line(string(l.rest))
		l.rest = nil
	}
}
