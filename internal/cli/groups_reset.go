package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

// plannedOffset is one line of a reset's plan, and its form with --output json.
type plannedOffset struct {
	Group     string `json:"group"`
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"newOffset"`
}

type topicPartition struct {
	topic     string
	partition int32
}

func (tp topicPartition) String() string { return tp.topic + "-" + strconv.Itoa(int(tp.partition)) }

func (f *groupsFlags) runReset(ctx context.Context, c *groupsClient) error {
	if !f.allTopics.Seen() && !f.topic.Seen() && !f.fromFile.Seen() {
		return Usagef("One of the reset scopes should be defined: --all-topics, --topic.")
	}
	if !ExactlyOne(f.scenarios()...) {
		var names []string
		for _, s := range f.scenarios() {
			names = append(names, s.String())
		}
		return Usagef("Option '[reset-offsets]' requires one of the following scenarios: [%s]", strings.Join(names, ", "))
	}
	groups, err := f.chosen(ctx, c)
	if err != nil {
		return err
	}
	var file []plannedOffset
	if f.fromFile.Seen() {
		if file, err = f.readPlan(groups); err != nil {
			return err
		}
	}
	plan := []plannedOffset{}
	for _, group := range groups {
		state, err := c.stateOf(ctx, group)
		if err != nil {
			return err
		}
		if state != "Empty" && state != "Dead" {
			printGroupError(c.io, fmt.Sprintf("Assignments can only be reset if the group '%s' is inactive, but the current state is %s.", group, state))
			continue
		}
		lines, err := f.planGroup(ctx, c, group, file)
		if err != nil {
			return err
		}
		if f.execute.Seen() {
			if err := c.commitPlan(ctx, group, lines); err != nil {
				return err
			}
		}
		plan = append(plan, lines...)
	}
	return f.printPlan(c.io, plan, len(groups) == 1 && !f.allGroups.Seen())
}

// stateOf is Dead for a group that does not exist: its offsets may be set too.
func (c *groupsClient) stateOf(ctx context.Context, group string) (string, error) {
	described, err := c.describeGroups(ctx, []string{group})
	if errors.Is(err, kerr.GroupIDNotFound) {
		return "Dead", nil
	}
	if err != nil {
		return "", err
	}
	return described[0].State, nil
}

func (f *groupsFlags) printPlan(io IO, plan []plannedOffset, single bool) error {
	switch {
	case f.JSON():
		return PrintJSON(io.Out, plan)
	case f.export.Seen():
		for _, p := range plan {
			if !single {
				fmt.Fprint(io.Out, p.Group+",")
			}
			fmt.Fprintf(io.Out, "%s,%d,%d\n", p.Topic, p.Partition, p.Offset)
		}
	default:
		group, topic := 15, 15
		for _, p := range plan {
			group, topic = max(group, len(p.Group)), max(topic, len(p.Topic))
		}
		if len(plan) > 0 {
			fmt.Fprintf(io.Out, "\n%-*s %-*s %-10s %s", group, "GROUP", topic, "TOPIC", "PARTITION", "NEW-OFFSET")
		}
		for _, p := range plan {
			fmt.Fprintf(io.Out, "\n%-*s %-*s %-10d %d", group, p.Group, topic, p.Topic, p.Partition, p.Offset)
		}
	}
	fmt.Fprintln(io.Out)
	return nil
}

// planGroup works out the new offsets of one group, by topic and partition.
func (f *groupsFlags) planGroup(ctx context.Context, c *groupsClient, group string, file []plannedOffset) ([]plannedOffset, error) {
	wanted := map[topicPartition]int64{}
	var err error
	if f.fromFile.Seen() {
		for _, p := range file {
			if p.Group == group {
				wanted[topicPartition{p.Topic, p.Partition}] = p.Offset
			}
		}
		if len(wanted) == 0 {
			printGroupError(c.io, "No reset plan for group "+group+" found")
			return nil, nil
		}
		err = c.clamp(ctx, wanted)
	} else {
		var partitions []topicPartition
		if partitions, err = f.resetScope(ctx, c, group); err == nil && len(partitions) > 0 {
			err = f.scenario(ctx, c, group, partitions, wanted)
		}
	}
	if err != nil {
		return nil, err
	}
	lines := make([]plannedOffset, 0, len(wanted))
	for tp, offset := range wanted {
		lines = append(lines, plannedOffset{group, tp.topic, tp.partition, offset})
	}
	slices.SortFunc(lines, func(a, b plannedOffset) int {
		return cmp.Or(strings.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
	return lines, nil
}

// resetScope are the partitions that --all-topics or --topic names.
func (f *groupsFlags) resetScope(ctx context.Context, c *groupsClient, group string) ([]topicPartition, error) {
	if !f.allTopics.Seen() {
		return c.expandTopics(ctx, f.topic.Values(), true)
	}
	committed, err := c.committed(ctx, group)
	if err != nil {
		return nil, err
	}
	var all []topicPartition
	for tp := range committed {
		all = append(all, tp)
	}
	return all, nil
}

// committed are the group's committed offsets.
func (c *groupsClient) committed(ctx context.Context, group string) (map[topicPartition]int64, error) {
	responses, err := c.FetchOffsets(ctx, group)
	if err != nil {
		return nil, err
	}
	offsets := map[topicPartition]int64{}
	responses.Each(func(o kadm.OffsetResponse) {
		if o.Err == nil && o.At >= 0 {
			offsets[topicPartition{o.Topic, o.Partition}] = o.At
		}
	})
	return offsets, nil
}

// expandTopics reads topic and topic:0,1,2. A topic that does not exist is an error, or comes back as partition -1.
func (c *groupsClient) expandTopics(ctx context.Context, args []string, mustExist bool) ([]topicPartition, error) {
	var found []topicPartition
	var whole []string
	for _, arg := range args {
		topic, list, some := strings.Cut(arg, ":")
		if !some {
			whole = append(whole, topic)
			continue
		}
		if strings.Contains(list, ":") || topic == "" || list == "" {
			return nil, Usagef("Invalid topic arg '%s', expected topic name and partitions", arg)
		}
		for _, word := range strings.Split(list, ",") {
			p, err := strconv.ParseInt(word, 10, 32)
			if err != nil {
				return nil, Usagef("Invalid partition '%s' specified in topic arg '%s'", word, arg)
			}
			found = append(found, topicPartition{topic, int32(p)})
		}
	}
	if len(whole) == 0 {
		return found, nil
	}
	topics, err := c.ListTopicsWithInternal(ctx, whole...)
	if err != nil {
		return nil, err
	}
	for _, name := range whole {
		t := topics[name]
		if t.Err != nil {
			if mustExist {
				return nil, &answeredError{KafkaMessage(t.Err, nil)}
			}
			found = append(found, topicPartition{name, -1})
			continue
		}
		for _, p := range t.Partitions.Numbers() {
			found = append(found, topicPartition{name, p})
		}
	}
	return found, nil
}

// scenario fills in the new offset of every partition.
func (f *groupsFlags) scenario(ctx context.Context, c *groupsClient, group string, partitions []topicPartition, wanted map[topicPartition]int64) error {
	switch {
	case f.toOffset.Seen():
		for _, tp := range partitions {
			wanted[tp] = f.toOffset.Int64()
		}
		return c.clamp(ctx, wanted)
	case f.toEarliest.Seen():
		return fill(ctx, c.ListStartOffsets, partitions, wanted)
	case f.toLatest.Seen():
		return fill(ctx, c.ListEndOffsets, partitions, wanted)
	case f.toDatetime.Seen():
		at, err := parseDatetime(f.toDatetime.Value())
		if err != nil {
			return err
		}
		return c.fillAfter(ctx, at, partitions, wanted)
	case f.byDuration.Seen():
		ago, err := parseISODuration(f.byDuration.Value())
		if err != nil {
			return fmt.Errorf("--by-duration: %w", err)
		}
		return c.fillAfter(ctx, time.Now().Add(-ago), partitions, wanted)
	}
	committed, err := c.committed(ctx, group)
	if err != nil {
		return err
	}
	if f.shiftBy.Seen() {
		for _, tp := range partitions {
			at, ok := committed[tp]
			if !ok {
				return Usagef("Cannot shift offset for partition %s since there is no current committed offset", tp)
			}
			wanted[tp] = at + f.shiftBy.Int64()
		}
		return c.clamp(ctx, wanted)
	}
	var none []topicPartition // --to-current
	for _, tp := range partitions {
		if at, ok := committed[tp]; ok {
			wanted[tp] = at
			continue
		}
		none = append(none, tp)
	}
	return fill(ctx, c.ListEndOffsets, none, wanted)
}

// fill looks up an offset of every partition.
func fill(ctx context.Context, list func(context.Context, ...string) (kadm.ListedOffsets, error), partitions []topicPartition, wanted map[topicPartition]int64) error {
	if len(partitions) == 0 {
		return nil
	}
	listed, err := list(ctx, topicsOf(partitions)...)
	if err != nil {
		return err
	}
	for _, tp := range partitions {
		o, ok := listed.Lookup(tp.topic, tp.partition)
		if !ok {
			return &missingPartition{tp}
		}
		if o.Err != nil {
			return &groupError{err: o.Err}
		}
		wanted[tp] = o.Offset
	}
	return nil
}

// missingPartition is a partition that was named and does not exist.
type missingPartition struct{ topicPartition }

func (e *missingPartition) Error() string {
	return fmt.Sprintf("The partitions \"%s\" do not exist", e.topicPartition)
}

func topicsOf(partitions []topicPartition) []string {
	var topics []string
	for _, tp := range partitions {
		if !slices.Contains(topics, tp.topic) {
			topics = append(topics, tp.topic)
		}
	}
	return topics
}

// fillAfter looks up the first offset at a time or later; a partition that has none gets its end.
func (c *groupsClient) fillAfter(ctx context.Context, at time.Time, partitions []topicPartition, wanted map[topicPartition]int64) error {
	listed, err := c.ListOffsetsAfterMilli(ctx, at.UnixMilli(), topicsOf(partitions)...)
	if err != nil {
		return err
	}
	var late []topicPartition
	for _, tp := range partitions {
		o, ok := listed.Lookup(tp.topic, tp.partition)
		if !ok {
			return &missingPartition{tp}
		}
		if o.Err != nil {
			return &groupError{err: o.Err}
		}
		wanted[tp] = o.Offset
		// The client answers with the end when there is no such record; then the timestamp is missing.
		if o.Timestamp < 0 {
			late = append(late, tp)
			fmt.Fprintf(c.io.Out, "\nWarn: Partition %d from topic %s is empty. Falling back to latest known offset.\n", tp.partition, tp.topic)
		}
	}
	return fill(ctx, c.ListEndOffsets, late, wanted)
}

// clamp moves offsets that the partitions do not have to the nearest that they have.
func (c *groupsClient) clamp(ctx context.Context, wanted map[topicPartition]int64) error {
	var partitions []topicPartition
	for tp := range wanted {
		partitions = append(partitions, tp)
	}
	starts, ends := map[topicPartition]int64{}, map[topicPartition]int64{}
	if err := fill(ctx, c.ListStartOffsets, partitions, starts); err != nil {
		return err
	}
	if err := fill(ctx, c.ListEndOffsets, partitions, ends); err != nil {
		return err
	}
	for tp, offset := range wanted {
		if offset > ends[tp] {
			fmt.Fprintf(c.io.Err, "WARN New offset (%d) is higher than latest offset for topic partition %s. Value will be set to %d\n", offset, tp, ends[tp])
			wanted[tp] = ends[tp]
		}
		if offset < starts[tp] {
			fmt.Fprintf(c.io.Err, "WARN New offset (%d) is lower than earliest offset for topic partition %s. Value will be set to %d\n", offset, tp, starts[tp])
			wanted[tp] = starts[tp]
		}
	}
	return nil
}

func (c *groupsClient) commitPlan(ctx context.Context, group string, lines []plannedOffset) error {
	offsets := kadm.Offsets{}
	for _, l := range lines {
		offsets.AddOffset(l.Topic, l.Partition, l.Offset, -1)
	}
	if len(offsets) == 0 {
		return nil
	}
	results, err := c.CommitOffsets(ctx, group, offsets)
	if err != nil {
		return err
	}
	if err := results.Error(); err != nil {
		return &groupError{err: err}
	}
	return nil
}

// parseDatetime reads YYYY-MM-DDThh:mm:ss.sss with or without a zone; without one it is UTC.
func parseDatetime(text string) (time.Time, error) {
	if !strings.Contains(text, "T") {
		return time.Time{}, errors.New("Error parsing timestamp. It does not contain a 'T' according to ISO8601 format") //nolint:staticcheck // Kafka's words
	}
	for _, layout := range []string{"2006-01-02T15:04:05.999Z07:00", "2006-01-02T15:04:05.999Z0700", "2006-01-02T15:04:05.999Z07", "2006-01-02T15:04:05.999", "2006-01-02T15:04"} {
		if at, err := time.Parse(layout, text); err == nil {
			return at, nil
		}
	}
	return time.Time{}, fmt.Errorf("--to-datetime %q is no time: give it as YYYY-MM-DDThh:mm:ss.sss, for example 2030-01-31T18:00:00.000", text)
}

// readPlan reads topic,partition,offset, or group,topic,partition,offset.
func (f *groupsFlags) readPlan(groups []string) ([]plannedOffset, error) {
	path := f.fromFile.Value()
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("--from-file: %w", err)
	}
	var plan []plannedOffset
	for i, line := range strings.Split(strings.TrimSpace(string(text)), "\n") {
		words := strings.Split(strings.TrimSpace(line), ",")
		for j := range words {
			words[j] = strings.Trim(strings.TrimSpace(words[j]), `"`)
		}
		if len(words) == 3 && len(groups) == 1 {
			words = append([]string{groups[0]}, words...)
		}
		if len(words) != 4 {
			return nil, fmt.Errorf("--from-file %s line %d: expected topic,partition,offset (with several groups: group,topic,partition,offset), found %q", path, i+1, line)
		}
		partition, err1 := strconv.ParseInt(words[2], 10, 32)
		offset, err2 := strconv.ParseInt(words[3], 10, 64)
		if err := cmp.Or(err1, err2); err != nil {
			return nil, fmt.Errorf("--from-file %s line %d: partition and offset must be numbers: %q", path, i+1, line)
		}
		plan = append(plan, plannedOffset{words[0], words[1], int32(partition), offset})
	}
	return plan, nil
}

func (f *groupsFlags) runDeleteOffsets(ctx context.Context, c *groupsClient) error {
	group := f.group.Value()
	partitions, err := c.expandTopics(ctx, f.topic.Values(), false)
	if err != nil {
		return err
	}
	set := kadm.TopicsSet{}
	for _, tp := range partitions {
		if tp.partition >= 0 {
			set.Add(tp.topic, tp.partition)
		}
	}
	results := kadm.DeleteOffsetsResponses{}
	var top error
	if len(set) > 0 {
		results, top = c.DeleteOffsets(ctx, group, set)
	}
	var code *kerr.Error
	if top != nil && !errors.As(top, &code) {
		return top
	}
	status, failed := map[topicPartition]error{}, false
	for _, tp := range partitions {
		err := top
		if tp.partition < 0 {
			err = kerr.UnknownTopicOrPartition
		} else if top == nil {
			err, _ = results.Lookup(tp.topic, tp.partition)
		}
		status[tp], failed = err, failed || err != nil
	}
	switch {
	case top != nil:
		printGroupError(c.io, KafkaMessage(top, nil))
	case failed:
		printGroupError(c.io, "Encountered some partition-level error, see the follow-up details.")
	default:
		fmt.Fprintf(c.io.Out, "Request succeeded for deleting offsets from group %s.\n", group)
	}
	slices.SortFunc(partitions, func(a, b topicPartition) int {
		return cmp.Or(strings.Compare(a.topic, b.topic), cmp.Compare(a.partition, b.partition))
	})
	width := 15
	for _, tp := range partitions {
		width = max(width, len(tp.topic))
	}
	fmt.Fprintf(c.io.Out, "\n%-*s %-10s %-15s", width, "TOPIC", "PARTITION", "STATUS")
	for _, tp := range partitions {
		partition, text := strconv.Itoa(int(tp.partition)), "Successful"
		if tp.partition < 0 {
			partition = "-"
		}
		if err := status[tp]; err != nil {
			text = "Error: " + javaError(err, nil)
		}
		fmt.Fprintf(c.io.Out, "\n%-*s %-10s %-15s", width, tp.topic, partition, text)
	}
	fmt.Fprintln(c.io.Out)
	return nil
}
