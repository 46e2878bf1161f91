package group

import "slices"

// State is where a group stands. Dead is never kept: it is what a group that does not exist is described as.
type State int

// The states, in the order of a group's life.
const (
	Empty State = iota
	PreparingRebalance
	CompletingRebalance
	Stable
	Dead
)

var stateNames = [...]string{"Empty", "PreparingRebalance", "CompletingRebalance", "Stable", "Dead"}

func (s State) String() string { return stateNames[s] }

// validPrevious lists for each state the states from which a group may come to it.
var validPrevious = [...][]State{
	Empty:               {PreparingRebalance},
	PreparingRebalance:  {Stable, CompletingRebalance, Empty},
	CompletingRebalance: {PreparingRebalance},
	Stable:              {CompletingRebalance},
	Dead:                {Empty},
}

// mayBecome tells whether a group in state s may change to next.
func (s State) mayBecome(next State) bool { return slices.Contains(validPrevious[next], s) }
