package broker

import (
	"errors"

	"gregor/internal/coordinator"
	"gregor/internal/log"
	"gregor/internal/replica"
)

// CoordinatorLog is a partition as a coordinator sees it.
func CoordinatorLog(p *replica.Partition) coordinator.Log { return coordinatorLog{p.CoordinatorLog()} }

// coordinatorLog tells what the log says of one producer from what is wrong with the partition.
type coordinatorLog struct{ replica.CoordinatorLog }

func (c coordinatorLog) AppendTransactional(leaderEpoch int32, batch []byte, guard uint64) (int64, error) {
	last, err := c.AppendGuarded(leaderEpoch, batch, log.Guard(guard))
	return last, refusedProducer(err)
}

func (c coordinatorLog) AppendMarker(leaderEpoch int32, m coordinator.Marker) (int64, error) {
	last, err := c.CoordinatorLog.AppendMarker(leaderEpoch, log.Marker{
		ProducerID: m.ProducerID, ProducerEpoch: m.ProducerEpoch, Commit: m.Commit,
		CoordinatorEpoch: m.CoordinatorEpoch, TransactionVersion: m.TransactionVersion,
	})
	return last, refusedProducer(err)
}

func refusedProducer(err error) error {
	for _, of := range []error{log.ErrInvalidProducerEpoch, log.ErrInvalidTxnState, log.ErrCoordinatorFenced, log.ErrOutOfOrderSequence} {
		if errors.Is(err, of) {
			return coordinator.Refused{Err: err}
		}
	}
	return err
}
