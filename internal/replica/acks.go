package replica

import "slices"

// ack is a producer's acks=all that waits for the high watermark, or its acks=1 that waits for the disk.
type ack struct {
	id     uint64
	offset int64 // done when the high watermark, or the log's end, is here
	done   func(error)
}

// ackQueue holds acknowledgements in the order of their offsets. Appends come nearly in that order: two that were
// written one after the other may be queued the other way round.
type ackQueue struct {
	waiting []ack
	next    uint64
}

func (q *ackQueue) len() int { return len(q.waiting) }

func (q *ackQueue) add(offset int64, done func(error)) uint64 {
	q.next++
	at := len(q.waiting)
	for at > 0 && q.waiting[at-1].offset > offset {
		at--
	}
	q.waiting = slices.Insert(q.waiting, at, ack{q.next, offset, done})
	return q.next
}

// upTo takes out what is done at a high watermark, or at an end of the log.
func (q *ackQueue) upTo(offset int64) []ack {
	n := 0
	for n < len(q.waiting) && q.waiting[n].offset <= offset {
		n++
	}
	due := slices.Clone(q.waiting[:n])
	q.waiting = slices.Delete(q.waiting, 0, n)
	return due
}

func (q *ackQueue) all() []ack {
	due := q.waiting
	q.waiting = nil
	return due
}

func (q *ackQueue) remove(id uint64) bool {
	for i := range q.waiting {
		if q.waiting[i].id == id {
			q.waiting = slices.Delete(q.waiting, i, i+1)
			return true
		}
	}
	return false
}
