package cli

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// topicDescription is what --describe shows of a topic, and its form with --output json.
type topicDescription struct {
	Topic             string                 `json:"topic"`
	TopicID           string                 `json:"topicId"`
	PartitionCount    int                    `json:"partitionCount"`
	ReplicationFactor int                    `json:"replicationFactor"`
	Configs           map[string]string      `json:"configs"`
	Partitions        []partitionDescription `json:"partitions"`

	configOrder []string // the names in Configs as Kafka's tool orders them
	minISR      int
}

type partitionDescription struct {
	Partition    int32   `json:"partition"`
	Leader       *int32  `json:"leader"`
	Replicas     []int32 `json:"replicas"`
	ISR          []int32 `json:"isr"`
	ELR          []int32 `json:"elr"` // null if the broker cannot tell
	LastKnownELR []int32 `json:"lastKnownElr"`
	Adding       []int32 `json:"addingReplicas,omitempty"`
	Removing     []int32 `json:"removingReplicas,omitempty"`

	moving bool // a reassignment is under way
}

func topicIDString(id [16]byte) string { return base64.RawURLEncoding.EncodeToString(id[:]) }

func parseTopicID(text string) ([16]byte, error) {
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(raw) != 16 {
		return [16]byte{}, fmt.Errorf("Input string `%s` decoded as %d bytes, which is not equal to the expected 16 bytes of a base64-encoded UUID", text, len(raw)) //nolint:staticcheck // Kafka's words
	}
	return [16]byte(raw), nil
}

func (f *topicsFlags) runDescribe(ctx context.Context, c topicsClient) error {
	names, err := f.describedTopics(ctx, c)
	if err != nil {
		return err
	}
	if len(names) == 0 {
		if f.JSON() {
			return PrintJSON(c.io.Out, []topicDescription{})
		}
		return nil
	}
	topics, err := c.describeTopics(ctx, names, f.size)
	if err != nil {
		return err
	}
	if err := c.addConfigs(ctx, topics); err != nil {
		return err
	}
	if err := c.addReassignments(ctx, topics); err != nil {
		return err
	}
	live := map[int32]bool{}
	if f.unavailable.Seen() {
		if live, err = c.liveBrokers(ctx); err != nil {
			return err
		}
	}
	reports := f.underReplicated.Seen() || f.unavailable.Seen() || f.underMinISR.Seen() || f.atMinISR.Seen()
	var shown []topicDescription
	for _, t := range topics {
		if f.overrides.Seen() && len(t.Configs) == 0 {
			continue
		}
		t.Partitions = slices.DeleteFunc(t.Partitions, func(p partitionDescription) bool {
			return f.overrides.Seen() || reports && !f.reported(t, p, live)
		})
		if reports && len(t.Partitions) == 0 {
			continue
		}
		shown = append(shown, t)
	}
	if f.JSON() {
		return PrintJSON(c.io.Out, append([]topicDescription{}, shown...))
	}
	for _, t := range shown {
		if !reports {
			t.print(c.io.Out)
		}
		for _, p := range t.Partitions {
			p.print(c.io.Out, t.Topic)
		}
	}
	return nil
}

func (f *topicsFlags) reported(t topicDescription, p partitionDescription, live map[int32]bool) bool {
	return f.underReplicated.Seen() && len(p.ISR) < p.replicationFactor() ||
		f.unavailable.Seen() && (p.Leader == nil || !live[*p.Leader]) ||
		f.underMinISR.Seen() && (p.Leader == nil || len(p.ISR) < t.minISR) ||
		f.atMinISR.Seen() && len(p.ISR) == t.minISR
}

// replicationFactor does not count the replicas that a reassignment is still adding.
func (p partitionDescription) replicationFactor() int {
	if p.moving {
		return len(p.Replicas) - len(p.Adding)
	}
	return len(p.Replicas)
}

// describedTopics are the names that --topic-id or --topic choose.
func (f *topicsFlags) describedTopics(ctx context.Context, c topicsClient) ([]string, error) {
	if f.topicID.Seen() {
		id, err := parseTopicID(f.topicID.Value())
		if err != nil {
			return nil, err
		}
		if id != [16]byte{} {
			all, err := c.allTopics(ctx)
			if err != nil {
				return nil, err
			}
			for _, t := range all {
				if t.TopicID == id && !(f.excludeInternal.Seen() && t.IsInternal) {
					return []string{*t.Topic}, nil
				}
			}
			if f.ifExists.Seen() {
				return nil, nil
			}
			return nil, fmt.Errorf("TopicId '%s' does not exist as expected", f.topicID.Value()) //nolint:staticcheck // Kafka's words
		}
	}
	topics, err := f.matching(ctx, c)
	if err != nil {
		return nil, err
	}
	if err := f.mustExist(len(topics)); err != nil {
		return nil, err
	}
	names := make([]string, 0, len(topics))
	for _, t := range topics {
		names = append(names, *t.Topic)
	}
	return names, nil
}

// describeTopics asks with DescribeTopicPartitions (KIP-966), page by page, or with Metadata if the broker is older.
func (c topicsClient) describeTopics(ctx context.Context, names []string, size *Flag) ([]topicDescription, error) {
	limit := int32(2000)
	if size.Seen() {
		limit = int32(size.Int())
	}
	var topics []topicDescription
	var cursor *kmsg.DescribeTopicPartitionsRequestCursor
	for {
		req := kmsg.NewPtrDescribeTopicPartitionsRequest()
		req.ResponsePartitionLimit, req.Cursor = limit, cursor
		for _, name := range names {
			if cursor == nil || name >= cursor.Topic {
				req.Topics = append(req.Topics, kmsg.DescribeTopicPartitionsRequestTopic{Topic: name})
			}
		}
		resp, err := req.RequestWith(ctx, c)
		if err != nil {
			if tooOld(err) {
				return c.describeByMetadata(ctx, names)
			}
			return nil, err
		}
		for _, t := range resp.Topics {
			if err := answer(t.ErrorCode, nil); err != nil {
				return nil, err
			}
			// A topic that did not fit into one page comes again in the next.
			if len(topics) == 0 || topics[len(topics)-1].Topic != *t.Topic {
				topics = append(topics, topicDescription{Topic: *t.Topic, TopicID: topicIDString(t.TopicID), Configs: map[string]string{}, Partitions: []partitionDescription{}})
			}
			last := &topics[len(topics)-1]
			for _, p := range t.Partitions {
				last.Partitions = append(last.Partitions, partitionDescription{
					Partition: p.Partition, Leader: leaderID(p.LeaderID), Replicas: p.Replicas, ISR: p.ISR,
					ELR: notNil(p.EligibleLeaderReplicas), LastKnownELR: notNil(p.LastKnownELR),
				})
			}
		}
		if resp.NextCursor == nil {
			return finish(topics), nil
		}
		cursor = &kmsg.DescribeTopicPartitionsRequestCursor{Topic: resp.NextCursor.Topic, Partition: resp.NextCursor.Partition}
	}
}

// tooOld tells whether a broker does not know the request at all.
func tooOld(err error) bool {
	return errors.Is(err, kerr.UnsupportedVersion) || strings.Contains(err.Error(), "broker is too old") || strings.Contains(err.Error(), "unknown request key")
}

func (c topicsClient) describeByMetadata(ctx context.Context, names []string) ([]topicDescription, error) {
	req := kmsg.NewPtrMetadataRequest()
	for i := range names {
		req.Topics = append(req.Topics, kmsg.MetadataRequestTopic{Topic: &names[i]})
	}
	resp, err := req.RequestWith(ctx, c)
	if err != nil {
		return nil, err
	}
	var topics []topicDescription
	for _, t := range resp.Topics {
		if err := answer(t.ErrorCode, nil); err != nil {
			return nil, err
		}
		d := topicDescription{Topic: *t.Topic, Configs: map[string]string{}, Partitions: []partitionDescription{}}
		if t.TopicID != [16]byte{} {
			d.TopicID = topicIDString(t.TopicID)
		}
		for _, p := range t.Partitions {
			d.Partitions = append(d.Partitions, partitionDescription{Partition: p.Partition, Leader: leaderID(p.Leader), Replicas: p.Replicas, ISR: p.ISR})
		}
		topics = append(topics, d)
	}
	return finish(topics), nil
}

// finish puts topics and partitions in order and counts.
func finish(topics []topicDescription) []topicDescription {
	slices.SortFunc(topics, func(a, b topicDescription) int { return strings.Compare(a.Topic, b.Topic) })
	for i := range topics {
		t := &topics[i]
		slices.SortFunc(t.Partitions, func(a, b partitionDescription) int { return int(a.Partition) - int(b.Partition) })
		t.PartitionCount = len(t.Partitions)
		if len(t.Partitions) > 0 {
			t.ReplicationFactor = t.Partitions[0].replicationFactor()
		}
	}
	return topics
}

func leaderID(id int32) *int32 {
	if id < 0 {
		return nil
	}
	return &id
}

// notNil makes null an empty list: a broker that knows the list and has none in it.
func notNil(ids []int32) []int32 {
	if ids == nil {
		return []int32{}
	}
	return ids
}

// addConfigs asks for the settings that are not built-in defaults.
func (c topicsClient) addConfigs(ctx context.Context, topics []topicDescription) error {
	req := kmsg.NewPtrDescribeConfigsRequest()
	for _, t := range topics {
		r := kmsg.NewDescribeConfigsRequestResource()
		r.ResourceType, r.ResourceName = kmsg.ConfigResourceTypeTopic, t.Topic
		req.Resources = append(req.Resources, r)
	}
	resp, err := req.RequestWith(ctx, c)
	if err != nil {
		return err
	}
	for _, r := range resp.Resources {
		if err := answer(r.ErrorCode, r.ErrorMessage); err != nil {
			return err
		}
		i := slices.IndexFunc(topics, func(t topicDescription) bool { return t.Topic == r.ResourceName })
		if i < 0 {
			continue
		}
		sortJavaHash(r.Configs, func(c kmsg.DescribeConfigsResponseResourceConfig) string { return c.Name })
		for _, entry := range r.Configs {
			value := "null"
			if entry.Value != nil {
				value = *entry.Value
			}
			if entry.Name == "min.insync.replicas" {
				topics[i].minISR, _ = strconv.Atoi(value)
			}
			if entry.Source != kmsg.ConfigSourceDefaultConfig {
				topics[i].Configs[entry.Name] = value
				topics[i].configOrder = append(topics[i].configOrder, entry.Name)
			}
		}
	}
	return nil
}

// addReassignments asks which replicas are being added and removed; an old broker, or one that does not allow the
// question, cannot say.
func (c topicsClient) addReassignments(ctx context.Context, topics []topicDescription) error {
	req := kmsg.NewPtrListPartitionReassignmentsRequest()
	req.TimeoutMillis = requestTimeoutMs
	for _, t := range topics {
		r := kmsg.NewListPartitionReassignmentsRequestTopic()
		r.Topic = t.Topic
		for _, p := range t.Partitions {
			r.Partitions = append(r.Partitions, p.Partition)
		}
		req.Topics = append(req.Topics, r)
	}
	resp, err := req.RequestWith(ctx, c)
	if err != nil {
		if tooOld(err) {
			return nil
		}
		return err
	}
	if err := answer(resp.ErrorCode, resp.ErrorMessage); err != nil {
		if errors.Is(err, kerr.UnsupportedVersion) || errors.Is(err, kerr.ClusterAuthorizationFailed) {
			return nil
		}
		return err
	}
	for _, r := range resp.Topics {
		for i := range topics {
			if topics[i].Topic != r.Topic {
				continue
			}
			for _, moving := range r.Partitions {
				for j := range topics[i].Partitions {
					if p := &topics[i].Partitions[j]; p.Partition == moving.Partition {
						p.moving, p.Adding, p.Removing = true, moving.AddingReplicas, moving.RemovingReplicas
					}
				}
			}
		}
	}
	finish(topics)
	return nil
}

func (c topicsClient) liveBrokers(ctx context.Context) (map[int32]bool, error) {
	req := kmsg.NewPtrMetadataRequest()
	req.Topics = []kmsg.MetadataRequestTopic{}
	resp, err := req.RequestWith(ctx, c)
	if err != nil {
		return nil, err
	}
	live := map[int32]bool{}
	for _, b := range resp.Brokers {
		live[b.NodeID] = true
	}
	return live, nil
}

func (t topicDescription) print(w io.Writer) {
	var b strings.Builder
	b.WriteString("Topic: " + t.Topic)
	if t.TopicID != "" && t.TopicID != topicIDString([16]byte{}) {
		b.WriteString("\tTopicId: " + t.TopicID)
	}
	settings := make([]string, 0, len(t.configOrder))
	for _, name := range t.configOrder {
		settings = append(settings, name+"="+t.Configs[name])
	}
	fmt.Fprintf(&b, "\tPartitionCount: %d\tReplicationFactor: %d\tConfigs: %s\n", t.PartitionCount, t.ReplicationFactor, strings.Join(settings, ","))
	_, _ = io.WriteString(w, b.String())
}

func (p partitionDescription) print(w io.Writer, topic string) {
	var b strings.Builder
	leader := "none"
	if p.Leader != nil {
		leader = strconv.Itoa(int(*p.Leader))
	}
	fmt.Fprintf(&b, "\tTopic: %s\tPartition: %d\tLeader: %s\tReplicas: %s\tIsr: %s", topic, p.Partition, leader, joinInts(p.Replicas, ","), joinInts(p.ISR, ","))
	if p.moving {
		fmt.Fprintf(&b, "\tAdding Replicas: %s\tRemoving Replicas: %s", joinInts(p.Adding, ","), joinInts(p.Removing, ","))
	}
	for _, list := range []struct {
		name string
		ids  []int32
	}{{"Elr", p.ELR}, {"LastKnownElr", p.LastKnownELR}} {
		text := "N/A"
		if list.ids != nil {
			text = joinInts(list.ids, ",")
		}
		fmt.Fprintf(&b, "\t%s: %s", list.name, text)
	}
	b.WriteByte('\n')
	_, _ = io.WriteString(w, b.String())
}
