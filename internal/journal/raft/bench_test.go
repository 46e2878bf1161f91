package raft

import (
	"testing"

	"gregor/internal/journal"
)

// counter is told of batches and counts them.
type counter struct {
	lead chan int64
	done chan int
}

func (counter) Load(journal.Snapshot) error            { return nil }
func (c counter) Commit(batches []journal.Batch) error { c.done <- len(batches); return nil }
func (c counter) Lead(_ int32, next int64)             { c.lead <- next }
func (counter) Follow(int32, int32)                    {}
func (counter) Fail(err error)                         { panic(err) }

// Batches of 100 bytes, as many in flight as a busy controller has: they share writes and syncs.
func BenchmarkAppend(b *testing.B) {
	e, err := Open(Options{Dir: b.TempDir(), NodeID: 1})
	if err != nil {
		b.Fatal(err)
	}
	defer e.Close()
	c := counter{make(chan int64, 1), make(chan int, 1000)}
	if err := e.Start(c); err != nil {
		b.Fatal(err)
	}
	e.Campaign()
	next := <-c.lead
	<-c.done // LeaderChange
	value := [][]byte{make([]byte, 100)}
	b.ReportAllocs()
	inFlight := 0
	for b.Loop() {
		if err := e.Append(1, next, 0, value); err != nil {
			b.Fatal(err)
		}
		next++
		for inFlight++; inFlight >= 100; {
			inFlight -= <-c.done
		}
	}
}
