package coordinator

import (
	"errors"

	"gregor/internal/record"
)

// appendTransactional writes a decision's records as a batch of its producer's transaction. Unlike other records they are
// applied after the append: the log may refuse them for what the producer is, which nobody else is to suffer from.
func (s *Shard[E, R]) appendTransactional(out *Effects[R]) (refused bool, err error) {
	now := s.now()
	if err := s.flush(now); err != nil {
		return false, err
	}
	first := out.Records[0]
	batch := s.batch.encodeAs(record.BuilderOptions{
		Producer:      &record.Producer{ID: first.ProducerID, Epoch: first.ProducerEpoch, BaseSequence: 0},
		Transactional: true,
	}, out.Records, now)
	last, err := s.log.AppendTransactional(s.leaderEpoch, batch, out.Guard)
	if bad := (Refused{}); errors.As(err, &bad) {
		for _, reply := range out.Replies {
			s.replies.fail(reply.To, err)
		}
		return true, nil
	}
	if err != nil {
		return false, err
	}
	for _, r := range out.Records {
		s.batch.position++
		s.machine.Apply(s.batch.position, r)
	}
	s.batch.appended(last + 1)
	return false, nil
}

// mark writes the end of a transaction and tells the machine.
func (s *Shard[E, R]) mark(m Marker, to Token) error {
	if err := s.flush(s.now()); err != nil {
		return err
	}
	last, err := s.log.AppendMarker(s.leaderEpoch, m)
	if bad := (Refused{}); errors.As(err, &bad) {
		s.replies.fail(to, err)
		return nil
	}
	if err != nil {
		return err
	}
	s.batch.position++
	s.machine.Mark(s.batch.position, m)
	s.batch.appended(last + 1)
	var none R
	s.replies.hold(to, none, s.batch.position)
	return nil
}
