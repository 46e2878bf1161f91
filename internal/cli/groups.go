package cli

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// groupsFlags are the options of kafka-consumer-groups.
type groupsFlags struct {
	*Flags
	connection                                   *Connection
	list, describe, delete, reset, deleteOffsets *Flag
	validateRegex                                *Flag
	group, allGroups, topic, allTopics, timeout  *Flag
	members, offsets, state, kind, verbose       *Flag
	dryRun, execute, export                      *Flag
	toOffset, fromFile, toDatetime, byDuration   *Flag
	toEarliest, toLatest, toCurrent, shiftBy     *Flag
}

func consumerGroupsCommand() Command {
	return Command{
		Name: "consumer-groups", Script: "kafka-consumer-groups", Summary: "List, describe and delete consumer groups, and reset their offsets.",
		Build: buildConsumerGroups,
	}
}

func buildConsumerGroups(flags *Flags) Action {
	flags.About = "This tool helps to list all consumer groups, describe a consumer group, delete consumer group info, or reset consumer group offsets."
	flags.Examples = []string{
		"kafka-consumer-groups.sh --bootstrap-server localhost:9092 --list --state",
		"kafka-consumer-groups.sh --bootstrap-server localhost:9092 --describe --group billing",
		"kafka-consumer-groups.sh --bootstrap-server localhost:9092 --describe --group billing --members --verbose",
		"kafka-consumer-groups.sh --bootstrap-server localhost:9092 --describe --all-groups --output json",
		"kafka-consumer-groups.sh --bootstrap-server localhost:9092 --reset-offsets --group billing --topic orders --to-earliest --execute",
		"kafka-consumer-groups.sh --bootstrap-server localhost:9092 --reset-offsets --group billing --topic orders:0,1 --by-duration PT1H --dry-run",
		"kafka-consumer-groups.sh --bootstrap-server localhost:9092 --delete --group billing",
	}
	f := &groupsFlags{Flags: flags, connection: flags.Connection()}
	f.list = f.Switch("list", "List all groups.")
	f.describe = f.Switch("describe", "Show groups: their offsets and lag (--offsets, the default), members (--members), or state (--state).")
	f.delete = f.Switch("delete", "Delete groups.")
	f.reset = f.Switch("reset-offsets", "Set a group's committed offsets; it must have no members. Shows the plan; --execute carries it out. Needs a scope (--topic, --all-topics or --from-file) and one of --to-earliest, --to-latest, --to-offset, --to-current, --to-datetime, --by-duration, --shift-by, --from-file.")
	f.deleteOffsets = f.Switch("delete-offsets", "Delete a group's committed offsets of topics.")
	f.validateRegex = f.String("validate-regex", "regex", "Check the syntax of a regular expression (RE2); needs no broker.")
	f.group = f.String("group", "group", "The group. May be repeated.")
	f.allGroups = f.Switch("all-groups", "Every group.")
	f.topic = f.String("topic", "topic[:0,1,...]", "The topic, or some of its partitions. May be repeated.")
	f.allTopics = f.Switch("all-topics", "With --reset-offsets: every topic that the group has committed offsets of.")
	f.timeout = f.Long("timeout", "ms", "How long to wait for the brokers.").Default("30000")
	f.members = f.Switch("members", "With --describe: the members.")
	f.offsets = f.Switch("offsets", "With --describe: offsets and lag (the default).")
	f.state = f.String("state", "states", "With --describe: the group's state. With --list: show states, or list only groups in these: Stable,Empty,PreparingRebalance,CompletingRebalance,Dead,Assigning,Reconciling.").OptionalArg()
	f.kind = f.String("type", "types", "With --list: show types, or list only groups of these: Classic,Consumer.").OptionalArg()
	f.verbose = f.Switch("verbose", "With --describe: more columns.")
	f.dryRun = f.Switch("dry-run", "With --reset-offsets: only show the plan.")
	f.execute = f.Switch("execute", "With --reset-offsets: do it.")
	f.export = f.Switch("export", "With --reset-offsets: print the plan as CSV (topic,partition,offset; with several groups the group first).")
	f.toEarliest = f.Switch("to-earliest", "Reset to the earliest offset.")
	f.toLatest = f.Switch("to-latest", "Reset to the latest offset.")
	f.toCurrent = f.Switch("to-current", "Reset to the committed offset, or the latest if there is none.")
	f.toOffset = f.Long("to-offset", "offset", "Reset to this offset.")
	f.toDatetime = f.String("to-datetime", "datetime", "Reset to the first record of this time or later: YYYY-MM-DDThh:mm:ss.sss, with or without a zone (without: UTC).")
	f.byDuration = f.String("by-duration", "duration", "Reset to the first record of so long ago or later: PnDTnHnMnS.")
	f.shiftBy = f.Long("shift-by", "number", "Move the committed offset by so many records, forward or (negative) back.")
	f.fromFile = f.String("from-file", "file", "Reset to the offsets in a CSV file, as --export prints it.")
	f.Output()
	return f.run
}

func (f *groupsFlags) scenarios() []*Flag {
	return []*Flag{f.shiftBy, f.fromFile, f.toDatetime, f.byDuration, f.toLatest, f.toCurrent, f.toEarliest, f.toOffset}
}

// check repeats Kafka's rules of which options go together.
func (f *groupsFlags) check() error {
	if !f.validateRegex.Seen() {
		if err := Require(f.connection.Bootstrap); err != nil {
			return err
		}
	}
	if !ExactlyOne(f.list, f.describe, f.delete, f.reset, f.deleteOffsets, f.validateRegex) {
		return Usagef("Command must include exactly one action: --list, --describe, --delete, --reset-offsets, --delete-offsets, --validate-regex")
	}
	for _, action := range []*Flag{f.describe, f.delete, f.reset} {
		if action.Seen() && !f.group.Seen() && !f.allGroups.Seen() {
			return Usagef("Option %s takes one of these options: [all-groups], [group]", action)
		}
	}
	switch {
	case f.describe.Seen() && !ExactlyOne(f.members, f.offsets, f.state) && (f.members.Seen() || f.offsets.Seen() || f.state.Seen()):
		return Usagef("Option [describe] takes at most one of these options: [members], [offsets], [state]")
	case f.describe.Seen() && f.state.Value() != "":
		return Usagef("Option [describe] does not take a value for [state]")
	case f.delete.Seen() && f.topic.Seen():
		return Usagef("The consumer does not support topic-specific offset deletion from a consumer group.")
	case f.deleteOffsets.Seen() && (!f.group.Seen() || !f.topic.Seen()):
		return Usagef("Option [delete-offsets] takes the following options: [topic], [group]")
	case f.reset.Seen() && f.dryRun.Seen() && f.execute.Seen():
		return Usagef("Option [reset-offsets] only accepts one of [execute] and [dry-run]")
	}
	if f.reset.Seen() {
		for _, scenario := range f.scenarios() {
			if err := Exclude(scenario, without(f.scenarios(), scenario)...); err != nil {
				return err
			}
		}
	}
	for _, g := range []*Flag{f.members, f.offsets, f.verbose} {
		if g.Seen() && !f.describe.Seen() {
			return Usagef("Option(s) [%s] are unavailable given other options on the command line", g.Name())
		}
	}
	if err := Exclude(f.group, f.allGroups, f.list); err != nil {
		return err
	}
	return Exclude(f.topic, f.list, f.describe)
}

func without(flags []*Flag, one *Flag) []*Flag {
	return slices.DeleteFunc(flags, func(g *Flag) bool { return g == one })
}

func (f *groupsFlags) run(ctx context.Context, io IO) error {
	if err := f.check(); err != nil {
		return err
	}
	if f.validateRegex.Seen() {
		return f.runValidateRegex(io)
	}
	if f.reset.Seen() && !f.dryRun.Seen() && !f.execute.Seen() {
		fmt.Fprintln(io.Err, "WARN: No action will be performed as the --execute option is missing. In version 5.0, this command will require either --dry-run or --execute to be specified. You should add the --dry-run option explicitly if you are scripting this command and want to keep the current default behavior.")
	}
	ctx, client, done, err := f.connection.Dial(ctx, io)
	if err != nil {
		return err
	}
	defer done()
	if f.timeout.Seen() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, milliseconds(f.timeout.Int64()))
		defer cancel()
	}
	c := &groupsClient{kadm.NewClient(client), client, io}
	switch {
	case f.list.Seen():
		err = f.runList(ctx, c)
	case f.describe.Seen():
		err = f.runDescribe(ctx, c)
	case f.delete.Seen():
		err = f.runDelete(ctx, c)
	case f.reset.Seen():
		err = f.runReset(ctx, c)
	case f.deleteOffsets.Seen():
		err = f.runDeleteOffsets(ctx, c)
	}
	return groupFailure(io, err)
}

// groupFailure prints an error as Kafka's tool prints it: on standard output, and with exit code 0 if a broker
// answered with it. A cluster that cannot be reached is exit code 1.
func groupFailure(io IO, err error) error {
	var usage *UsageError
	var exit *ExitError
	var answered *groupError
	var plain *answeredError
	var missing *missingPartition
	switch {
	case err == nil, errors.As(err, &usage), errors.As(err, &exit):
		return err
	case errors.As(err, &answered), errors.As(err, &plain), errors.As(err, &missing):
		printGroupError(io, "Executing consumer group command failed due to "+err.Error())
		return nil
	}
	printGroupError(io, "Executing consumer group command failed due to "+explain(err))
	return Exit(1)
}

func printGroupError(io IO, message string) { fmt.Fprintln(io.Out, "\nError: "+message) }

// answeredError is a broker's answer in its own words.
type answeredError struct{ message string }

func (e *answeredError) Error() string { return e.message }

// groupError is what a broker answered about a group.
type groupError struct {
	err     error
	message string
}

func (e *groupError) Error() string {
	if e.message != "" {
		return javaError(e.err, &e.message)
	}
	return javaError(e.err, nil)
}

func (e *groupError) Unwrap() error { return e.err }

func (f *groupsFlags) runValidateRegex(io IO) error {
	re := f.validateRegex.Value()
	if _, err := regexp.Compile(re); err != nil {
		reason := strings.TrimPrefix(err.Error(), "error parsing regexp: ")
		fmt.Fprintf(io.Out, "The regular expression `%s` is invalid: %s.\n", re, reason)
		return nil
	}
	fmt.Fprintf(io.Out, "The regular expression `%s` is valid.\n", re)
	return nil
}

// groupsClient does what the tool needs of a cluster.
type groupsClient struct {
	*kadm.Client
	kafka *kgo.Client
	io    IO
}

// chosen are the groups that --group or --all-groups names.
func (f *groupsFlags) chosen(ctx context.Context, c *groupsClient) ([]string, error) {
	if !f.allGroups.Seen() {
		groups := slices.Clone(f.group.Values())
		slices.Sort(groups)
		return slices.Compact(groups), nil
	}
	listed, err := c.listGroups(ctx, nil, nil)
	if err != nil {
		return nil, err
	}
	var groups []string
	for _, g := range listed {
		groups = append(groups, g.Group)
	}
	return groups, nil
}

func (f *groupsFlags) runDelete(ctx context.Context, c *groupsClient) error {
	groups, err := f.chosen(ctx, c)
	if err != nil {
		return err
	}
	var deleted, failed []string
	if len(groups) > 0 {
		results, err := c.DeleteGroups(ctx, groups...)
		if err != nil {
			return err
		}
		for _, r := range results.Sorted() {
			if r.Err == nil {
				deleted = append(deleted, r.Group)
				continue
			}
			failed = append(failed, fmt.Sprintf("* Group '%s' could not be deleted due to: %s", r.Group, javaError(r.Err, nil)))
		}
	}
	if len(failed) == 0 {
		fmt.Fprintf(c.io.Out, "Deletion of requested consumer groups ('%s') was successful.\n", strings.Join(deleted, "', '"))
		return nil
	}
	printGroupError(c.io, "Deletion of some consumer groups failed:")
	for _, line := range failed {
		fmt.Fprintln(c.io.Out, line)
	}
	if len(deleted) > 0 {
		fmt.Fprintf(c.io.Out, "\nThese consumer groups were deleted successfully: '%s'\n", strings.Join(deleted, "', '"))
	}
	return nil
}
