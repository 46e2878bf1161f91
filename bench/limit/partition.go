package limit

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"sync"
)

// Of a record batch.
const (
	headBytes         = 12 // before what the length counts
	crcAt             = 17
	crcFrom           = 21
	lastOffsetDeltaAt = 23
	batchHeaderBytes  = 61
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

var errCorrupt = errors.New("a batch whose checksum does not fit")

// partition is a row of files. All batches of a file have the same size and number of records, so that the place of an
// offset is a division.
type partition struct {
	options *Options
	dir     string

	mu       sync.Mutex
	segments []*segment
	next     int64         // offset
	grown    chan struct{} // closed, and replaced, when something is appended and somebody waits; nil: nobody does

	syncMu   sync.Mutex
	synced   int64 // offset up to which the disk has it
	syncing  bool
	syncDone *sync.Cond
}

type segment struct {
	file            *os.File
	base            int64
	bytes           int64
	batch, perBatch int64
	readers         int // that send from it
	dropped         bool
}

func newPartition(o *Options, dir string) *partition {
	p := &partition{options: o, dir: dir}
	p.syncDone = sync.NewCond(&p.syncMu)
	return p
}

// append writes one batch and returns its offset. With Flush, it is on disk: one fsync serves all who wait for one.
func (p *partition) append(batch []byte) (int64, error) {
	if len(batch) < batchHeaderBytes || int(binary.BigEndian.Uint32(batch[8:]))+headBytes != len(batch) ||
		crc32.Checksum(batch[crcFrom:], castagnoli) != binary.BigEndian.Uint32(batch[crcAt:]) {
		return 0, errCorrupt
	}
	records := int64(binary.BigEndian.Uint32(batch[lastOffsetDeltaAt:])) + 1
	p.mu.Lock()
	s, err := p.active(int64(len(batch)), records)
	if err != nil {
		p.mu.Unlock()
		return 0, err
	}
	offset := p.next
	binary.BigEndian.PutUint64(batch, uint64(offset))
	if _, err := s.file.WriteAt(batch, s.bytes); err != nil {
		p.mu.Unlock()
		return 0, err
	}
	s.bytes += int64(len(batch))
	p.next += records
	if p.grown != nil {
		close(p.grown)
		p.grown = nil
	}
	p.mu.Unlock()
	if p.options.Flush {
		return offset, p.flush(offset + records)
	}
	return offset, nil
}

// active is the file that such a batch goes to.
func (p *partition) active(size, records int64) (*segment, error) {
	if n := len(p.segments); n > 0 {
		if s := p.segments[n-1]; s.batch == size && s.perBatch == records && s.bytes+size <= p.options.SegmentBytes {
			return s, nil
		} else if p.options.Flush {
			if err := datasync(s.file); err != nil {
				return nil, err
			}
		}
	}
	if err := os.MkdirAll(p.dir, 0o755); err != nil {
		return nil, err
	}
	f, err := os.Create(filepath.Join(p.dir, fmt.Sprintf("%020d.log", p.next)))
	if err != nil {
		return nil, err
	}
	p.segments = append(p.segments, &segment{file: f, base: p.next, batch: size, perBatch: records})
	if p.options.RetainBytes > 0 && int64(len(p.segments)-1)*p.options.SegmentBytes > p.options.RetainBytes {
		old := p.segments[0]
		p.segments = p.segments[1:]
		old.dropped = true
		return p.segments[len(p.segments)-1], old.closeUnused()
	}
	return p.segments[len(p.segments)-1], nil
}

// closeUnused removes a dropped file when nobody sends from it; the partition is locked.
func (s *segment) closeUnused() error {
	if !s.dropped || s.readers > 0 {
		return nil
	}
	return errors.Join(os.Remove(s.file.Name()), s.file.Close())
}

// flush returns when everything before an offset is on disk.
func (p *partition) flush(upTo int64) error {
	p.syncMu.Lock()
	defer p.syncMu.Unlock()
	for p.synced < upTo {
		if p.syncing {
			p.syncDone.Wait()
			continue
		}
		p.syncing = true
		p.syncMu.Unlock()
		p.mu.Lock()
		s, end := p.segments[len(p.segments)-1], p.next
		p.mu.Unlock()
		err := datasync(s.file)
		p.syncMu.Lock()
		p.syncing = false
		if err != nil {
			p.syncDone.Broadcast()
			return err
		}
		p.synced = end
		p.syncDone.Broadcast()
	}
	return nil
}

// span is whole batches in a file; release must be called when they are sent.
type span struct {
	partition *partition
	segment   *segment
	at, bytes int64
	end       int64           // of the partition
	grown     <-chan struct{} // when bytes is 0: closed when there is more
}

// read finds at most maxBytes from an offset on, and at least a batch if there is one.
func (p *partition) read(offset, maxBytes int64) (span, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := span{partition: p, end: p.next}
	if offset == p.next {
		if p.grown == nil {
			p.grown = make(chan struct{})
		}
		r.grown = p.grown
		return r, nil
	}
	for i := len(p.segments) - 1; i >= 0; i-- {
		s := p.segments[i]
		if offset < s.base || offset > p.next {
			continue
		}
		r.segment = s
		r.at = (offset - s.base) / s.perBatch * s.batch
		r.bytes = min(max(maxBytes/s.batch, 1)*s.batch, s.bytes-r.at)
		s.readers++
		return r, nil
	}
	return r, errOutOfRange
}

var errOutOfRange = errors.New("an offset that is not there")

func (r span) release() error {
	if r.segment == nil {
		return nil
	}
	r.partition.mu.Lock()
	defer r.partition.mu.Unlock()
	r.segment.readers--
	return r.segment.closeUnused()
}
