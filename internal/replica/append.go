package replica

import "gregor/internal/log"

// Acks values of a Produce request.
const (
	AcksNone   int16 = 0
	AcksLeader int16 = 1
	AcksAll    int16 = -1
)

// Appended is what an append gave, and the leader epoch it was made in, which [Partition.AwaitCommit] needs.
type Appended struct {
	log.AppendInfo
	LeaderEpoch int32
	// Committed says that [Partition.AwaitCommit] would find the batches committed, and enough replicas in sync: always
	// where there is one replica, unless they wait for the disk. A handler that knows need not ask again.
	Committed bool
}

// Append writes batches as the leader; those of a transaction without asking its coordinator, see AppendGuarded. epoch is the leader epoch that the caller works in, or NoEpoch. With AcksAll it
// refuses when too few replicas are in sync; waiting for the commit is [Partition.AwaitCommit]. The batches are patched
// in place.
func (p *Partition) Append(records []byte, acks int16, epoch int32, origin log.Origin) (Appended, error) {
	return p.AppendGuarded(records, acks, epoch, origin, log.Unverified)
}

// AppendGuarded is Append of batches of a transaction, with the guard that Manager.Verify gave. Error, too:
// log.ErrInvalidTxnState if the transaction has ended since.
func (p *Partition) AppendGuarded(records []byte, acks int16, epoch int32, origin log.Origin, guard log.Guard) (Appended, error) {
	return p.append(acks, epoch, appending{records: records, origin: origin, guard: guard})
}

// AppendMarker ends a producer's transaction in this partition, with acks=all. When the marker is committed the last
// stable offset moves; [Partition.AwaitCommit] tells. Errors: log.ErrInvalidProducerEpoch, log.ErrCoordinatorFenced, those of
// Append.
func (p *Partition) AppendMarker(m log.Marker, epoch int32) (Appended, error) {
	return p.append(AcksAll, epoch, appending{marker: &m})
}

// appending is what is appended: batches or a marker.
type appending struct {
	records []byte
	origin  log.Origin
	guard   log.Guard
	marker  *log.Marker
}

func (a *appending) to(ld *leader) (log.AppendInfo, error) {
	if a.marker != nil {
		return ld.log.AppendMarker(*a.marker, ld.epoch)
	}
	return ld.log.AppendGuarded(a.records, ld.epoch, a.origin, a.guard)
}

func (p *Partition) append(acks int16, epoch int32, a appending) (Appended, error) {
	p.roleMu.RLock()
	ld, err := p.lead(epoch)
	if err != nil {
		p.roleMu.RUnlock()
		return Appended{}, err
	}
	if acks == AcksAll && !ld.enough() {
		p.roleMu.RUnlock()
		return Appended{}, p.errorf(ErrNotEnoughReplicas)
	}
	info, err := a.to(ld)
	p.roleMu.RUnlock()
	if err != nil {
		return Appended{AppendInfo: info, LeaderEpoch: ld.epoch}, err
	}
	return Appended{info, ld.epoch, ld.appended(info.LastOffset + 1)}, nil
}

// AwaitCommit has done called once when everything up to and including lastOffset is committed, or with an error when
// it cannot be known. epoch is the leader epoch of the append: after a change of leaders the offset may have been cut off
// and written anew, so that its commit says nothing about the caller's records. If done was called before AwaitCommit
// returns, cancel is nil; else cancel takes the wait back and reports whether it was in time: then done is not called.
func (p *Partition) AwaitCommit(lastOffset int64, epoch int32, done func(error)) (cancel func() bool) {
	ld, err := p.lead(NoEpoch)
	if err == nil && epoch != NoEpoch && ld.epoch != epoch {
		err = p.errorf(ErrNotLeader)
	}
	if err != nil {
		done(err)
		return nil
	}
	return ld.await(lastOffset+1, done)
}

// AwaitFlush is AwaitCommit for acks=1 of an append that is Pending: done is called when it is on this broker's disk.
func (p *Partition) AwaitFlush(lastOffset int64, epoch int32, done func(error)) (cancel func() bool) {
	ld, err := p.lead(epoch)
	if err != nil {
		done(err)
		return nil
	}
	return ld.awaitFlush(lastOffset+1, done)
}
