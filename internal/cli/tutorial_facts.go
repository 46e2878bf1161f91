package cli

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// clusterFacts is a cluster as it stands, as far as one topic and one group go.
type clusterFacts struct {
	zookeeper  string
	controller int32   // -1: none
	brokers    []int32 // that serve
	topic      string
	partitions []partitionFacts
	group      string // "": none is looked at
	members    []memberFacts
}

type partitionFacts struct {
	id            int32
	leader        int32 // -1: none
	replicas, isr []int32
	end           int64 // the offset behind its last record, -1: not known
}

type memberFacts struct {
	id         string // as the group's coordinator knows it
	partitions []int32
}

// factsTimeout is for one question; it is asked again.
const factsTimeout = 5 * time.Second

// askFacts asks the cluster. A group that is not there has no members.
func askFacts(ctx context.Context, cl *kgo.Client, topic, group string) (clusterFacts, error) {
	f := clusterFacts{topic: topic, group: group, controller: -1}
	ctx, cancel := context.WithTimeout(ctx, factsTimeout)
	defer cancel()
	if err := f.askMetadata(ctx, cl); err != nil {
		return f, err
	}
	adm := kadm.NewClient(cl)
	ends, err := adm.ListEndOffsets(ctx, topic)
	if err != nil && ctx.Err() != nil {
		return f, err
	}
	for i := range f.partitions {
		p := &f.partitions[i]
		p.end = -1
		if o, ok := ends.Lookup(topic, p.id); ok && o.Err == nil {
			p.end = o.Offset
		}
	}
	if group == "" {
		return f, nil
	}
	groups, err := adm.DescribeGroups(ctx, group)
	if err != nil {
		return f, err
	}
	g := groups[group]
	if g.Err != nil {
		return f, g.Err
	}
	if len(g.Members) > 0 && g.State != "Stable" {
		return f, fmt.Errorf("group %s is in state %s", group, g.State)
	}
	for _, member := range g.Members {
		mf := memberFacts{id: member.MemberID}
		if assigned, ok := member.Assigned.AsConsumer(); ok {
			for _, t := range assigned.Topics {
				if t.Topic == topic {
					mf.partitions = append(mf.partitions, t.Partitions...)
				}
			}
		}
		slices.Sort(mf.partitions)
		f.members = append(f.members, mf)
	}
	sort.Slice(f.members, func(i, j int) bool { return f.members[i].id < f.members[j].id })
	return f, nil
}

// askMetadata asks who serves, who the controller is, and for the topic's partitions. It does not take what the client
// remembers.
func (f *clusterFacts) askMetadata(ctx context.Context, cl *kgo.Client) error {
	req := kmsg.NewPtrMetadataRequest()
	req.Topics = []kmsg.MetadataRequestTopic{}
	if f.topic != "" {
		topic := kmsg.NewMetadataRequestTopic()
		topic.Topic = kmsg.StringPtr(f.topic)
		req.Topics = append(req.Topics, topic)
	}
	resp, err := req.RequestWith(ctx, cl)
	if err != nil {
		return err
	}
	f.controller = resp.ControllerID
	for _, b := range resp.Brokers {
		f.brokers = append(f.brokers, b.NodeID)
	}
	slices.Sort(f.brokers)
	for _, t := range resp.Topics {
		if err := kerr.ErrorForCode(t.ErrorCode); err != nil {
			return fmt.Errorf("%s: %w", f.topic, err)
		}
		for _, p := range t.Partitions {
			f.partitions = append(f.partitions, partitionFacts{id: p.Partition, leader: p.Leader, replicas: p.Replicas, isr: p.ISR})
		}
	}
	slices.SortFunc(f.partitions, func(a, b partitionFacts) int { return cmp.Compare(a.id, b.id) })
	return nil
}

// balanced checks that so many brokers serve, that each partition's replicas are all in sync, and that each broker leads
// one partition.
func (f clusterFacts) balanced() error {
	if len(f.brokers) != tutorialBrokers {
		return fmt.Errorf("brokers %s serve, not all %d", joinIDs(f.brokers), tutorialBrokers)
	}
	if err := f.inSync(); err != nil {
		return err
	}
	leads := map[int32]int{}
	for _, p := range f.partitions {
		leads[p.leader]++
	}
	if len(leads) != len(f.partitions) {
		return fmt.Errorf("%s: the %d partitions are led by %d brokers, not each by another", f.topic, len(f.partitions), len(leads))
	}
	return nil
}

// inSync checks that each partition has a leader and all replicas in sync.
func (f clusterFacts) inSync() error {
	if len(f.partitions) != tutorialPartitions {
		return fmt.Errorf("%s has %d partitions, not %d", f.topic, len(f.partitions), tutorialPartitions)
	}
	for _, p := range f.partitions {
		switch {
		case p.leader < 0:
			return fmt.Errorf("partition %d of %s has no leader", p.id, f.topic)
		case len(p.isr) != tutorialBrokers:
			return fmt.Errorf("partition %d of %s has ISR %s, not all %d replicas", p.id, f.topic, joinIDs(p.isr), tutorialBrokers)
		}
	}
	return nil
}

// shared checks that a group has so many members, with different ids, which share all partitions fairly.
func (f clusterFacts) shared(members int) error {
	if len(f.members) != members {
		return fmt.Errorf("group %s has %d members, not %d", f.group, len(f.members), members)
	}
	seen, ids := map[int32]bool{}, map[string]bool{}
	for _, m := range f.members {
		ids[m.id] = true
		if n := len(m.partitions); n < tutorialPartitions/members || n > (tutorialPartitions+members-1)/members {
			return fmt.Errorf("member %s of group %s has %d of the %d partitions", m.id, f.group, n, tutorialPartitions)
		}
		for _, p := range m.partitions {
			seen[p] = true
		}
	}
	if len(ids) != members || len(seen) != tutorialPartitions {
		return fmt.Errorf("the %d members of group %s have %d ids and %d partitions", members, f.group, len(ids), len(seen))
	}
	return nil
}

// draw is the cluster as text: a row for each partition, a column for each broker, and who consumes what.
func (f clusterFacts) draw() string {
	var all []int32
	for id := range int32(tutorialBrokers) {
		all = append(all, id)
	}
	head := []string{f.topic}
	for _, id := range all {
		title := fmt.Sprintf("broker %d", id)
		if id == f.controller {
			title += " *"
		}
		head = append(head, title)
	}
	head = append(head, "ISR", "records")
	if f.group != "" {
		head = append(head, f.group)
	}
	rows := [][]string{head}
	for _, p := range f.partitions {
		row := []string{fmt.Sprintf("partition %d", p.id)}
		for _, id := range all {
			row = append(row, p.role(id, f.brokers))
		}
		end := "?"
		if p.end >= 0 {
			end = fmt.Sprint(p.end)
		}
		row = append(row, joinIDs(p.isr), end)
		if f.group != "" {
			row = append(row, f.consumerOf(p.id))
		}
		rows = append(rows, row)
	}
	foot := "* the active controller"
	if f.controller < 0 {
		foot = "no broker is the controller"
	}
	return boxed(rows) + foot + "; metadata in ZooKeeper at " + f.zookeeper + "\n"
}

// role is what a broker is to the partition.
func (p partitionFacts) role(id int32, serving []int32) string {
	switch {
	case !slices.Contains(serving, id):
		return "(down)"
	case p.leader == id:
		return "LEADS"
	case slices.Contains(p.isr, id):
		return "follows"
	case slices.Contains(p.replicas, id):
		return "catches up"
	}
	return "-"
}

// consumerOf is the member that reads a partition: its id is shortened to what tells members apart.
func (f clusterFacts) consumerOf(partition int32) string {
	for _, m := range f.members {
		if slices.Contains(m.partitions, partition) {
			return shortMember(m.id)
		}
	}
	return "nobody"
}

// shortMember cuts a member id such as console-consumer-558193e3-410e-4219-862c-00494d7e280b to its random beginning.
func shortMember(id string) string {
	if cut, ok := strings.CutPrefix(id, "console-consumer-"); ok && len(cut) > 8 {
		return "consumer " + cut[:8]
	}
	return id
}

func joinIDs(ids []int32) string {
	var text []string
	for _, id := range ids {
		text = append(text, fmt.Sprint(id))
	}
	return strings.Join(text, ",")
}

// boxed draws rows as a table with lines around; the first row is its head.
func boxed(rows [][]string) string {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], len([]rune(cell)))
		}
	}
	var b strings.Builder
	rule := func(left, middle, right string) {
		b.WriteString(left)
		for i, w := range widths {
			if i > 0 {
				b.WriteString(middle)
			}
			b.WriteString(strings.Repeat("─", w+2))
		}
		b.WriteString(right + "\n")
	}
	rule("┌", "┬", "┐")
	for i, row := range rows {
		b.WriteString("│")
		for j, cell := range row {
			b.WriteString(" " + cell + strings.Repeat(" ", widths[j]-len([]rune(cell))) + " │")
		}
		b.WriteString("\n")
		if i == 0 {
			rule("├", "┼", "┤")
		}
	}
	rule("└", "┴", "┘")
	return b.String()
}

// keptRecord is one record of a topic.
type keptRecord struct {
	partition int32
	value     string
}

// readTopic reads all that a topic holds now.
func readTopic(ctx context.Context, seeds []string, topic string) ([]keptRecord, error) {
	cl, err := kgo.NewClient(kgo.SeedBrokers(seeds...), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	ends, err := kadm.NewClient(cl).ListEndOffsets(ctx, topic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return nil, err
	}
	var left int64
	ends.Each(func(o kadm.ListedOffset) { left += o.Offset })
	var all []keptRecord
	for left > 0 {
		fetches := cl.PollFetches(ctx)
		if ctx.Err() != nil {
			return all, ctx.Err()
		}
		fetches.EachRecord(func(r *kgo.Record) {
			all = append(all, keptRecord{r.Partition, string(r.Value)})
			left--
		})
	}
	return all, nil
}
