package cli

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
)

// sample is a tool with every kind of option.
func sample() (*Flags, map[string]*Flag) {
	f := NewFlags("sample", "A sample.")
	return f, map[string]*Flag{
		"list":   f.Switch("list", "List."),
		"topic":  f.Alias(f.String("topic", "topic", "The topic."), "subject"),
		"count":  f.Int("count", "number", "How many.").Default("3"),
		"size":   f.Long("size", "bytes", "How big."),
		"codec":  f.String("codec", "codec", "Which.").OptionalArg(),
		"output": f.Output(),
	}
}

func TestParseReadsOptionsAsKafkaDoes(t *testing.T) {
	for _, test := range []struct {
		args string
		flag string
		want string
	}{
		{"--topic a", "topic", "a"},
		{"--topic=a=b", "topic", "a=b"},
		{"-topic a", "topic", "a"},
		{"--subject a", "topic", "a"},
		{"--topic a --topic b", "topic", "a,b"},
		{"--topic --list", "topic", "--list"}, // a value is the next word, whatever it is
		{"--list", "count", "3"},
		{"--count -1", "count", "-1"},
		{"--size 9223372036854775807", "size", "9223372036854775807"},
		{"--codec --list", "codec", ""},
		{"--codec zstd --list", "codec", "zstd"},
		{"--list -- --topic x", "topic", ""},
	} {
		f, flags := sample()
		if err := f.Parse(strings.Fields(test.args)); err != nil {
			t.Errorf("%s: %v", test.args, err)
			continue
		}
		if got := strings.Join(flags[test.flag].Values(), ","); got != test.want {
			t.Errorf("%s: %s is %q, want %q", test.args, test.flag, got, test.want)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for args, want := range map[string]string{
		"--bogus":                 "bogus is not a recognized option",
		"--topics a":              "topics is not a recognized option (did you mean --topic?)",
		"--top a":                 "top is not a recognized option (did you mean --topic?)", // no abbreviations
		"--topic":                 "Option topic requires an argument",
		"--count x":               "Cannot parse argument 'x' of option count",
		"--count 2147483648":      "Cannot parse argument '2147483648' of option count",
		"--list=yes":              `Option list does not take a value, but "yes" was given`,
		"--output xml":            `Option output is "xml", but must be one of: text, json`,
		"--size 1.5 --count 1":    "Cannot parse argument '1.5' of option size",
		"--count 1 --nope --list": "nope is not a recognized option",
	} {
		f, _ := sample()
		err := f.Parse(strings.Fields(args))
		var usage *UsageError
		if !errors.As(err, &usage) || usage.Message != want {
			t.Errorf("%s: %v, want %q", args, err, want)
		}
	}
}

func TestRequiredOption(t *testing.T) {
	f := NewFlags("sample", "A sample.")
	f.String("a", "x", "A.").Required()
	if err := f.Parse(nil); err == nil || err.Error() != "Missing required option(s) [a]" {
		t.Error(err)
	}
}

// run runs a command and returns its exit code and what it printed.
func run(t *testing.T, c Command, stdin string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	code = c.Exec(context.Background(), args, IO{In: strings.NewReader(stdin), Out: &out, Err: &err})
	return code, out.String(), err.String()
}

func TestEveryCommandHelps(t *testing.T) {
	for _, c := range Commands() {
		if c.Build == nil {
			continue
		}
		code, stdout, stderr := run(t, c, "", "--help")
		if code != 0 || stderr != "" || !strings.Contains(stdout, "Usage: ") || !strings.Contains(stdout, "--help") {
			t.Errorf("%s --help: %d\n%s\n%s", c.Name, code, stdout, stderr)
		}
		if !strings.Contains(stdout, "\nExamples\n") {
			t.Errorf("%s --help has no examples", c.Name)
		}
		code, stdout, stderr = run(t, c, "")
		if code != 1 || stdout != "" || !strings.Contains(stderr, "Usage: ") {
			t.Errorf("%s without arguments: %d\n%s\n%s", c.Name, code, stdout, stderr)
		}
		code, stdout, stderr = run(t, c, "", "--no-such-option")
		if code != 1 || stdout != "" || !strings.HasPrefix(stderr, "no-such-option is not a recognized option\n") {
			t.Errorf("%s with an unknown option: %d\n%s\n%s", c.Name, code, stdout, stderr)
		}
	}
}

// Tutorials from before Kafka 3.0 name ZooKeeper to the tools.
func TestZooKeeperOption(t *testing.T) {
	code, _, stderr := run(t, topicsCommand(), "", "--zookeeper", "localhost:2181", "--list")
	if code != 1 || !strings.HasPrefix(stderr, "zookeeper is not a recognized option (the tools ask the brokers: use --bootstrap-server") {
		t.Error(code, stderr)
	}
}

func TestVersion(t *testing.T) {
	if code, stdout, _ := run(t, topicsCommand(), "", "--version"); code != 0 || stdout != "4.3.0\n" {
		t.Error(code, stdout)
	}
}

func TestLookup(t *testing.T) {
	for _, word := range []string{"topics", "kafka-topics", "kafka-topics.sh", "/opt/bin/kafka-topics.sh"} {
		if c, ok := Lookup(Commands(), word); !ok || c.Name != "topics" {
			t.Errorf("%s: %v %v", word, c.Name, ok)
		}
	}
	for _, word := range []string{"", "gregor", "kafka-nothing.sh"} {
		if c, ok := Lookup(Commands(), word); ok {
			t.Errorf("%q finds %s", word, c.Name)
		}
	}
}

// TestOptionRules checks the combinations of options that a tool refuses before it talks to a broker.
func TestOptionRules(t *testing.T) {
	const b = "--bootstrap-server localhost:1 "
	for _, test := range []struct {
		command Command
		args    string
		want    string // the first line on standard error
	}{
		{topicsCommand(), "--list", "--bootstrap-server must be specified"},
		{topicsCommand(), b, "Command must include exactly one action: --list, --describe, --create, --alter or --delete"},
		{topicsCommand(), b + "--list --create", "Command must include exactly one action: --list, --describe, --create, --alter or --delete"},
		{topicsCommand(), b + "--create", `Missing required argument "[topic]"`},
		{topicsCommand(), b + "--alter --topic a", `Missing required argument "[partitions]"`},
		{topicsCommand(), b + "--delete --topic a --partitions 3", `Option "[partitions]" can't be used with option "[delete]"`},
		{topicsCommand(), b + "--create --topic a --replica-assignment 1 --partitions 3", `Option "[replica-assignment]" can't be used with option "[partitions]"`},
		{topicsCommand(), b + "--describe --if-exists", "--topic or --topic-id is required to describe a topic"},
		{consoleProducerCommand(), b, `Missing required argument "[topic]"`},
		{consoleProducerCommand(), "--bootstrap-server nowhere --topic a", `Invalid address "nowhere" in --bootstrap-server: give host:port, for example localhost:9092`},
		{consoleProducerCommand(), b + "--topic a --compression-codec foo", "Invalid value foo for configuration compression.type: must be one of: none, gzip, snappy, lz4, zstd"},
		{consoleProducerCommand(), b + "--topic a --request-required-acks 7", "Invalid value 7 for configuration acks: must be one of: all, -1, 0, 1"},
		{consoleConsumerCommand(), b, "Exactly one of the following arguments is required: [topic], [include]"},
		{consoleConsumerCommand(), b + "--topic a --offset 1", "The partition is required when offset is specified."},
		{consoleConsumerCommand(), b + "--topic a --partition 1 --group g", "Options group and partition cannot be specified together."},
		{consoleConsumerCommand(), b + "--topic a --partition 1 --offset abc", "The provided offset value 'abc' is incorrect. Valid values are 'earliest', 'latest', or a non-negative long."},
		{consoleConsumerCommand(), b + "--topic a --from-beginning --consumer-property auto.offset.reset=latest", "Can't simultaneously specify --from-beginning and 'auto.offset.reset=latest', please remove one option"},
		{consoleConsumerCommand(), b + "--topic a --group g --consumer-property group.id=h", "The group ids provided in different places (directly using '--group', via '--command-property', or via '--command-config') do not match. Detected group ids: 'g', 'h'"},
		{consoleConsumerCommand(), b + "--topic a --isolation-level foo", "Invalid value foo for configuration isolation.level: must be one of: read_committed, read_uncommitted"},
		{consumerGroupsCommand(), "--list", `Missing required argument "[bootstrap-server]"`},
		{consumerGroupsCommand(), b + "--describe", "Option [describe] takes one of these options: [all-groups], [group]"},
		{consumerGroupsCommand(), b + "--list --group x", `Option "[group]" can't be used with option "[list]"`},
		{consumerGroupsCommand(), b + "--list --state foo", "Invalid state list 'foo'. Valid states are: Stable, Reconciling, Dead, CompletingRebalance, PreparingRebalance, Empty, Assigning"},
		{consumerGroupsCommand(), b + "--list --members", "Option(s) [members] are unavailable given other options on the command line"},
		{consumerGroupsCommand(), b + "--reset-offsets --group g --to-earliest --dry-run", "One of the reset scopes should be defined: --all-topics, --topic."},
		{consumerGroupsCommand(), b + "--delete-offsets --group g", "Option [delete-offsets] takes the following options: [topic], [group]"},
		{configsCommand(), "--describe --topic a", "Either --bootstrap-server or --bootstrap-controller must be specified."},
		{configsCommand(), b + "--entity-type topics", "Command must include exactly one action: --describe, --alter"},
		{configsCommand(), b + "--describe", "At least one entity type must be specified"},
		{configsCommand(), b + "--describe --broker abc", "The entity name for brokers must be a valid integer broker id, but it is: abc"},
		{configsCommand(), b + "--alter --topic a", "At least one of --add-config, --add-config-file, or --delete-config must be specified with --alter"},
		{configsCommand(), b + "--alter --entity-type brokers --add-config a=b", "An entity-name or default entity must be specified with --alter of users, clients, brokers or ips"},
		{getOffsetsCommand(), b + "--time abc", "Error occurred: Malformed time argument abc. Please use -1 or latest / -2 or earliest / -3 or max-timestamp / -4 or earliest-local / -5 or latest-tiered / -6 or earliest-pending-upload, or a specified long format timestamp"},
		{getOffsetsCommand(), b + "--topic a --topic-partitions b", "Error occurred: --topic-partitions cannot be used with --topic or --partitions"},
		{clusterCommand(), "list " + b, "kafka-cluster: error: argument command: invalid choice: 'list' (choose from 'cluster-id', 'unregister', 'list-endpoints')"},
		{groupsCommand(), "--list", "Missing required option(s) [bootstrap-server]"},
		{deleteRecordsCommand(), b, `Missing required argument "[offset-json-file]"`},
	} {
		code, _, stderr := run(t, test.command, "", strings.Fields(test.args)...)
		first, _, _ := strings.Cut(stderr, "\n")
		if code != 1 || first != test.want {
			t.Errorf("%s %s: exit code %d\n got %s\nwant %s", test.command.Name, test.args, code, first, test.want)
		}
	}
}

func TestUnknownCommand(t *testing.T) {
	for word, want := range map[string]string{
		"foo":    "unknown command \"foo\" for \"gregor\"\nRun 'gregor --help' for the commands.\n",
		"topcis": "unknown command \"topcis\" for \"gregor\"\n\nDid you mean this?\n\ttopics\nRun 'gregor --help' for the commands.\n",
	} {
		var errs bytes.Buffer
		if code := Execute(t.Context(), []string{"gregor", word}, IO{Err: &errs}, Commands()); code != 1 || errs.String() != want {
			t.Errorf("%s: exit code %d, %q", word, code, errs.String())
		}
	}
}
