package cli

import (
	"context"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

func reassignCommand() Command {
	return Command{Name: "reassign-partitions", Script: "kafka-reassign-partitions", Summary: "Move partitions between brokers, and replicas between log directories.", Build: buildReassign}
}

type reassignFlags struct {
	*Flags
	connection                                  *Connection
	generate, execute, verify, cancel, list     *Flag
	file_, topicsFile, brokers                  *Flag
	disableRackAware, additional, preserve      *Flag
	disallowRF, throttle, dirThrottle, timeout_ *Flag
}

func buildReassign(flags *Flags) Action {
	flags.About = "This tool helps to move topic partitions between replicas."
	flags.Examples = []string{
		`echo '{"version":1,"topics":[{"topic":"orders"}]}' > topics.json`,
		"kafka-reassign-partitions.sh --bootstrap-server localhost:9092 --generate --topics-to-move-json-file topics.json --broker-list 1,2,3",
		"kafka-reassign-partitions.sh --bootstrap-server localhost:9092 --generate --topics-to-move-json-file topics.json --broker-list 1,2,3 --output json | jq .proposed > plan.json",
		"kafka-reassign-partitions.sh --bootstrap-server localhost:9092 --execute --reassignment-json-file plan.json --throttle 50000000",
		"kafka-reassign-partitions.sh --bootstrap-server localhost:9092 --verify --reassignment-json-file plan.json",
		"kafka-reassign-partitions.sh --bootstrap-server localhost:9092 --cancel --reassignment-json-file plan.json",
		"kafka-reassign-partitions.sh --bootstrap-controller localhost:9093 --list",
	}
	f := &reassignFlags{Flags: flags, connection: flags.Connection().WithControllers()}
	f.connection.Controllers.Help += " With --cancel and --list."
	f.generate = f.Switch("generate", "Propose where the partitions of --topics-to-move-json-file could go. Nothing is moved.")
	f.execute = f.Switch("execute", "Begin what --reassignment-json-file says.")
	f.verify = f.Switch("verify", "Say how far what --reassignment-json-file says has come. When everything is done, the throttles are removed.")
	f.cancel = f.Switch("cancel", "Take back what --reassignment-json-file says, as far as it is under way.")
	f.list = f.Switch("list", "List all reassignments that are under way.")
	f.file_ = f.String("reassignment-json-file", "file", "The plan: {\"version\":1,\"partitions\":[{\"topic\":\"foo\",\"partition\":1,\"replicas\":[1,2,3],\"log_dirs\":[\"/a\",\"any\",\"any\"]}]}. The first replica is the preferred leader. log_dirs may be left out; \"any\" leaves the directory to the broker.")
	f.topicsFile = f.String("topics-to-move-json-file", "file", "With --generate: the topics: {\"version\":1,\"topics\":[{\"topic\":\"foo\"},{\"topic\":\"bar\"}]}.")
	f.brokers = f.String("broker-list", "id,...", "With --generate: the brokers that shall have the partitions.")
	f.disableRackAware = f.Switch("disable-rack-aware", "With --generate: do not look at the brokers' racks.")
	f.throttle = f.Long("throttle", "bytes/s", "With --execute: how fast each broker may move data between brokers. It can be changed by repeating the command with --additional. Run --verify afterwards, which removes it.").Default("-1")
	f.dirThrottle = f.Long("replica-alter-log-dirs-throttle", "bytes/s", "With --execute: how fast each broker may move data between its log directories.").Default("-1")
	f.timeout_ = f.Long("timeout", "ms", "How long to try to begin moves between log directories; a replica that is new on a broker has to arrive first.").Default("10000")
	f.additional = f.Switch("additional", "With --execute: begin although other reassignments are under way.")
	f.preserve = f.Switch("preserve-throttles", "With --verify, --cancel: leave the throttles as they are.")
	f.disallowRF = f.Switch("disallow-replication-factor-change", "With --execute: refuse a plan that changes how many replicas a partition has.")
	f.Output()
	return f.run
}

func (f *reassignFlags) actions() []*Flag {
	return []*Flag{f.generate, f.execute, f.verify, f.cancel, f.list}
}

// check repeats Kafka's rules of which options go together.
func (f *reassignFlags) check() error {
	c := f.connection
	if !ExactlyOne(f.actions()...) {
		return Usagef("Command must include exactly one action: --generate, --execute, --verify, --cancel, --list")
	}
	switch {
	case c.Bootstrap.Seen() && c.Controllers.Seen():
		return Usagef("Please don't specify both --bootstrap-server and --bootstrap-controller")
	case !c.Bootstrap.Seen() && !c.Controllers.Seen():
		return Usagef("Please specify either --bootstrap-server or --bootstrap-controller")
	}
	rules := map[*Flag]struct{ required, allowed []*Flag }{
		f.generate: {[]*Flag{f.topicsFile, f.brokers}, []*Flag{f.disableRackAware}},
		f.execute:  {[]*Flag{f.file_}, []*Flag{f.additional, f.throttle, f.dirThrottle, f.timeout_, f.disallowRF}},
		f.verify:   {[]*Flag{f.file_}, []*Flag{f.preserve}},
		f.cancel:   {[]*Flag{f.file_}, []*Flag{c.Controllers, f.preserve, f.timeout_}},
		f.list:     {nil, []*Flag{c.Controllers}},
	}
	for _, action := range f.actions() {
		if !action.Seen() {
			continue
		}
		rule := rules[action]
		if err := Require(rule.required...); err != nil {
			return err
		}
		allowed := slices.Concat([]*Flag{action, c.Bootstrap, c.Config, f.output}, rule.required, rule.allowed)
		for _, g := range f.Flags.list {
			if g.Seen() && !slices.Contains(allowed, g) {
				return Usagef("Option %q can't be used with action %q", g.String(), action.String())
			}
		}
	}
	return nil
}

// terse is an error that Kafka's tool prints without "Error: " before it.
type terse struct{ message string }

func (e terse) Error() string { return e.message }

func (f *reassignFlags) run(ctx context.Context, io IO) error {
	if err := f.check(); err != nil {
		return err
	}
	err := f.act(ctx, io)
	prefix := "Error: "
	if _, ok := err.(terse); ok {
		prefix = ""
	}
	return failure(io, prefix, err)
}

func (f *reassignFlags) act(ctx context.Context, io IO) error {
	// The files are read before the cluster is asked.
	var plan *reassignment
	var topics []string
	var brokers []int32
	var err error
	switch {
	case f.generate.Seen():
		topics, brokers, err = f.generateArguments()
	case !f.list.Seen():
		plan, err = readReassignment(f.file_.Value())
		if err == nil && f.execute.Seen() {
			err = plan.check()
		}
	}
	if err != nil {
		return err
	}
	ctx, cluster, done, err := f.connection.DialCluster(ctx, io)
	if err != nil {
		return err
	}
	defer done()
	c := &reassigner{clusterClient: cluster, asJSON: f.JSON(), patience: time.Duration(f.timeout_.Int64()) * time.Millisecond}
	switch {
	case f.generate.Seen():
		return c.generate(ctx, topics, brokers, !f.disableRackAware.Seen(), rand.IntN)
	case f.execute.Seen():
		return c.execute(ctx, plan, executeOptions{
			additional: f.additional.Seen(), throttle: f.throttle.Int64(), dirThrottle: f.dirThrottle.Int64(), keepFactor: f.disallowRF.Seen(),
		})
	case f.verify.Seen():
		return c.verify(ctx, plan, f.preserve.Seen())
	case f.cancel.Seen():
		return c.cancel(ctx, plan, f.preserve.Seen())
	}
	return c.list(ctx)
}

// reassigner does what the tool needs of a cluster.
type reassigner struct {
	*clusterClient
	asJSON   bool
	patience time.Duration // to begin moves between log directories
}

// plural is "s" unless there is exactly one.
func plural(n int) string {
	if n == 1 {
		return ""
	}
	return "s"
}

func joinSorted(words []string) string {
	slices.Sort(words)
	return strings.Join(slices.Compact(words), ",")
}
