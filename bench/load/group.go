package load

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Group is a consumer group of the classic protocol whose members only keep their membership: each is a connection, and the
// one that is asked to assigns the partitions.
type Group struct {
	Addr       string // of the group's coordinator
	Name       string
	Topic      string
	Partitions int
	Heartbeat  time.Duration // how often a member asks whether the group rebalances

	mu      sync.Mutex
	have    map[*member]assigned
	changed chan struct{} // closed and replaced when have changes
	members []*member
	wg      sync.WaitGroup
	stop    context.CancelCauseFunc
	ctx     context.Context
}

// assigned is what a member was told last.
type assigned struct {
	generation int32
	partitions []int32
}

// Start begins without members. Close ends it.
func (g *Group) Start(ctx context.Context) {
	g.ctx, g.stop = context.WithCancelCause(ctx)
	g.have, g.changed = make(map[*member]assigned), make(chan struct{})
}

// Join adds members, all at once, and returns the time until every member of the group, old or new, has its part of the
// partitions in one generation.
func (g *Group) Join(members int) (time.Duration, error) {
	joining := make([]*member, members)
	for i := range joining {
		conn, err := Dial(g.ctx, g.Addr)
		if err != nil {
			return 0, err
		}
		joining[i] = &member{group: g, conn: conn, leave: make(chan struct{})}
	}
	began := time.Now()
	g.members = append(g.members, joining...)
	for _, m := range joining {
		g.wg.Go(func() {
			defer context.AfterFunc(g.ctx, func() { m.conn.Close() })()
			if err := m.run(); err != nil {
				g.stop(fmt.Errorf("a member of %s: %w", g.Name, err))
			}
		})
	}
	return g.settled(began, len(g.members))
}

// Leave has the member that came last leave, and returns the time until the others have all partitions.
func (g *Group) Leave() (time.Duration, error) {
	m := g.members[len(g.members)-1]
	g.members = g.members[:len(g.members)-1]
	began := time.Now()
	close(m.leave)
	return g.settled(began, len(g.members))
}

func (g *Group) settled(began time.Time, members int) (time.Duration, error) {
	for {
		g.mu.Lock()
		done, changed := whole(g.have, members, g.Partitions), g.changed
		g.mu.Unlock()
		if done {
			return time.Since(began), nil
		}
		select {
		case <-changed:
		case <-g.ctx.Done():
			return 0, context.Cause(g.ctx)
		}
	}
}

// whole says whether so many members have each partition once, in one generation.
func whole(have map[*member]assigned, members, partitions int) bool {
	if len(have) != members {
		return false
	}
	owned := make([]bool, partitions)
	count := 0
	generation := int32(-1)
	for _, a := range have {
		if generation >= 0 && a.generation != generation {
			return false
		}
		generation = a.generation
		for _, p := range a.partitions {
			if owned[p] {
				return false
			}
			owned[p] = true
			count++
		}
	}
	return count == partitions
}

func (g *Group) tell(m *member, a assigned, there bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if there {
		g.have[m] = a
	} else {
		delete(g.have, m)
	}
	close(g.changed)
	g.changed = make(chan struct{})
}

// Close has all members leave at once, and returns what went wrong since the start.
func (g *Group) Close() error {
	for _, m := range g.members {
		close(m.leave)
	}
	g.members = nil
	g.wg.Wait()
	err := context.Cause(g.ctx)
	g.stop(nil)
	return err
}

// member is one connection of a group.
type member struct {
	group      *Group
	conn       *Conn
	leave      chan struct{}
	id         string
	generation int32
}

func (m *member) run() error {
	defer m.conn.Close()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for join := true; ; {
		var err error
		if join {
			err = m.join()
		} else {
			err = m.beat()
		}
		join = false
		wait := m.group.Heartbeat
		switch {
		case errors.Is(err, kerr.RebalanceInProgress), errors.Is(err, kerr.IllegalGeneration):
			join, wait = true, 0
		case errors.Is(err, kerr.MemberIDRequired):
			join, wait = true, 0
		case errors.Is(err, kerr.UnknownMemberID):
			m.id = ""
			join, wait = true, 0
		case errors.Is(err, kerr.CoordinatorLoadInProgress), errors.Is(err, kerr.CoordinatorNotAvailable), errors.Is(err, kerr.NotCoordinator):
			join, wait = true, 20*time.Millisecond
		case err != nil:
			return err
		}
		timer.Reset(wait)
		select {
		case <-timer.C:
		case <-m.leave:
			return m.quit()
		case <-m.group.ctx.Done():
			return nil
		}
	}
}

// Versions before the flexible ones, which all brokers have.
func (m *member) join() error {
	req := kmsg.NewPtrJoinGroupRequest()
	req.SetVersion(5)
	req.Group, req.MemberID, req.ProtocolType = m.group.Name, m.id, "consumer"
	req.SessionTimeoutMillis, req.RebalanceTimeoutMillis = 45_000, 60_000
	subscribed := kmsg.ConsumerMemberMetadata{Topics: []string{m.group.Topic}}
	req.Protocols = []kmsg.JoinGroupRequestProtocol{{Name: "range", Metadata: subscribed.AppendTo(nil)}}
	joined, err := do[*kmsg.JoinGroupResponse](m.conn, req)
	if err != nil {
		return err
	}
	m.id, m.generation = joined.MemberID, joined.Generation
	if err := kerr.ErrorForCode(joined.ErrorCode); err != nil {
		return err
	}
	sync := kmsg.NewPtrSyncGroupRequest()
	sync.SetVersion(3)
	sync.Group, sync.MemberID, sync.Generation = m.group.Name, m.id, m.generation
	if joined.LeaderID == m.id {
		var ids []string
		for _, other := range joined.Members {
			ids = append(ids, other.MemberID)
		}
		sync.GroupAssignment = divide(ids, m.group.Topic, m.group.Partitions)
	}
	synced, err := do[*kmsg.SyncGroupResponse](m.conn, sync)
	if err != nil {
		return err
	}
	if err := kerr.ErrorForCode(synced.ErrorCode); err != nil {
		return err
	}
	var parts kmsg.ConsumerMemberAssignment
	if err := parts.ReadFrom(synced.MemberAssignment); err != nil {
		return err
	}
	a := assigned{generation: m.generation}
	for _, t := range parts.Topics {
		a.partitions = append(a.partitions, t.Partitions...)
	}
	m.group.tell(m, a, true)
	return nil
}

// divide gives each member a run of partitions.
func divide(members []string, topic string, partitions int) (all []kmsg.SyncGroupRequestGroupAssignment) {
	slices.Sort(members)
	for i, id := range members {
		var part kmsg.ConsumerMemberAssignment
		t := kmsg.ConsumerMemberAssignmentTopic{Topic: topic}
		for p := partitions * i / len(members); p < partitions*(i+1)/len(members); p++ {
			t.Partitions = append(t.Partitions, int32(p))
		}
		part.Topics = append(part.Topics, t)
		all = append(all, kmsg.SyncGroupRequestGroupAssignment{MemberID: id, MemberAssignment: part.AppendTo(nil)})
	}
	return all
}

func (m *member) beat() error {
	req := kmsg.NewPtrHeartbeatRequest()
	req.SetVersion(3)
	req.Group, req.MemberID, req.Generation = m.group.Name, m.id, m.generation
	resp, err := do[*kmsg.HeartbeatResponse](m.conn, req)
	if err != nil {
		return err
	}
	return kerr.ErrorForCode(resp.ErrorCode)
}

func (m *member) quit() error {
	defer m.group.tell(m, assigned{}, false)
	req := kmsg.NewPtrLeaveGroupRequest()
	req.SetVersion(1)
	req.Group, req.MemberID = m.group.Name, m.id
	_, err := m.conn.Do(req)
	return err
}

// Coordinator is the address of a group's coordinator, as soon as there is one.
func Coordinator(ctx context.Context, addr, group string) (string, error) {
	req := kmsg.NewPtrFindCoordinatorRequest()
	req.SetVersion(2)
	req.CoordinatorKey = group
	c, err := Dial(ctx, addr)
	if err != nil {
		return "", err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	for {
		resp, err := do[*kmsg.FindCoordinatorResponse](c, req)
		if err != nil {
			return "", err
		}
		if err = kerr.ErrorForCode(resp.ErrorCode); err == nil {
			return fmt.Sprintf("%s:%d", resp.Host, resp.Port), nil
		}
		if !kerr.IsRetriable(err) {
			return "", err
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return "", fmt.Errorf("%w: %w", context.Cause(ctx), err)
		}
	}
}
