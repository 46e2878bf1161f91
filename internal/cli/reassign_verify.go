package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// partitionState is how far the reassignment of a partition has come, and its form with --output json.
type partitionState struct {
	topicPartition
	Done     bool    `json:"done"`
	Replicas []int32 `json:"replicas"` // null: there is no such partition
	Target   []int32 `json:"target"`
}

// strays tells whether a partition is not where it shall be and does not move there.
func (s partitionState) strays() bool { return s.Done && !slices.Equal(s.Replicas, s.Target) }

func (s partitionState) String() string {
	switch {
	case !s.Done:
		return fmt.Sprintf("Reassignment of partition %s is still in progress.", s.topicPartition)
	case slices.Equal(s.Replicas, s.Target):
		return fmt.Sprintf("Reassignment of partition %s is completed.", s.topicPartition)
	}
	return fmt.Sprintf("There is no active reassignment of partition %s, but replica set is %s rather than %s.", s.topicPartition, joinInts(s.Replicas, ","), joinInts(s.Target, ","))
}

// settlePause is how long a broker may be behind the controller before what it says counts.
const settlePause = 300 * time.Millisecond

// verify says how far a plan has come, and removes the throttles when nothing moves any more.
func (c *reassigner) verify(ctx context.Context, plan *reassignment, preserve bool) error {
	states, anyRunning, err := c.partitionStates(ctx, plan)
	if err == nil && slices.ContainsFunc(states, partitionState.strays) {
		// The controller said that nothing moves, and the broker that was asked next has perhaps not heard of it.
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(settlePause):
		}
		states, anyRunning, err = c.partitionStates(ctx, plan)
	}
	if err != nil {
		return err
	}
	c.say("Status of partition reassignment:")
	for _, s := range states {
		c.say("%s", s)
	}
	moves, err := c.moveStates(ctx, plan.moves)
	if err != nil {
		return err
	}
	c.say("%s", strings.Join(moveLines(moves), "\n"))
	moving := slices.ContainsFunc(moves, func(m moveState) bool { return !m.done() })
	clear := !anyRunning && !moving && !preserve
	if clear {
		if err := c.clearThrottles(ctx, plan); err != nil {
			return err
		}
	}
	if !c.asJSON {
		return nil
	}
	return PrintJSON(c.io.Out, struct {
		Partitions       []partitionState `json:"partitions"`
		Moves            []moveState      `json:"logDirMoves"`
		AnyRunning       bool             `json:"anyReassignmentRunning"` // of other plans too
		ThrottlesCleared bool             `json:"throttlesCleared"`
	}{append([]partitionState{}, states...), append([]moveState{}, moves...), anyRunning, clear})
}

func (c *reassigner) partitionStates(ctx context.Context, plan *reassignment) (states []partitionState, anyRunning bool, err error) {
	running, err := c.running(ctx, nil)
	if err != nil {
		return nil, false, err
	}
	placed, err := c.knownPartitions(ctx, plan)
	if err != nil {
		return nil, false, err
	}
	targets := plan.assignment()
	for _, tp := range sortedKeys(targets) {
		s := partitionState{topicPartition: tp, Done: true, Replicas: placed[tp], Target: targets[tp]}
		if r, ok := running[tp]; ok {
			s.Done, s.Replicas = false, r.Replicas
		}
		states = append(states, s)
	}
	return states, len(running) > 0, nil
}

// knownPartitions is where the plan's partitions are; topics that do not exist are left out.
func (c *reassigner) knownPartitions(ctx context.Context, plan *reassignment) (assignment, error) {
	all := assignment{}
	for _, topic := range plan.topics() {
		found, err := c.assignmentOf(ctx, []string{topic})
		var unknown unknownTopic
		switch {
		case errors.As(err, &unknown):
		case err != nil:
			return nil, err
		}
		for tp, replicas := range found {
			all[tp] = replicas
		}
	}
	return all, nil
}

// cancel takes back what is under way of a plan.
func (c *reassigner) cancel(ctx context.Context, plan *reassignment, preserve bool) error {
	running, err := c.running(ctx, append([]topicPartition{}, plan.names()...))
	if err != nil {
		return err
	}
	if len(running) == 0 {
		fmt.Fprintln(c.io.Out, "None of the specified partition reassignments are active.")
	} else {
		cancelled := assignment{}
		for tp := range running {
			cancelled[tp] = nil
		}
		failed, err := c.alterReassignments(ctx, cancelled, false)
		if err != nil {
			return err
		}
		if len(failed) > 0 {
			return terse{fmt.Sprintf("Error cancelling partition reassignment%s for:\n%s", plural(len(failed)), partitionErrors(failed))}
		}
		fmt.Fprintf(c.io.Out, "Successfully cancelled partition reassignment%s for: %s\n", plural(len(running)), join(sortedKeys(running), ","))
	}
	moves, err := c.moveStates(ctx, plan.moves)
	if err != nil {
		return err
	}
	back := map[topicReplica]string{}
	for _, m := range moves {
		if !m.done() {
			back[m.replica()] = m.Current
		}
	}
	if len(back) == 0 {
		fmt.Fprintln(c.io.Out, "None of the specified partition moves are active.")
	} else if err := c.startMoves(ctx, back); err != nil {
		return err
	}
	if preserve {
		return nil
	}
	return c.clearThrottles(ctx, plan)
}

// runningReassignment is one line of --list, and its form with --output json.
type runningReassignment struct {
	topicPartition
	Replicas []int32 `json:"replicas"`
	Adding   []int32 `json:"addingReplicas"`
	Removing []int32 `json:"removingReplicas"`
}

func (r runningReassignment) String() string {
	line := fmt.Sprintf("%s: replicas: %s.", r.topicPartition, joinInts(r.Replicas, ","))
	if len(r.Adding) > 0 {
		line += fmt.Sprintf(" adding: %s.", joinInts(r.Adding, ","))
	}
	if len(r.Removing) > 0 {
		line += fmt.Sprintf(" removing: %s.", joinInts(r.Removing, ","))
	}
	return line
}

// list prints the reassignments that are under way.
func (c *reassigner) list(ctx context.Context) error {
	running, err := c.running(ctx, nil)
	if err != nil {
		return err
	}
	found := []runningReassignment{}
	for _, tp := range sortedKeys(running) {
		r := running[tp]
		found = append(found, runningReassignment{tp, notNil(r.Replicas), notNil(r.AddingReplicas), notNil(r.RemovingReplicas)})
	}
	if c.asJSON {
		return PrintJSON(c.io.Out, found)
	}
	if len(found) == 0 {
		fmt.Fprintln(c.io.Out, "No partition reassignments found.")
		return nil
	}
	fmt.Fprintln(c.io.Out, "Current partition reassignments:")
	for _, r := range found {
		fmt.Fprintln(c.io.Out, r)
	}
	return nil
}
