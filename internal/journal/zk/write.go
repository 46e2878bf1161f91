package zk

import (
	"bytes"
	"errors"
	"fmt"

	"gregor/internal/journal"

	gozk "github.com/go-zookeeper/zk"
)

// write writes what was appended, as much as one multi takes: a group of batches, or a single large one. It returns when
// the outcome is known. errLost when this node leads no more.
//
// One group is on its way at a time. What comes in meanwhile is the next one, so a slow ZooKeeper makes the groups
// larger and not the waiting longer.
func (e *Engine) write(f *fence) error {
	group, data := e.nextGroup(f)
	if len(group) == 0 {
		return nil
	}
	h := e.head
	first := h.Last + 1
	h.Last += int64((len(data) + maxZnodeBytes - 1) / maxZnodeBytes)
	h.EndOffset = group[len(group)-1].batch.LastOffset + 1
	// The znodes before the last one do not count before the head does. Should this leader end here, the next one sweeps
	// them away.
	if err := parallel(int(h.Last-first), window, func(i int) error {
		return e.writePart(f, first+int64(i), data[i*maxZnodeBytes:(i+1)*maxZnodeBytes])
	}); err != nil {
		return err
	}
	rest := data[(h.Last-first)*maxZnodeBytes:]
	version, err := e.moveHead(f, h, ops{f.s.create(entryPath(h.Last), rest, 0)})
	if err != nil {
		return err
	}
	batches := make([]journal.Batch, len(group))
	for i, p := range group {
		batches[i] = p.batch
	}
	batches[0].SizeBytes += znodeCostBytes * int(h.Last-first+1)
	e.position.begins = append(e.position.begins, place{first, batches[0].Offset})
	e.position.entry, e.position.end, e.position.epoch = h.Last, h.EndOffset, f.epoch
	e.advanced(h, version)
	return e.commit(batches)
}

// nextGroup takes batches that fit into a znode together, or one that is larger.
func (e *Engine) nextGroup(f *fence) (group []proposal, data []byte) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.fence != f {
		return nil, nil
	}
	size, n := 0, 0
	for n < len(e.appends) && (n == 0 || size+len(e.appends[n].bytes) <= maxZnodeBytes) {
		size += len(e.appends[n].bytes)
		n++
	}
	group = append(group, e.appends[:n]...)
	clear(e.appends[:n])
	e.appends = e.appends[n:]
	data = make([]byte, 0, size)
	for _, p := range group {
		data = append(data, p.bytes...)
	}
	return group, data
}

// writePart makes a znode of the log that the head does not name yet.
func (e *Engine) writePart(f *fence, entry int64, data []byte) error {
	err := f.s.again(e.ctx, func() error {
		_, err := f.s.try(e.ctx, ops{f.check(), f.s.create(entryPath(entry), data, 0)})
		return err
	})
	if errors.Is(err, gozk.ErrNodeExists) {
		n, getErr := f.s.get(e.ctx, entryPath(entry))
		if getErr == nil && bytes.Equal(n.data, data) {
			return nil // the answer got lost
		}
		return fmt.Errorf("%w: znode %s", errLost, e.c.path(entryPath(entry)))
	}
	return e.refused(err)
}

// moveHead writes the head together with other operations, all or nothing, and returns its version. After a connection
// that broke it tries again, at the same version: if the head has moved on already and says what was to be written, that
// had been done.
func (e *Engine) moveHead(f *fence, h head, o ops) (version int32, err error) {
	o = append(append(ops{f.check()}, o...), f.s.set(headPath, h.encode(), e.headVersion))
	unknown := false
	err = f.s.again(e.ctx, func() error {
		results, err := f.s.try(e.ctx, o)
		if err == nil {
			version = results[len(results)-1].Stat.Version
		} else if !answered(err) && !ended(err) {
			unknown = true
		}
		return err
	})
	if err == nil || !unknown || !answered(err) {
		return version, e.refused(err)
	}
	n, getErr := f.s.get(e.ctx, headPath)
	if getErr != nil {
		return 0, e.explain(headPath, getErr)
	}
	if bytes.Equal(n.data, h.encode()) {
		e.log.Info("a write to ZooKeeper whose answer got lost had been done", "offset", h.EndOffset)
		return n.stat.Version, nil
	}
	return 0, e.refused(err)
}

// refused says what ZooKeeper's refusal of a leader's write means.
func (e *Engine) refused(err error) error {
	if errors.Is(err, gozk.ErrBadVersion) || errors.Is(err, gozk.ErrNoNode) || errors.Is(err, gozk.ErrNodeExists) {
		return fmt.Errorf("%w (%w)", errLost, err)
	}
	return err
}
