package group

import (
	"io"
	"log/slog"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/internal/coordinator"
)

// Machine is the group coordinator of one partition of __consumer_offsets: a [coordinator.Machine].
//
// Its hard state, rebuilt from the log, is what the fields stored, offsets and transactions hold. Its soft state is the
// live part of each group and the timers; see live for what a failover costs.
type Machine struct {
	config func() Config
	logger *slog.Logger

	groups       map[string]*group
	offsets      map[string]offsets    // by group; those of one that was deleted stay until that is committed
	foreign      map[string]*foreign   // groups of protocols this coordinator does not speak
	transactions map[int64]transaction // by producer id
	uncommitted  []change              // in the order of positions

	elected   bool
	electedMs int64
	timers    timers
	expiry    timer
	expiring  []string // groups the present round of offset expiry has still to look at

	// Set while a decision is made.
	now int64
	out *coordinator.Effects[kmsg.Response]
}

// NewMachine makes the machine of an empty partition. config gives the current configuration; logger may be nil.
func NewMachine(config func() Config, logger *slog.Logger) *Machine {
	if logger == nil {
		logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	return &Machine{
		config: config, logger: logger,
		groups: map[string]*group{}, offsets: map[string]offsets{}, foreign: map[string]*foreign{}, transactions: map[int64]transaction{},
	}
}

// create makes a group that nobody has joined.
func (m *Machine) create(id string) *group {
	g := &group{id: id}
	if m.elected {
		g.live = newLive(m.now)
	}
	m.groups[id] = g
	return g
}

// Apply takes a record of the log. One that cannot be read is skipped: refusing to load would take away every group of
// the partition for the sake of one.
func (m *Machine) Apply(position int64, r coordinator.Record) {
	e, err := decode(r.Key, r.Value)
	if err != nil {
		m.logger.Error("skipping a record of "+Topic, "error", err)
		return
	}
	switch e.keyType {
	case keyLegacyOffset, keyOffset:
		m.applyOffset(position, place{e.group, e.topic, e.partition}, e.offset, r.ProducerID)
	case keyGroup:
		m.applyGroup(e.group, e.stored)
	default:
		if foreignKinds[e.keyType] != "" {
			m.applyForeign(&e, r.Key)
		}
	}
}

func (m *Machine) applyOffset(position int64, p place, o *offset, producer int64) {
	if o != nil && producer != coordinator.NoProducer {
		t := m.transactions[producer]
		if t == nil {
			t = transaction{}
			m.transactions[producer] = t
		}
		o.position = position
		t[p] = o
		g := m.groups[p.group]
		if g == nil {
			g = m.create(p.group)
		}
		if g.openTxn == nil {
			g.openTxn = map[int64]struct{}{}
		}
		g.openTxn[producer] = struct{}{}
		return
	}
	if o == nil {
		if g := m.groups[p.group]; g != nil {
			for id := range g.openTxn {
				delete(m.transactions[id], p)
			}
		}
	}
	m.setOffset(position, p, o)
}

func (m *Machine) applyGroup(id string, s *stored) {
	if s == nil {
		delete(m.groups, id)
		return
	}
	g := m.groups[id]
	if g == nil {
		g = m.create(id)
	}
	g.stored = s
}

// Elected brings the stored groups to life. Members have a session timeout from now to be heard of.
func (m *Machine) Elected(now int64, out *coordinator.Effects[kmsg.Response]) {
	m.now, m.out = now, out
	m.elected, m.electedMs = true, now
	maxSize := m.config().MaxSize
	for _, g := range m.groups {
		g.live = revive(g.stored)
		for _, mb := range g.live.order {
			m.expectHeartbeat(g, mb, int64(mb.sessionTimeoutMs))
		}
		if len(g.live.members) > maxSize {
			m.prepareRebalance(g, "the group is larger than group.max.size")
		}
	}
	m.scheduleExpiry(now + m.config().OffsetsRetentionCheckMs)
	m.out = nil
}

// Deadline is the earliest timer.
func (m *Machine) Deadline() (int64, bool) { return m.timers.next() }

// Tick fires the earliest timer that is due.
func (m *Machine) Tick(now int64, out *coordinator.Effects[kmsg.Response]) {
	m.now, m.out = now, out
	if t := m.timers.due(now); t != nil {
		t.fire()
	}
	m.out = nil
}

// Decide answers a request, now or in a later decision.
func (m *Machine) Decide(t coordinator.Token, e Event, now int64, out *coordinator.Effects[kmsg.Response]) {
	m.now, m.out = now, out
	switch req := e.Request.(type) {
	case *kmsg.JoinGroupRequest:
		m.joinGroup(t, e.Caller, req, e.NewMemberID)
	case *kmsg.SyncGroupRequest:
		m.syncGroup(t, req)
	case *kmsg.HeartbeatRequest:
		m.heartbeat(t, req)
	case *kmsg.LeaveGroupRequest:
		m.leaveGroup(t, req)
	case *kmsg.OffsetCommitRequest:
		m.commitOffsets(t, e.Caller, req)
	case *kmsg.TxnOffsetCommitRequest:
		m.commitInTransaction(t, req, e.Guard)
	case *kmsg.OffsetFetchRequest:
		m.fetchOffsets(t, req)
	case *kmsg.OffsetDeleteRequest:
		m.deleteOffsets(t, req)
	case *kmsg.DescribeGroupsRequest:
		m.describeGroups(t, e.Caller, req)
	case *kmsg.ListGroupsRequest:
		m.listGroups(t, req)
	case *kmsg.DeleteGroupsRequest:
		m.deleteGroups(t, req)
	case nil:
		m.topicsDeleted(e.DeletedTopics)
		m.out.Reply(t, nil)
	default:
		panic("group: unexpected request")
	}
	m.out = nil
}
