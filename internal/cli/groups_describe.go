package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

// groupDescription is a group as --describe shows it, whatever protocol it speaks, and its form with --output json.
type groupDescription struct {
	Group       string           `json:"group"`
	Type        string           `json:"type"`
	State       string           `json:"state"`
	Assignor    string           `json:"assignor"`
	Coordinator groupCoordinator `json:"coordinator"`
	Epoch       *int32           `json:"epoch,omitempty"` // groups of the newer protocol (KIP-848)
	TargetEpoch *int32           `json:"targetEpoch,omitempty"`
	Members     []groupMember    `json:"members"`
	Offsets     []groupOffset    `json:"offsets,omitempty"`
}

type groupCoordinator struct {
	ID   int32  `json:"id"`
	Host string `json:"host"`
	Port int32  `json:"port"`
}

type groupMember struct {
	MemberID   string             `json:"memberId"`
	InstanceID string             `json:"groupInstanceId,omitempty"`
	Host       string             `json:"host"`
	ClientID   string             `json:"clientId"`
	Epoch      *int32             `json:"epoch,omitempty"`
	Assignment map[string][]int32 `json:"assignment"`
	Target     map[string][]int32 `json:"targetAssignment,omitempty"`
}

func (m groupMember) partitions() int {
	n := 0
	for _, ids := range m.Assignment {
		n += len(ids)
	}
	return n
}

// groupOffset is one partition that the group has an offset of, or that a member reads. Nil: there is none.
type groupOffset struct {
	Topic       string `json:"topic"`
	Partition   int32  `json:"partition"`
	Committed   *int64 `json:"currentOffset"`
	LeaderEpoch *int32 `json:"leaderEpoch,omitempty"`
	End         *int64 `json:"logEndOffset"`
	Lag         *int64 `json:"lag"`
	MemberID    string `json:"memberId"`
	Host        string `json:"host"`
	ClientID    string `json:"clientId"`
}

func (f *groupsFlags) runDescribe(ctx context.Context, c *groupsClient) error {
	names, err := f.chosen(ctx, c)
	if err != nil {
		return err
	}
	if len(names) == 0 {
		if f.JSON() {
			return PrintJSON(c.io.Out, []groupDescription{})
		}
		return nil
	}
	groups, err := c.describeGroups(ctx, names)
	if err != nil {
		return err
	}
	withOffsets := !f.members.Seen() && !f.state.Seen()
	if withOffsets {
		for i := range groups {
			if err := c.addOffsets(ctx, &groups[i]); err != nil {
				return err
			}
		}
	}
	if f.JSON() {
		return PrintJSON(c.io.Out, groups)
	}
	for _, g := range groups {
		switch {
		case withOffsets:
			g.printOffsets(c.io, f.verbose.Seen())
		case f.members.Seen():
			g.printMembers(c.io, f.verbose.Seen())
		default:
			g.printState(c.io, f.verbose.Seen())
		}
	}
	return nil
}

// describeGroups asks for groups of the classic protocol, and then for the rest as groups of the newer one.
func (c *groupsClient) describeGroups(ctx context.Context, names []string) ([]groupDescription, error) {
	classic, err := c.DescribeGroups(ctx, names...)
	if err != nil {
		return nil, err
	}
	groups := make([]groupDescription, 0, len(names))
	for _, name := range names {
		g, ok := classic[name]
		if !ok {
			return nil, fmt.Errorf("no broker described group %s", name)
		}
		if errors.Is(g.Err, kerr.GroupIDNotFound) || g.Err == nil && g.State == "Dead" {
			newer, err := c.describeConsumerGroup(ctx, name)
			if err != nil {
				return nil, err
			}
			groups = append(groups, newer)
			continue
		}
		if g.Err != nil {
			return nil, &groupError{g.Err, g.ErrMessage}
		}
		groups = append(groups, classicGroup(g))
	}
	return groups, nil
}

func coordinatorOf(b kadm.BrokerDetail) groupCoordinator {
	return groupCoordinator{b.NodeID, b.Host, b.Port}
}

func classicGroup(g kadm.DescribedGroup) groupDescription {
	d := groupDescription{Group: g.Group, Type: "Classic", State: g.State, Assignor: g.Protocol, Coordinator: coordinatorOf(g.Coordinator), Members: []groupMember{}}
	for _, m := range g.Members {
		member := groupMember{MemberID: m.MemberID, Host: m.ClientHost, ClientID: m.ClientID, Assignment: map[string][]int32{}}
		if m.InstanceID != nil {
			member.InstanceID = *m.InstanceID
		}
		if assigned, ok := m.Assigned.AsConsumer(); ok {
			for _, t := range assigned.Topics {
				member.Assignment[t.Topic] = append(member.Assignment[t.Topic], t.Partitions...)
			}
		}
		d.Members = append(d.Members, member)
	}
	return d
}

// describeConsumerGroup asks for a group of the protocol of KIP-848.
func (c *groupsClient) describeConsumerGroup(ctx context.Context, name string) (groupDescription, error) {
	missing := &groupError{kerr.GroupIDNotFound, fmt.Sprintf("Group %s not found.", name)}
	described, err := c.DescribeConsumerGroups(ctx, name)
	if err != nil {
		if tooOld(err) {
			return groupDescription{}, missing
		}
		return groupDescription{}, err
	}
	g, ok := described[name]
	if !ok || errors.Is(g.Err, kerr.GroupIDNotFound) || g.Err != nil && tooOld(g.Err) {
		return groupDescription{}, missing
	}
	if g.Err != nil {
		return groupDescription{}, &groupError{err: g.Err}
	}
	d := groupDescription{
		Group: name, Type: "Consumer", State: g.State, Assignor: g.AssignorName, Coordinator: coordinatorOf(g.Coordinator),
		Epoch: &g.Epoch, TargetEpoch: &g.AssignmentEpoch, Members: []groupMember{},
	}
	for _, m := range g.Members {
		member := groupMember{MemberID: m.MemberID, Host: m.ClientHost, ClientID: m.ClientID, Epoch: &m.MemberEpoch, Assignment: lists(m.Assignment), Target: lists(m.TargetAssignment)}
		if m.InstanceID != nil {
			member.InstanceID = *m.InstanceID
		}
		d.Members = append(d.Members, member)
	}
	return d, nil
}

func lists(set kadm.TopicsSet) map[string][]int32 {
	out := map[string][]int32{}
	for topic, partitions := range set {
		for p := range partitions {
			out[topic] = append(out[topic], p)
		}
		slices.Sort(out[topic])
	}
	return out
}

// addOffsets adds the partitions that members read, the member with the most first, and then the partitions that
// only have a committed offset.
func (c *groupsClient) addOffsets(ctx context.Context, g *groupDescription) error {
	committed, err := c.FetchOffsets(ctx, g.Group)
	if err != nil {
		return err
	}
	rows := []groupOffset{}
	taken := kadm.TopicsSet{}
	members := slices.Clone(g.Members)
	slices.SortStableFunc(members, func(a, b groupMember) int { return cmp.Compare(b.partitions(), a.partitions()) })
	for _, m := range members {
		var own []groupOffset
		for topic, partitions := range m.Assignment {
			for _, p := range partitions {
				taken.Add(topic, p)
				own = append(own, groupOffset{Topic: topic, Partition: p, MemberID: m.MemberID, Host: m.Host, ClientID: m.ClientID})
			}
		}
		sortOffsets(own)
		rows = append(rows, own...)
	}
	var free []groupOffset
	committed.Each(func(o kadm.OffsetResponse) {
		if o.Err == nil && o.At >= 0 && !taken.Lookup(o.Topic, o.Partition) {
			free = append(free, groupOffset{Topic: o.Topic, Partition: o.Partition, MemberID: "-", Host: "-", ClientID: "-"})
		}
	})
	sortOffsets(free)
	rows = append(rows, free...)
	ends, err := c.endOffsets(ctx, rows)
	if err != nil {
		return err
	}
	for i := range rows {
		r := &rows[i]
		if o, ok := committed.Lookup(r.Topic, r.Partition); ok && o.Err == nil && o.At >= 0 {
			r.Committed = &o.At
			if o.LeaderEpoch >= 0 {
				r.LeaderEpoch = &o.LeaderEpoch
			}
		}
		if end, ok := ends.Lookup(r.Topic, r.Partition); ok && end.Err == nil {
			r.End = &end.Offset
			if r.Committed != nil {
				lag := end.Offset - *r.Committed
				r.Lag = &lag
			}
		}
	}
	g.Offsets = rows
	return nil
}

func sortOffsets(rows []groupOffset) {
	slices.SortFunc(rows, func(a, b groupOffset) int {
		return cmp.Or(strings.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
}

func (c *groupsClient) endOffsets(ctx context.Context, rows []groupOffset) (kadm.ListedOffsets, error) {
	var topics []string
	for _, r := range rows {
		if !slices.Contains(topics, r.Topic) {
			topics = append(topics, r.Topic)
		}
	}
	if len(topics) == 0 {
		return nil, nil
	}
	return c.ListEndOffsets(ctx, topics...)
}

// announce says what state the group is in if that matters, and whether its table is to be printed.
func (g groupDescription) announce(io IO, rows int) bool {
	switch g.State {
	case "Dead":
		printGroupError(io, "Consumer group '"+g.Group+"' does not exist.")
		return false
	case "Empty":
		fmt.Fprintln(io.Err, "\nConsumer group '"+g.Group+"' has no active members.")
	case "PreparingRebalance", "CompletingRebalance", "Assigning", "Reconciling":
		fmt.Fprintln(io.Err, "\nWarning: Consumer group '"+g.Group+"' is rebalancing.")
	}
	return rows > 0
}

// dash prints a value, or - if there is none.
func dash[T int32 | int64](v *T) string {
	if v == nil {
		return "-"
	}
	return strconv.FormatInt(int64(*v), 10)
}

func (g groupDescription) printOffsets(io IO, verbose bool) {
	if !g.announce(io, len(g.Offsets)) {
		return
	}
	group, topic, member, host := 15, 15, 15, 15
	for _, r := range g.Offsets {
		group, topic = max(group, len(g.Group)), max(topic, len(r.Topic))
		member, host = max(member, len(r.MemberID)), max(host, len(r.Host))
	}
	line := func(values ...any) {
		epoch := ""
		if verbose {
			epoch = fmt.Sprintf("%-15s ", values[3])
		}
		values = slices.Delete(values, 3, 4)
		head := fmt.Sprintf("%-*s %-*s %-10s ", group, values[0], topic, values[1], values[2])
		fmt.Fprintf(io.Out, "\n%s%s%-15s %-15s %-15s %-*s %-*s %s", head, epoch, values[3], values[4], values[5], member, values[6], host, values[7], values[8])
	}
	line("GROUP", "TOPIC", "PARTITION", "LEADER-EPOCH", "CURRENT-OFFSET", "LOG-END-OFFSET", "LAG", "CONSUMER-ID", "HOST", "CLIENT-ID")
	for _, r := range g.Offsets {
		line(g.Group, r.Topic, strconv.Itoa(int(r.Partition)), dash(r.LeaderEpoch), dash(r.Committed), dash(r.End), dash(r.Lag), r.MemberID, r.Host, r.ClientID)
	}
	fmt.Fprintln(io.Out)
}

func (g groupDescription) printMembers(io IO, verbose bool) {
	group, member, instance, host, client := 15, 15, 17, 15, 15
	hasInstance := false
	if g.announce(io, len(g.Members)) {
		for _, m := range g.Members {
			group, member, instance = max(group, len(g.Group)), max(member, len(m.MemberID)), max(instance, len(m.InstanceID))
			host, client = max(host, len(m.Host)), max(client, len(m.ClientID))
			hasInstance = hasInstance || m.InstanceID != ""
		}
	}
	line := func(first, id, instanceID, at, clientID, count string, more ...any) {
		text := fmt.Sprintf("%-*s %-*s ", group, first, member, id)
		if hasInstance {
			text += fmt.Sprintf("%-*s ", instance, instanceID)
		}
		text += fmt.Sprintf("%-*s %-*s %-15s ", host, at, client, clientID, count)
		if verbose {
			text += fmt.Sprintf("%-15s %-20s %-15s %-20s", more...)
		}
		fmt.Fprintln(io.Out, text)
	}
	fmt.Fprintln(io.Out)
	line("GROUP", "CONSUMER-ID", "GROUP-INSTANCE-ID", "HOST", "CLIENT-ID", "#PARTITIONS", "CURRENT-EPOCH", "CURRENT-ASSIGNMENT", "TARGET-EPOCH", "TARGET-ASSIGNMENT")
	for _, m := range g.Members {
		target, targetEpoch := "-", "-"
		if m.Target != nil {
			target, targetEpoch = assignmentText(m.Target), dash(g.TargetEpoch)
		}
		line(g.Group, m.MemberID, m.InstanceID, m.Host, m.ClientID, strconv.Itoa(m.partitions()), dash(m.Epoch), assignmentText(m.Assignment), targetEpoch, target)
	}
}

// assignmentText is topic:0,1;other:2.
func assignmentText(assignment map[string][]int32) string {
	var parts []string
	for topic, partitions := range assignment {
		sorted := slices.Sorted(slices.Values(partitions))
		parts = append(parts, topic+":"+joinInts(sorted, ","))
	}
	if len(parts) == 0 {
		return "-"
	}
	slices.Sort(parts)
	return strings.Join(parts, ";")
}

func (g groupDescription) printState(io IO, verbose bool) {
	if !g.announce(io, 1) {
		return
	}
	at := net.JoinHostPort(g.Coordinator.Host, strconv.Itoa(int(g.Coordinator.Port))) + fmt.Sprintf("  (%d)", g.Coordinator.ID)
	group, width := max(15, len(g.Group)), max(25, len(at))
	assignor := g.Assignor
	if assignor == "" {
		assignor = "-"
	}
	line := func(first, coordinator, strategy, state, epoch, target, members string) {
		text := fmt.Sprintf("\n%-*s %-*s %-20s %-20s ", group, first, width, coordinator, strategy, state)
		if verbose {
			text += fmt.Sprintf("%-15s %-25s ", epoch, target)
		}
		fmt.Fprint(io.Out, text+members)
	}
	line("GROUP", "COORDINATOR (ID)", "ASSIGNMENT-STRATEGY", "STATE", "GROUP-EPOCH", "TARGET-ASSIGNMENT-EPOCH", "#MEMBERS")
	line(g.Group, at, assignor, g.State, dash(g.Epoch), dash(g.TargetEpoch), strconv.Itoa(len(g.Members)))
	fmt.Fprintln(io.Out)
}
