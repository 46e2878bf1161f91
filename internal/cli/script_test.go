package cli_test

import (
	"context"
	"os"
	"os/signal"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"gregor"
	"gregor/internal/cli"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/twmb/franz-go/pkg/kgo"
)

// TestMain lets the test binary play the tools, so that a script runs them as processes: with their exit codes, and
// ended by signals.
func TestMain(m *testing.M) {
	tools := map[string]func(){}
	for _, c := range cli.Commands() {
		if c.Script != "" {
			tools[c.Script] = tool
		}
	}
	tools["gregor"] = tool
	testscript.Main(m, tools)
}

func tool() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := cli.Execute(ctx, os.Args, cli.IO{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}, cli.Commands())
	stop()
	os.Exit(code)
}

// TestScripts runs the stories of testdata/script, each with a broker of its own at $BROKER.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			b, err := gregor.Start(context.Background(), gregor.Config{Dir: env.WorkDir + "/data", Properties: map[string]string{
				"group.initial.rebalance.delay.ms": "0",
				"offsets.topic.num.partitions":     "3",
				"offsets.topic.replication.factor": "1",
				"group.min.session.timeout.ms":     "100",
				"auto.create.topics.enable":        "true",
			}})
			if err != nil {
				return err
			}
			exitAtOnce(env)
			env.Setenv("BROKER", b.Addr())
			env.Setenv("B", "--bootstrap-server="+b.Addr())
			env.Defer(func() {
				if err := b.Close(); err != nil {
					t.Error(err)
				}
			})
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){"until": until, "begin": begin},
	})
}

// exitAtOnce takes away the second that the race detector has every process sleep before it exits: the stories run
// hundreds of tools. A race that it finds in one still makes that tool's exit code 66.
func exitAtOnce(env *testscript.Env) { env.Setenv("GORACE", "atexit_sleep_ms=0") }

// until runs a command again and again until its standard output matches: until PATTERN COMMAND ARGS...
func until(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: until pattern command [args...]")
	}
	pattern := regexp.MustCompile(args[0])
	deadline := time.After(30 * time.Second)
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		err := ts.Exec(args[1], args[2:]...)
		out := ts.ReadFile("stdout")
		if err == nil && pattern.MatchString(out) {
			return
		}
		select {
		case <-deadline:
			ts.Fatalf("%s never printed %s; at last:\n%s", strings.Join(args[1:], " "), pattern, out)
		case <-again.C:
		}
	}
}

// begin begins a transaction and leaves it open, with a record in each partition 0: begin TRANSACTIONALID TOPICS...
func begin(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: begin id topic...")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	cl, err := kgo.NewClient(kgo.SeedBrokers(ts.Getenv("BROKER")), kgo.TransactionalID(args[0]), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	ts.Check(err)
	ts.Defer(cl.Close)
	ts.Check(cl.BeginTransaction())
	for _, topic := range args[1:] {
		ts.Check(cl.ProduceSync(ctx, &kgo.Record{Topic: topic, Value: []byte("v")}).FirstErr())
	}
}
