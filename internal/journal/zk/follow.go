package zk

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"gregor/internal/journal"
	"gregor/internal/record"

	gozk "github.com/go-zookeeper/zk"
)

// position is how far a node has the log.
type position struct {
	entry  int64 // last znode that was handed over; 0 before the first
	end    int64 // next offset
	epoch  int32 // of the last batch
	begins []place
}

// place is a znode of the log that begins with a batch, and the offset of that.
type place struct{ entry, offset int64 }

func corrupt(err error) error { return fmt.Errorf("%w: %w", journal.ErrCorrupt, err) }

// catchUp hands over what the head says to be there and this node does not have.
func (e *Engine) catchUp(s *session, n znode) error {
	for {
		h, err := parseHead(n.data)
		if err != nil {
			return corrupt(err)
		}
		if h.Last < e.position.entry || h.EndOffset < e.position.end || h.Epoch < e.head.Epoch {
			return corrupt(fmt.Errorf("znode %s went back: it says offset %d, znode %d, epoch %d; this node has offset %d, znode %d, epoch %d. This is not the ZooKeeper that it was, or it was restored from a backup",
				headPath, h.EndOffset, h.Last, h.Epoch, e.position.end, e.position.entry, e.head.Epoch))
		}
		missed, err := e.handOver(s, h)
		if err != nil {
			return err
		}
		if !missed {
			e.advanced(h, n.stat.Version)
			return nil
		}
		// The log was trimmed while it was read: the head says from where on it is there now.
		if n, err = s.get(e.ctx, headPath); err != nil {
			return e.explain(headPath, err)
		}
	}
}

// advanced takes note of a head that was handed over.
func (e *Engine) advanced(h head, version int32) {
	e.head, e.headVersion = h, version
	for len(e.position.begins) > 1 && e.position.begins[1].entry <= h.First {
		e.position.begins = e.position.begins[1:]
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.status.Committed = h.EndOffset
	if e.fence == nil {
		e.status.EndOffset = h.EndOffset
	}
	if h.Snapshot != nil {
		e.status.Snapshot = h.Snapshot.LastOffset + 1
		e.status.StartOffset = max(e.status.StartOffset, h.Snapshot.LastOffset+1)
	}
	e.notify()
}

// handOver reads the snapshot, if this node needs it, and the znodes up to the head's last one. missed says that something
// was gone that the head names, which is no wonder if the head has moved on.
func (e *Engine) handOver(s *session, h head) (missed bool, err error) {
	if e.position.entry < h.First-1 {
		if h.Snapshot == nil {
			return false, corrupt(fmt.Errorf("znode %s: the log begins with znode %d, and there is no snapshot", headPath, h.First))
		}
		if h.Snapshot.LastOffset >= e.position.end {
			if missed, err := e.load(s, h); missed || err != nil {
				return missed, err
			}
		}
		e.position.entry, e.position.begins = h.First-1, nil
	}
	var partial []byte
	for first := e.position.entry + 1; first <= h.Last; first += window {
		last := min(first+window-1, h.Last)
		data, err := e.readEntries(s, first, last)
		if errors.Is(err, gozk.ErrNoNode) {
			return e.hasMoved(s, first, err)
		}
		if err != nil {
			return false, err
		}
		var batches []journal.Batch
		for i, d := range data {
			if len(partial) == 0 && len(d) > 0 {
				e.begins(first+int64(i), d)
			}
			if partial, batches, err = e.decode(append(partial, d...), first+int64(i), batches); err != nil {
				return false, err
			}
		}
		if err := e.commit(batches); err != nil {
			return false, err
		}
		if len(partial) == 0 {
			e.position.entry = last
		}
	}
	if len(partial) > 0 || e.position.end != h.EndOffset {
		return false, corrupt(fmt.Errorf("znode %s says that the log ends at offset %d with znode %d, it ends at %d with %d bytes left", headPath, h.EndOffset, h.Last, e.position.end, len(partial)))
	}
	return false, nil
}

// window is how many znodes are asked for together.
const window = 64

// begins notes that a znode begins with a batch.
func (e *Engine) begins(entry int64, data []byte) {
	if len(data) < record.HeaderSize {
		return // decode refuses it
	}
	p := place{entry, record.Batch(data).BaseOffset()}
	if n := len(e.position.begins); n == 0 || e.position.begins[n-1].entry < entry {
		e.position.begins = append(e.position.begins, p)
	}
}

// hasMoved decides what it means that a znode of the log, first or a later one, is not there: it was trimmed, or it is
// lost.
func (e *Engine) hasMoved(s *session, first int64, gone error) (missed bool, err error) {
	n, err := s.get(e.ctx, headPath)
	if err != nil {
		return false, e.explain(headPath, err)
	}
	now, err := parseHead(n.data)
	if err != nil {
		return false, corrupt(err)
	}
	if now.First > first {
		return true, nil
	}
	return false, corrupt(fmt.Errorf("%w; somebody deleted it", gone))
}

// readEntries reads znodes of the log, several at a time.
func (e *Engine) readEntries(s *session, first, last int64) ([][]byte, error) {
	data := make([][]byte, last-first+1)
	err := parallel(len(data), window, func(i int) error {
		n, err := s.get(e.ctx, entryPath(first+int64(i)))
		if data[i] = n.data; err != nil && !ended(err) {
			err = fmt.Errorf("znode %s: %w", e.c.path(entryPath(first+int64(i))), err)
		}
		return err
	})
	return data, err
}

// parallel runs f for 0 to n-1 on some goroutines, and returns an error of one of them. The client bounds how many
// requests there are at a time.
func parallel(n, goroutines int, f func(i int) error) error {
	var mu sync.Mutex
	var first error
	next := 0
	take := func() (i int, ok bool) {
		mu.Lock()
		defer mu.Unlock()
		i, ok = next, next < n && first == nil
		next++
		return i, ok
	}
	work := func() {
		for i, ok := take(); ok; i, ok = take() {
			if err := f(i); err != nil {
				mu.Lock()
				if first == nil || errors.Is(first, context.Canceled) {
					first = err
				}
				mu.Unlock()
			}
		}
	}
	if n == 1 {
		work()
		return first
	}
	var wg sync.WaitGroup
	for range min(n, goroutines) {
		wg.Go(work)
	}
	wg.Wait()
	return first
}

// decode takes the whole batches from the front of data, which a znode ended, and returns what is left.
func (e *Engine) decode(data []byte, entry int64, batches []journal.Batch) (rest []byte, _ []journal.Batch, err error) {
	first := true
	for len(data) > 0 {
		if len(data) < record.HeaderSize {
			return data, batches, nil
		}
		size, err := batchSize(data)
		if err != nil {
			return nil, nil, e.badEntry(entry, err)
		}
		if len(data) < size {
			return data, batches, nil
		}
		b, err := e.decodeBatch(record.Batch(data[:size:size]), entry)
		if err != nil {
			return nil, nil, err
		}
		data = data[size:]
		if b == nil {
			continue // the snapshot has it
		}
		if first {
			b.SizeBytes, first = b.SizeBytes+znodeCostBytes, false
		}
		batches = append(batches, *b)
	}
	return nil, batches, nil
}

// batchSize is how large the batch at the front of data says that it is. data holds its header at least.
func batchSize(data []byte) (int, error) {
	size, err := record.SizeOf(data)
	switch magic := data[magicAt]; {
	case err != nil:
		return 0, err
	case magic != record.Magic:
		return 0, fmt.Errorf("a batch of format %d", magic)
	case size < record.HeaderSize || size > journal.MaxBatchBytes:
		return 0, fmt.Errorf("a batch of %d bytes", size)
	}
	return int(size), nil
}

// decodeBatch checks a batch and moves the position behind it. It returns nil for one that the snapshot holds.
func (e *Engine) decodeBatch(raw record.Batch, entry int64) (*journal.Batch, error) {
	if err := raw.CheckCRC(); err != nil {
		return nil, e.badEntry(entry, err)
	}
	if raw.NextOffset() <= e.position.end {
		return nil, nil
	}
	if raw.BaseOffset() != e.position.end || raw.LeaderEpoch() < e.position.epoch {
		return nil, e.badEntry(entry, fmt.Errorf("a batch at offset %d of epoch %d follows offset %d of epoch %d",
			raw.BaseOffset(), raw.LeaderEpoch(), e.position.end, e.position.epoch))
	}
	b := &journal.Batch{Offset: raw.BaseOffset(), LastOffset: raw.LastOffset(), Epoch: raw.LeaderEpoch(), TimestampMs: raw.BaseTimestamp(), SizeBytes: len(raw)}
	for r, err := range raw.RecordsWithin(journal.MaxBatchBytes) {
		if err != nil {
			return nil, e.badEntry(entry, err)
		}
		b.Values = append(b.Values, r.Value)
	}
	e.position.end, e.position.epoch = raw.NextOffset(), raw.LeaderEpoch()
	return b, nil
}

func (e *Engine) badEntry(entry int64, err error) error {
	return corrupt(fmt.Errorf("znode %s: %w", e.c.path(entryPath(entry)), err))
}

// commit hands batches to the handler.
func (e *Engine) commit(batches []journal.Batch) error {
	if len(batches) == 0 {
		return nil
	}
	if err := e.handler.Commit(batches); err != nil {
		return fmt.Errorf("%w: %w", errHandler, err)
	}
	return nil
}

// magicAt is where a batch says its format.
const magicAt = 16
