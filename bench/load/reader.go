package load

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// reader is a connection that reads.
type reader struct {
	work      *work
	stream    *stream
	partition int32
	first     bool // of the partition's
	offset    int64
	offsetAt  int
	asked     int64
}

func (r *reader) start(_ *loop, now int64) error {
	r.ask(now)
	return r.stream.push()
}

func (r *reader) ask(now int64) {
	binary.BigEndian.PutUint64(r.stream.block.bytes[r.offsetAt:], uint64(r.offset))
	r.asked = now
	r.stream.left += r.stream.block.frame
}

func (r *reader) reply(l *loop, head []byte, _ int, now int64) error {
	begin, size, err := records(head)
	if err != nil {
		return err
	}
	w := r.work
	before := r.offset
	if size > 0 {
		s, err := shapeOf(begin)
		if err != nil {
			return err
		}
		if r.offset, err = s.after(size, r.offset); err != nil {
			return err
		}
		if r.offset == before {
			return fmt.Errorf("offset %d: a reply of %d bytes without a whole batch", before, size)
		}
		if r.first && w.track != nil {
			for o := s.base; o < r.offset; o += s.records {
				w.track[r.partition].delivered(o, now, w.delivered)
			}
		}
	}
	if w.p == nil && w.f.Time == 0 || now >= l.measure && now < l.end {
		w.read.Requests++
		w.read.Bytes += int64(size)
		w.read.Records += r.offset - before
		recordTime(w.read.Latency, now-r.asked)
	}
	if w.p == nil && r.offset >= w.f.To {
		if w.f.Time == 0 {
			w.read.Elapsed = time.Duration(now)
			l.open--
			return nil
		}
		r.offset = w.f.from(r.partition)
	}
	r.ask(now)
	return nil
}

// tracked is what is known of a partition's batches until both the acknowledgement and the delivery have come: a batch comes
// to its reader before or after its writer hears of it.
type tracked struct {
	due  map[int64]int64 // by the batch's offset: acknowledged, not yet seen
	seen map[int64]int64 // and seen, not yet acknowledged
}

func newTracked(partitions int) []tracked {
	all := make([]tracked, partitions)
	for i := range all {
		all[i] = tracked{make(map[int64]int64), make(map[int64]int64)}
	}
	return all
}

// acknowledged counts in a histogram, or, if that is nil, not at all.
func (t *tracked) acknowledged(offset, due int64, h *hdrhistogram.Histogram) {
	if seen, ok := t.seen[offset]; ok {
		delete(t.seen, offset)
		if h != nil {
			recordTime(h, seen-due)
		}
	} else if h != nil {
		t.due[offset] = due
	} else {
		t.due[offset] = -1
	}
}

func (t *tracked) delivered(offset, seen int64, h *hdrhistogram.Histogram) {
	if due, ok := t.due[offset]; !ok {
		t.seen[offset] = seen
	} else {
		delete(t.due, offset)
		if due >= 0 {
			recordTime(h, seen-due)
		}
	}
}
