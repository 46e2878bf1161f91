package controller

import (
	"slices"

	"gregor/internal/metadata"
)

// hardState is what the records of the log add up to. Every node that replays the log has the same.
type hardState struct {
	image *metadata.Image

	// The rest are indexes over image, so that a decision costs what it changes and not what there is.

	replicasOn  map[int32]partitionSet // broker -> partitions that it has a replica of
	leading     map[int32]int          // broker -> how many partitions it leads
	leaderless  partitionSet           // partitions without a leader
	imbalanced  partitionSet           // partitions whose leader is not the preferred one
	reassigning partitionSet           // partitions with a reassignment under way
	colliding   map[string]string      // metadata.CollisionKey -> the topic that has it
	dirOwner    map[metadata.UUID]int32
}

func newHardState(image *metadata.Image) (*hardState, error) {
	h := &hardState{
		replicasOn:  map[int32]partitionSet{},
		leading:     map[int32]int{},
		leaderless:  partitionSet{},
		imbalanced:  partitionSet{},
		reassigning: partitionSet{},
		colliding:   map[string]string{},
		dirOwner:    map[metadata.UUID]int32{},
	}
	delta, err := image.DeltaFromEmpty()
	if err != nil {
		return nil, err
	}
	h.note(delta)
	h.image = image
	return h, nil
}

// apply brings the state to the next offset.
func (h *hardState) apply(records []metadata.Record, lastOffset int64, epoch int32) error {
	delta := metadata.NewDelta(h.image)
	for _, r := range records {
		if err := delta.Apply(r); err != nil {
			return err
		}
	}
	h.image = delta.Image(lastOffset, epoch)
	h.note(delta)
	return nil
}

// note brings the indexes up to date.
func (h *hardState) note(delta *metadata.Delta) {
	for t := range delta.Topics() {
		key := metadata.CollisionKey(t.Name())
		if t.Deleted() {
			for id, p := range t.Old.Partitions {
				h.forget(t.ID(), int32(id), p)
			}
			if key != "" && h.colliding[key] == t.Name() {
				delete(h.colliding, key)
			}
			continue
		}
		if key != "" {
			h.colliding[key] = t.Name()
		}
		for _, id := range t.Changed() {
			h.notePartition(t.ID(), id, t.OldPartition(id), t.New.Partitions[id])
		}
	}
	for id, b := range delta.Brokers() {
		if b.Old != nil {
			for _, dir := range b.Old.Dirs {
				delete(h.dirOwner, dir)
			}
		}
		if b.New != nil {
			for _, dir := range b.New.Dirs {
				h.dirOwner[dir] = id
			}
		}
	}
}

// notePartition brings the indexes up to date with one partition; old is nil for a new one.
func (h *hardState) notePartition(topic metadata.UUID, id int32, old, next *metadata.Partition) {
	if old == nil {
		for _, broker := range next.Replicas {
			h.onBroker(broker).add(topic, id)
		}
		h.lead(next.Leader, 1)
	} else {
		if !slices.Equal(old.Replicas, next.Replicas) {
			for _, broker := range old.Replicas {
				h.onBroker(broker).remove(topic, id)
			}
			for _, broker := range next.Replicas {
				h.onBroker(broker).add(topic, id)
			}
		}
		if old.Leader != next.Leader {
			h.lead(old.Leader, -1)
			h.lead(next.Leader, 1)
		}
	}
	h.leaderless.set(topic, id, next.Leader == metadata.NoLeader)
	h.imbalanced.set(topic, id, next.Leader != metadata.NoLeader && !next.HasPreferredLeader())
	h.reassigning.set(topic, id, next.IsReassigning())
}

// forget takes a partition out of the indexes.
func (h *hardState) forget(topic metadata.UUID, id int32, p *metadata.Partition) {
	for _, broker := range p.Replicas {
		h.onBroker(broker).remove(topic, id)
	}
	h.lead(p.Leader, -1)
	for _, s := range []partitionSet{h.leaderless, h.imbalanced, h.reassigning} {
		s.remove(topic, id)
	}
}

func (h *hardState) onBroker(id int32) partitionSet {
	s := h.replicasOn[id]
	if s == nil {
		s = partitionSet{}
		h.replicasOn[id] = s
	}
	return s
}

func (h *hardState) lead(broker int32, n int) {
	if broker == metadata.NoLeader {
		return
	}
	if h.leading[broker] += n; h.leading[broker] == 0 {
		delete(h.leading, broker)
	}
}

// isActive reports whether a broker may lead and be in an ISR.
func (h *hardState) isActive(id int32) bool {
	b := h.image.Broker(id)
	return b != nil && !b.Fenced && !b.ShuttingDown
}

// softState is what a failover loses: when each broker was last heard of. A new leader takes every unfenced broker to
// have been heard of at the moment it begins, so a broker that died meanwhile is fenced up to one session later.
type softState struct {
	sessions   map[int32]*session
	lastTickMs int64
	preferred  balanceState
	unclean    balanceState
}

type session struct {
	heardMs int64
	// offset is the metadata offset that the broker has.
	offset int64
	// shutdownOffset is the end of the metadata log when the broker's controlled shutdown was last given leaderships to
	// move; the broker may go when all others know of it.
	shutdownOffset int64
}

func newSoftState(image *metadata.Image, nowMs int64) *softState {
	s := &softState{
		sessions: map[int32]*session{}, lastTickMs: nowMs,
		preferred: balanceState{kind: electPreferred}, unclean: balanceState{kind: electUnclean},
	}
	for b := range image.Brokers() {
		if !b.Fenced {
			s.sessions[b.ID] = &session{heardMs: nowMs, offset: -1, shutdownOffset: -1}
		}
	}
	return s
}

// hear notes a sign of life.
func (s *softState) hear(broker int32, nowMs, offset int64) *session {
	it := s.sessions[broker]
	if it == nil {
		it = &session{shutdownOffset: -1}
		s.sessions[broker] = it
	}
	it.heardMs, it.offset = nowMs, offset
	return it
}

// lowestOffset is the smallest metadata offset among the brokers that are not going; none: the largest number.
func (s *softState) lowestOffset(h *hardState) int64 {
	lowest := int64(1<<63 - 1)
	for id, it := range s.sessions {
		if h.isActive(id) {
			lowest = min(lowest, it.offset)
		}
	}
	return lowest
}

// stale returns the broker that was not heard of for longest and for more than a session, or false.
func (s *softState) stale(nowMs, sessionMs int64) (int32, bool) {
	found, oldest := int32(-1), nowMs-sessionMs
	for id, it := range s.sessions {
		if it.heardMs < oldest || it.heardMs == oldest && found >= 0 && id < found {
			found, oldest = id, it.heardMs
		}
	}
	return found, found >= 0
}
