package cases

import (
	"context"
	"fmt"
	"time"

	"gregor/bench/harness"
	"gregor/bench/load"
)

// Figures of groups: the time until every member has its part.
const (
	Together = "together ms"   // from the first join of all
	OneMore  = "one more ms"   // of a member that comes
	OneLess  = "one less ms"   // of a member that leaves
	GroupCPU = "server CPU ms" // of all three
)

// members is how many a group has. They ask often whether there is news, so that what is measured is not their patience.
const (
	members      = 100
	groupedParts = 300
	heartbeat    = 50 * time.Millisecond
	changes      = 5 // members that come, and leave
)

// Groups are the cases of consumer groups.
func Groups() []harness.Case {
	return []harness.Case{{Name: "group", Title: "a group of 100 members, 300 partitions, classic protocol; heartbeats every 50 ms",
		Workload: harness.Workload{Partitions: groupedParts}, Measure: group, Main: Together, Show: []string{OneMore, OneLess, GroupCPU, harness.RSS}}}
}

func group(ctx context.Context, t *harness.Target) (f harness.Figures, err error) {
	if t.Server == harness.LimitName {
		return nil, harness.ErrNotThisOne
	}
	name := fmt.Sprintf("group-of-%s", t.Topic)
	addr, err := load.Coordinator(ctx, t.Addrs()[0], name)
	if err != nil {
		return nil, err
	}
	stop := t.Measured()
	g := &load.Group{Addr: addr, Name: name, Topic: t.Topic, Partitions: t.Case.Workload.Partitions, Heartbeat: heartbeat}
	g.Start(ctx)
	defer func() {
		if errClose := g.Close(); err == nil {
			err = errClose
		}
	}()
	together, err := g.Join(members)
	if err != nil {
		return nil, err
	}
	var more, less time.Duration
	for range changes {
		took, err := g.Join(1)
		if err != nil {
			return nil, err
		}
		more += took
		if took, err = g.Leave(); err != nil {
			return nil, err
		}
		less += took
	}
	u := stop()
	return harness.Figures{Together: harness.Ms(together), OneMore: harness.Ms(more / changes), OneLess: harness.Ms(less / changes),
		GroupCPU: harness.Ms(u.Server)}.Add(u.Figures(0, 0)), nil
}
