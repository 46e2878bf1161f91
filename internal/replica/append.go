package replica

import "gregor/internal/log"

// Acks values of a Produce request.
const (
	AcksNone   int16 = 0
	AcksLeader int16 = 1
	AcksAll    int16 = -1
)

// Append writes batches as the leader. epoch is the leader epoch that the caller works in, or NoEpoch. With AcksAll it
// refuses when too few replicas are in sync; waiting for the commit is [Partition.AwaitCommit]. The batches are patched
// in place.
func (p *Partition) Append(records []byte, acks int16, epoch int32, origin log.Origin) (log.AppendInfo, error) {
	p.roleMu.RLock()
	ld, err := p.lead(epoch)
	if err != nil {
		p.roleMu.RUnlock()
		return log.AppendInfo{}, err
	}
	if acks == AcksAll && !ld.enough() {
		p.roleMu.RUnlock()
		return log.AppendInfo{}, p.errorf(ErrNotEnoughReplicas)
	}
	info, err := ld.log.AppendLeader(records, ld.epoch, origin)
	p.roleMu.RUnlock()
	if err != nil {
		return info, err
	}
	ld.advance()
	return info, nil
}

// AwaitCommit has done called once when everything up to and including lastOffset is committed, or with an error when
// it cannot be known. If done was called before AwaitCommit returns, cancel is nil; else cancel takes the wait back and
// reports whether it was in time: then done is not called.
func (p *Partition) AwaitCommit(lastOffset int64, done func(error)) (cancel func() bool) {
	ld, err := p.lead(NoEpoch)
	if err != nil {
		done(err)
		return nil
	}
	return ld.await(lastOffset+1, done)
}
