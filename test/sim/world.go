package sim

import (
	"container/heap"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"slices"
	"time"
)

// World is time, chance and the queue of what is to happen. Everything runs on the caller's goroutine.
type World struct {
	rnd   *rand.Rand
	now   time.Duration // since the start
	queue events
	seq   uint64
	hash  uint64 // of everything that happened, in order
	steps int
	log   io.Writer // nil: the trace is hashed only
	err   error     // what a checker found
}

// epoch is the time of day at which every simulation starts.
var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func newWorld(seed uint64, log io.Writer) *World {
	return &World{rnd: rand.New(rand.NewPCG(seed, 0x9e3779b97f4a7c15)), hash: 14695981039346656037, log: log}
}

type event struct {
	at  time.Duration
	seq uint64
	do  func()
}

type events []event

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	return e[i].at < e[j].at || e[i].at == e[j].at && e[i].seq < e[j].seq
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)   { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	old := *e
	last := old[len(old)-1]
	old[len(old)-1] = event{}
	*e = old[:len(old)-1]
	return last
}

// after has do called when d has passed.
func (w *World) after(d time.Duration, do func()) {
	w.seq++
	heap.Push(&w.queue, event{w.now + max(d, 0), w.seq, do})
}

// forget takes back what was queued since seq.
func (w *World) forget(seq uint64) {
	w.queue = slices.DeleteFunc(w.queue, func(e event) bool { return e.seq > seq })
	heap.Init(&w.queue)
}

// run lets time pass until end, or until a checker has found something.
func (w *World) run(end time.Duration) {
	for w.err == nil && len(w.queue) > 0 && w.queue[0].at <= end {
		e := heap.Pop(&w.queue).(event)
		w.now = e.at
		w.steps++
		e.do()
	}
	w.now = max(w.now, end)
}

// failf notes what is wrong. The first finding ends the run: what comes after it only confuses.
func (w *World) failf(format string, args ...any) {
	if w.err == nil {
		w.err = fmt.Errorf(format, args...)
		w.tracef("FAILED: %v", w.err)
	}
}

// note takes an event into the hash of the trace. It is cheap; the text is made for those who read along.
func (w *World) note(node int32, what string, numbers ...int64) {
	w.mix(uint64(w.now))
	w.mix(uint64(node))
	for i := range len(what) {
		w.hash = (w.hash ^ uint64(what[i])) * 1099511628211
	}
	for _, n := range numbers {
		w.mix(uint64(n))
	}
	if w.log != nil {
		fmt.Fprintf(w.log, "%12v n%d %s %v\n", w.now, node, what, numbers)
	}
}

func (w *World) mix(v uint64) {
	for range 8 {
		w.hash = (w.hash ^ v&0xff) * 1099511628211
		v >>= 8
	}
}

// tracef says something to those who read along.
func (w *World) tracef(format string, args ...any) {
	if w.log != nil {
		fmt.Fprintf(w.log, "%12v    %s\n", w.now, fmt.Sprintf(format, args...))
	}
}

// chance is true with a probability.
func (w *World) chance(p float64) bool { return w.rnd.Float64() < p }

// between is a duration in [from, to).
func (w *World) between(from, to time.Duration) time.Duration {
	if to <= from {
		return from
	}
	return from + time.Duration(w.rnd.Int64N(int64(to-from)))
}

// logger is for the parts of a node; it writes to the trace, with simulated time.
func (w *World) logger(node int32) *slog.Logger {
	if w.log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(traceWriter{w, node}, &slog.HandlerOptions{
		Level: slog.LevelDebug,
		ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
			if len(groups) == 0 && a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		},
	}))
}

type traceWriter struct {
	w    *World
	node int32
}

func (t traceWriter) Write(b []byte) (int, error) {
	fmt.Fprintf(t.w.log, "%12v n%d | %s", t.w.now, t.node, b)
	return len(b), nil
}
