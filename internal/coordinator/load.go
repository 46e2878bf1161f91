package coordinator

import (
	"errors"
	"fmt"
	"io"

	"gregor/internal/record"
)

// loadBytes is how much of the log is read at once.
const loadBytes = 1 << 20

var errStopped = errors.New("coordinator: stopped")

// load makes a new machine and replays the log into it, to the log's end: what is not committed yet will be, or this
// broker stops being the leader.
func (s *Shard[E, R]) load() error {
	s.machine = s.options.New(s.partition)
	s.batch = batch{}
	offset := s.log.StartOffset()
	for offset < s.log.EndOffset() {
		select {
		case <-s.stopped:
			return errStopped
		default:
		}
		bytes, err := s.log.Read(offset, loadBytes)
		if err != nil {
			return fmt.Errorf("read at offset %d: %w", offset, err)
		}
		if len(bytes) == 0 {
			break // compaction removed the end of the last segment
		}
		next, err := s.replay(bytes, offset)
		if err != nil {
			return fmt.Errorf("replay at offset %d: %w", next, err)
		}
		if next == offset {
			return fmt.Errorf("replay at offset %d: %w", offset, record.ErrTruncated)
		}
		offset = next
		s.commitLoaded()
	}
	s.commitLoaded()
	return nil
}

// commitLoaded tells the machine of commits while loading, so that it need not remember what was before.
func (s *Shard[E, R]) commitLoaded() {
	if position, moved := s.batch.commit(max(s.watermark.Load(), s.log.Committed())); moved {
		s.machine.Committed(position)
	}
}

// replay applies whole batches, leaving out what lies below offset, and returns the offset after them.
func (s *Shard[E, R]) replay(bytes []byte, offset int64) (next int64, err error) {
	next = offset
	for {
		b, rest, err := record.Next(bytes)
		if errors.Is(err, io.EOF) || errors.Is(err, record.ErrTruncated) {
			return next, nil
		}
		if err != nil {
			return next, err
		}
		if err := s.replayBatch(b, offset); err != nil {
			return next, err
		}
		next = max(next, b.NextOffset())
		s.batch.appended(next)
		bytes = rest
	}
}

func (s *Shard[E, R]) replayBatch(b record.Batch, from int64) error {
	if err := b.CheckCRC(); err != nil {
		return err
	}
	producer := int64(NoProducer)
	if b.IsTransactional() {
		producer = b.ProducerID()
	}
	for r, err := range b.Records() {
		if err != nil {
			return err
		}
		if r.Offset < from {
			continue
		}
		s.batch.position++
		if !b.IsControl() {
			s.machine.Apply(s.batch.position, Record{
				Key: r.Key, Value: r.Value, ProducerID: producer, ProducerEpoch: b.ProducerEpoch(),
			})
			continue
		}
		_, kind, err := record.ParseControlKey(r.Key)
		if err != nil {
			return err
		}
		if kind == record.ControlCommit || kind == record.ControlAbort {
			s.machine.Mark(s.batch.position, Marker{
				ProducerID: b.ProducerID(), ProducerEpoch: b.ProducerEpoch(), Commit: kind == record.ControlCommit,
			})
		}
	}
	return nil
}
