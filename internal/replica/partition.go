package replica

import (
	"cmp"
	"fmt"
	"sync"
	"sync/atomic"

	"gregor/internal/log"
	"gregor/internal/metadata"
)

// Partition is this broker's replica of one partition. It lives from the moment the metadata places it here until it is
// deleted or moved away; afterwards every call returns ErrNotLeader or ErrUnknownPartition.
type Partition struct {
	topic  string
	id     metadata.UUID
	index  int32
	nodeID int32
	m      *Manager

	config atomic.Pointer[TopicConfig]

	roleMu  sync.RWMutex // held for reading by an append, for writing by a change of role
	role    atomic.Pointer[role]
	log     atomic.Pointer[log.Log] // nil while its directory is offline
	leaving atomic.Bool             // it is to be copied again as a whole: see giveUp
	waiters waiters
	held    held
}

// role is what a replica is at present. It does not change: a new one replaces it.
type role struct {
	leader      *leader // nil unless this broker leads
	follower    *follower
	leaderID    int32
	leaderEpoch int32
	gone        bool // deleted or moved away
	offline     bool // its log could not be opened
}

// Topic is the topic's name.
func (p *Partition) Topic() string { return p.topic }

// TopicID is the topic's id.
func (p *Partition) TopicID() metadata.UUID { return p.id }

// Index is the partition's number.
func (p *Partition) Index() int32 { return p.index }

// Log is the replica's log; nil if its directory is offline.
func (p *Partition) Log() *log.Log { return p.log.Load() }

// Config is the topic's configuration in force.
func (p *Partition) Config() *TopicConfig { return p.config.Load() }

// Leader returns the current leader and its epoch as this replica knows them.
func (p *Partition) Leader() (id, epoch int32) {
	r := p.role.Load()
	return r.leaderID, r.leaderEpoch
}

// StartOffset is where the log starts; -1 if its directory is offline.
func (p *Partition) StartOffset() int64 {
	if l := p.log.Load(); l != nil {
		return l.StartOffset()
	}
	return -1
}

// NoEpoch stands for a leader epoch that the caller does not know and that is not to be checked.
const NoEpoch int32 = -1

// lead returns the leader's state if this broker leads in the given epoch (NoEpoch: any).
func (p *Partition) lead(epoch int32) (*leader, error) {
	r := p.role.Load()
	if r.gone {
		return nil, p.errorf(ErrUnknownPartition)
	}
	if err := p.checkEpoch(r, epoch); err != nil {
		return nil, err
	}
	if r.offline {
		return nil, p.errorf(ErrStorage)
	}
	if r.leader == nil {
		return nil, p.errorf(ErrNotLeader)
	}
	return r.leader, nil
}

// checkEpoch compares a client's leader epoch with ours (KIP-320).
func (p *Partition) checkEpoch(r *role, epoch int32) error {
	switch {
	case epoch == NoEpoch || epoch == r.leaderEpoch:
		return nil
	case epoch < r.leaderEpoch:
		return fmt.Errorf("%w: %d, the partition's is %d: %s-%d", ErrFencedEpoch, epoch, r.leaderEpoch, p.topic, p.index)
	default:
		return fmt.Errorf("%w: %d, the partition's is %d: %s-%d", ErrUnknownEpoch, epoch, r.leaderEpoch, p.topic, p.index)
	}
}

func (p *Partition) errorf(err error) error { return fmt.Errorf("%w: %s-%d", err, p.topic, p.index) }

// compare orders partitions by name and number.
func (p *Partition) compare(o *Partition) int {
	return cmp.Or(cmp.Compare(p.topic, o.topic), cmp.Compare(p.index, o.index))
}
