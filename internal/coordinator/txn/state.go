package txn

import "slices"

// State is where a transactional id stands. The numbers are those of its records.
type State int8

// The states of Apache Kafka.
const (
	Empty             State = 0 // the producer id and epoch are given, no transaction has begun
	Ongoing           State = 1 // partitions have been added
	PrepareCommit     State = 2 // decided; markers are on their way
	PrepareAbort      State = 3
	CompleteCommit    State = 4 // every partition has its marker
	CompleteAbort     State = 5
	Dead              State = 6 // expired: never stored, since expiry leaves a tombstone
	PrepareEpochFence State = 7 // never stored and never seen here: raising the epoch and aborting are one decision
)

var stateNames = [...]string{"Empty", "Ongoing", "PrepareCommit", "PrepareAbort", "CompleteCommit", "CompleteAbort", "Dead", "PrepareEpochFence"}

// String is Kafka's name.
func (s State) String() string {
	if s < 0 || int(s) >= len(stateNames) {
		return "Unknown"
	}
	return stateNames[s]
}

// stateNamed finds a state by its name.
func stateNamed(name string) (State, bool) {
	i := slices.Index(stateNames[:], name)
	return State(i), i >= 0
}

// before lists, for each state that a decision may lead to, those that it may come from. Without partitions a transaction
// of version 2 may be aborted that never began: its client cannot know whether it did.
var before = map[State][]State{
	Empty:          {Empty, CompleteCommit, CompleteAbort},
	Ongoing:        {Ongoing, Empty, CompleteCommit, CompleteAbort},
	PrepareCommit:  {Ongoing},
	PrepareAbort:   {Ongoing, Empty, CompleteCommit, CompleteAbort},
	CompleteCommit: {PrepareCommit},
	CompleteAbort:  {PrepareAbort},
}

func (s State) mayBecome(next State) bool { return slices.Contains(before[next], s) }

// preparing tells whether markers are on their way.
func (s State) preparing() bool { return s == PrepareCommit || s == PrepareAbort }

// mayExpire tells whether an id that is not used any more may be forgotten.
func (s State) mayExpire() bool { return s == Empty || s == CompleteCommit || s == CompleteAbort }
