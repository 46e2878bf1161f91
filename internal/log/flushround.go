package log

// flushRound is what one flush syncs.
type flushRound struct {
	list      []*segment
	spans     []flushSpan
	snapshots []int64 // of producers
	next      int64   // everything below is on disk after it
	whole     bool    // that is all there was
	gen       int     // truncations before it
}

// flushSpan is what a segment has to be synced.
type flushSpan struct {
	s      *segment
	size   int64
	sealed bool // its indexes, too
}

// flushRound collects what lies below an offset. The active segment, when the others are meant, is left alone: its appends
// would wait for the disk.
func (l *Log) flushRound(upTo int64, closing bool) *flushRound {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := &flushRound{list: *l.segments.Load(), next: l.next, whole: true, gen: l.truncations}
	if n := floor(r.list, upTo-1) + 1; n > 0 && n < len(r.list) && !closing {
		r.next, r.list, r.whole = r.list[n].base, r.list[:n], false
	}
	for _, s := range r.list {
		if sealed := closing || s != l.active(); !s.flushed {
			r.spans = append(r.spans, flushSpan{s, s.written, sealed})
		}
	}
	r.snapshots, l.unsyncedSnapshots = l.unsyncedSnapshots, nil
	return r
}

// sync makes it durable. saved tells whether the epochs are: without room for them the records are on disk all the same;
// they are read after a crash, and tell their epochs.
func (r *flushRound) sync(l *Log) (saved bool, err error) {
	for _, sp := range r.spans {
		if err := sp.s.sync(sp.sealed); err != nil && err != errGone {
			return false, err
		}
	}
	for _, offset := range r.snapshots {
		if err := syncFileIfThere(l.fs, segmentPath(l.dir, offset, snapshotSuffix)); err != nil {
			return false, err
		}
	}
	err = l.epochs.save()
	saved = err == nil
	switch {
	case isNoSpace(err):
		if l.o.Full != nil {
			l.o.Full(l, err)
		}
	case err != nil:
		return false, err
	}
	if l.flush.newborn.Load() || l.flush.dirty.Load() {
		return saved, l.syncNames()
	}
	return saved, nil
}

// publish has readers see what is on disk now, and moves the recovery point. Error: errFlushAgain.
func (r *flushRound) publish(l *Log, saved bool) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if r.gen != l.truncations || r.whole && r.list[len(r.list)-1] != l.active() {
		return errFlushAgain
	}
	for _, sp := range r.spans {
		if sp.sealed {
			sp.s.flushed = true
		}
		if sp.size > sp.s.size.Load() {
			sp.s.size.Store(sp.size)
		}
	}
	if r.next > l.end.Load() {
		l.end.Store(r.next)
	}
	l.flush.synced.Store(max(r.next, l.flush.synced.Load()))
	if saved {
		l.flush.point.Store(max(r.next, l.flush.point.Load()))
	}
	if r.whole {
		l.flush.lastMs.Store(l.now().UnixMilli())
	}
	return nil
}
