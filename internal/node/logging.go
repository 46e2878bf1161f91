package node

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode"
)

// Levels beyond slog's own, for log4j's names.
const (
	levelTrace = slog.Level(-8)
	levelFatal = slog.Level(12)
)

var levelNames = []struct {
	name  string
	level slog.Level
}{{"TRACE", levelTrace}, {"DEBUG", slog.LevelDebug}, {"INFO", slog.LevelInfo}, {"WARN", slog.LevelWarn}, {"ERROR", slog.LevelError}, {"FATAL", levelFatal}}

// ParseLevel reads a level by log4j's name, in any case.
func ParseLevel(name string) (slog.Level, error) {
	for _, l := range levelNames {
		if strings.EqualFold(l.name, name) {
			return l.level, nil
		}
	}
	return 0, fmt.Errorf("log level %q: must be one of TRACE, DEBUG, INFO, WARN, ERROR, FATAL", name)
}

func levelName(level slog.Level) string {
	name := levelNames[0].name
	for _, l := range levelNames {
		if level >= l.level {
			name = l.name
		}
	}
	return name
}

// Logs writes a process's log: one line a message,
//
//	[2026-03-01 12:00:00,000] INFO [broker] message key=value
//
// Each part has a logger from [Logs.Part]; its level can be set while the process runs.
type Logs struct {
	mu  sync.Mutex // serializes lines
	out io.Writer

	root   *atomic.Int64
	partMu sync.Mutex
	parts  map[string]*partLevel
}

// partLevel is a part's own level, or root's.
type partLevel struct {
	own   atomic.Bool
	level atomic.Int64
}

// NewLogs writes to out from level on.
func NewLogs(out io.Writer, level slog.Level) *Logs {
	l := &Logs{out: out, root: &atomic.Int64{}, parts: map[string]*partLevel{}}
	l.root.Store(int64(level))
	return l
}

// Part returns the logger of a part.
func (l *Logs) Part(name string) *slog.Logger {
	l.partMu.Lock()
	defer l.partMu.Unlock()
	p := l.parts[name]
	if p == nil {
		p = &partLevel{}
		l.parts[name] = p
	}
	return slog.New(&handler{logs: l, part: name, level: p})
}

// Levels returns the level in force of every part, and root's.
func (l *Logs) Levels() map[string]string {
	l.partMu.Lock()
	defer l.partMu.Unlock()
	levels := map[string]string{"root": levelName(slog.Level(l.root.Load()))}
	for name, p := range l.parts {
		levels[name] = levelName(p.get(l))
	}
	return levels
}

// Set gives a part, or root, a level; "" takes a part's own level away.
func (l *Logs) Set(part, level string) bool {
	var parsed slog.Level
	if level != "" {
		var err error
		if parsed, err = ParseLevel(level); err != nil {
			return false
		}
	}
	l.partMu.Lock()
	defer l.partMu.Unlock()
	if part == "root" {
		if level == "" {
			return false
		}
		l.root.Store(int64(parsed))
		return true
	}
	p := l.parts[part]
	if p == nil {
		return false
	}
	p.level.Store(int64(parsed))
	p.own.Store(level != "")
	return true
}

// Parts lists the parts by name.
func (l *Logs) Parts() []string {
	l.partMu.Lock()
	defer l.partMu.Unlock()
	return slices.Sorted(maps.Keys(l.parts))
}

func (p *partLevel) get(l *Logs) slog.Level {
	if p.own.Load() {
		return slog.Level(p.level.Load())
	}
	return slog.Level(l.root.Load())
}

// handler is a part's slog.Handler.
type handler struct {
	logs  *Logs
	part  string
	level *partLevel
	attrs []byte // of With, formatted
	group string // of WithGroup, with a dot at its end
}

func (h *handler) Enabled(_ context.Context, level slog.Level) bool {
	return level >= h.level.get(h.logs)
}

func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	next := *h
	next.attrs = slices.Clip(h.attrs)
	for _, a := range attrs {
		next.attrs = appendAttr(next.attrs, h.group, a)
	}
	return &next
}

func (h *handler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	next := *h
	next.group += name + "."
	return &next
}

func (h *handler) Handle(_ context.Context, r slog.Record) error {
	b := make([]byte, 0, 256)
	t := r.Time
	if t.IsZero() {
		t = time.Now()
	}
	b = append(b, '[')
	b = t.AppendFormat(b, "2006-01-02 15:04:05,000")
	b = append(b, "] "...)
	b = append(b, levelName(r.Level)...)
	b = append(b, " ["...)
	b = append(b, h.part...)
	b = append(b, "] "...)
	b = appendText(b, r.Message)
	b = append(b, h.attrs...)
	r.Attrs(func(a slog.Attr) bool {
		b = appendAttr(b, h.group, a)
		return true
	})
	b = append(b, '\n')
	h.logs.mu.Lock()
	defer h.logs.mu.Unlock()
	_, err := h.logs.out.Write(b)
	return err
}

func appendAttr(b []byte, group string, a slog.Attr) []byte {
	v := a.Value.Resolve()
	if v.Kind() == slog.KindGroup {
		if a.Key != "" {
			group += a.Key + "."
		}
		for _, inner := range v.Group() {
			b = appendAttr(b, group, inner)
		}
		return b
	}
	if a.Key == "" {
		return b
	}
	b = append(b, ' ')
	b = append(b, group...)
	b = append(b, a.Key...)
	b = append(b, '=')
	var text string
	switch v.Kind() {
	case slog.KindTime:
		text = v.Time().Format("2006-01-02T15:04:05.000Z07:00")
	default:
		text = v.String()
	}
	if text == "" || strings.ContainsFunc(text, func(r rune) bool { return r == ' ' || r == '"' || r == '=' || !unicode.IsPrint(r) }) {
		return strconv.AppendQuote(b, text)
	}
	return append(b, text...)
}

// appendText keeps a message on one line, whatever a peer got into it.
func appendText(b []byte, s string) []byte {
	if !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return append(b, s...)
	}
	q := strconv.Quote(s)
	return append(b, bytes.ReplaceAll([]byte(q[1:len(q)-1]), []byte(`\"`), []byte(`"`))...)
}
