package replica

import (
	"errors"
	"fmt"

	"gregor/internal/log"
	"gregor/internal/record"
)

// follower is what a replica is in one leader epoch of another broker. Its methods are called by the fetcher of that
// broker. Each of them holds the partition's role for reading, so that nothing is written once the next role has begun.
type follower struct {
	p      *Partition
	leader int32
	epoch  int32
}

// errRoleEnded: the partition has another role by now; the fetcher will hear of it.
var errRoleEnded = errors.New("the replica does not follow this leader any more")

// hold keeps the role from changing until release, and gives the log.
func (f *follower) hold() (l *log.Log, release func(), err error) {
	f.p.roleMu.RLock()
	if f.p.role.Load().follower != f {
		f.p.roleMu.RUnlock()
		return nil, nil, errRoleEnded
	}
	if l = f.p.log.Load(); l == nil {
		f.p.roleMu.RUnlock()
		return nil, nil, f.p.errorf(ErrStorage)
	}
	return l, f.p.roleMu.RUnlock, nil
}

// position is where to fetch from, the leader epoch of the record before that, and where this log starts. A log of which
// no epoch is known, one from before Kafka 0.11, cannot be compared with the leader's: what is not known to be committed
// is cut off.
func (f *follower) position() (offset int64, lastEpoch int32, start int64, err error) {
	l, release, err := f.hold()
	if err != nil {
		return 0, 0, 0, err
	}
	defer release()
	if l.LatestEpoch() < 0 && l.EndOffset() > l.HighWatermark() {
		if err := l.TruncateTo(l.HighWatermark()); err != nil {
			return 0, 0, 0, err
		}
	}
	return l.EndOffset(), l.LatestEpoch(), l.StartOffset(), nil
}

// appendFetched writes what the leader sent for the follower's position, and takes over the leader's high watermark and
// log start. No records are fine. With flush.messages=1 the records are on disk when it returns, so that the next fetch,
// which tells the leader that this replica has them, tells the truth.
func (f *follower) appendFetched(records []byte, highWatermark, leaderStart int64) error {
	l, release, err := f.hold()
	if err != nil {
		return err
	}
	defer release()
	if records = wholeBatches(records); len(records) > 0 {
		_, err := l.AppendFollower(records)
		if errors.Is(err, log.ErrUnexpectedOffset) {
			if err = appendAcrossStart(l, records, err); errors.Is(err, log.ErrUnexpectedOffset) {
				err = f.cutOverlap(l, records, err)
			}
		}
		if err != nil {
			return err
		}
	}
	moved := l.SetHighWatermark(highWatermark)
	if leaderStart > l.StartOffset() {
		if err := l.SetStartOffset(leaderStart); err != nil {
			return err
		}
	}
	if moved {
		f.p.advanced()
	}
	return nil
}

// appendAcrossStart appends a batch that begins below the log's end to a log that is empty: the leader's log start lies
// inside the batch, because records were deleted, and this log begins there.
func appendAcrossStart(l *log.Log, records []byte, cause error) error {
	b := record.Batch(records)
	end := l.EndOffset()
	if l.StartOffset() != end || b.BaseOffset() >= end || b.LastOffset() < end {
		return cause
	}
	if err := l.TruncateFullyAndStartAt(b.BaseOffset()); err != nil {
		return err
	}
	if _, err := l.AppendFollower(records); err != nil {
		return err
	}
	return l.SetStartOffset(end)
}

// cutOverlap cuts the log where a batch of the leader's begins that spans its end. The two logs then have other batches in
// the same epoch, which comparing epochs does not show: their leader lost what it had not flushed in a power failure. The
// leader's counts; the next fetch asks for it. What we know to be committed is never cut.
func (f *follower) cutOverlap(l *log.Log, records []byte, cause error) error {
	if base := record.Batch(records).BaseOffset(); base >= l.HighWatermark() {
		return errors.Join(cause, f.truncate(l, base))
	}
	return cause
}

// wholeBatches cuts off an incomplete batch at the end.
func wholeBatches(records []byte) []byte {
	rest := records
	for len(rest) > 0 {
		_, next, err := record.Next(rest)
		if errors.Is(err, record.ErrTruncated) {
			return records[:len(records)-len(rest)]
		}
		if err != nil {
			return records // the append says what is wrong
		}
		rest = next
	}
	return records
}

// diverged cuts the log where it parts from the leader's (KIP-101, KIP-279). The leader's answer is the largest epoch it
// has that is not above our last one, and where that ends there. If we do not have that epoch, the end of ours below it
// is a candidate, and the next fetch compares again.
func (f *follower) diverged(leader EpochEnd) error {
	l, release, err := f.hold()
	if err != nil {
		return err
	}
	defer release()
	to := leader.EndOffset
	epoch, end := l.EndOffsetForEpoch(leader.Epoch)
	switch {
	case leader.Epoch > l.LatestEpoch():
		// The leader has a newer epoch than any of ours, and says that we diverge: its log ends below ours.
	case epoch < 0:
		to = min(to, l.HighWatermark())
	default:
		to = min(to, end)
	}
	return f.truncate(l, to)
}

// truncate cuts the log, and says so: with an unclean election this loses records that were committed.
func (f *follower) truncate(l *log.Log, to int64) error {
	end, hw := l.EndOffset(), l.HighWatermark()
	level := f.p.m.o.Logger.Info
	if to < hw {
		level = f.p.m.o.Logger.Warn
	}
	if to < end {
		level("log diverges from the leader's and is cut", "topic", f.p.topic, "partition", f.p.index, "to", to, "log_end", end, "high_watermark", hw,
			"leader", f.leader, "leader_epoch", f.epoch)
	}
	return l.TruncateTo(to)
}

// beyond cuts our log at the end of the leader's, which does not have our position. done is false if ours does not lie
// behind that.
func (f *follower) beyond(leaderEnd int64) (done bool, err error) {
	l, release, err := f.hold()
	if err != nil {
		return false, err
	}
	defer release()
	if leaderEnd >= l.EndOffset() {
		return false, nil
	}
	// It ends before ours: it was elected uncleanly, and what it does not have is lost.
	return true, f.truncate(l, leaderEnd)
}

// below goes on at the leader's log start, when our log ends before it: retention or DeleteRecords took what we lack.
func (f *follower) below(leaderStart int64) error {
	l, release, err := f.hold()
	if err != nil {
		return err
	}
	defer release()
	if leaderStart <= l.EndOffset() {
		return nil
	}
	f.p.m.o.Logger.Info("the leader's log starts behind the end of this one, which starts anew there", "topic", f.p.topic, "partition", f.p.index,
		"leader_start", leaderStart, "log_end", l.EndOffset())
	if err := l.TruncateFullyAndStartAt(leaderStart); err != nil {
		return fmt.Errorf("starting anew at the leader's log start: %w", err)
	}
	return nil
}
