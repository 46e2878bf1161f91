package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	tutorialPartitions = 3
	// tutorialPatience is how long an outcome may take before it counts as missing. It is for a machine that does much
	// else; every outcome comes within a few seconds.
	tutorialPatience = 30 * time.Second

	tutorialTopic      = "kafka_temp_topic"
	tutorialFirstTopic = "kinaction_helloworld"
	tutorialGroup      = "kafka_temp_group"
)

func tutorialCommand() Command {
	return Command{
		Name: "tutorial", Summary: "Play the whole tutorial: ZooKeeper, three brokers, topics, a producer, a consumer group, and what happens when one of them ends.",
		Build: buildTutorial, NoArgs: true,
	}
}

func buildTutorial(f *Flags) Action {
	f.About = "Plays the whole tutorial with real processes and the commands of bin/, on ports and in a directory of its own, and checks every outcome.\nIt takes about ten seconds, ends every process that it started, and leaves nothing behind unless --keep is there or an outcome is missing."
	zookeeper := f.String("zookeeper", "ours|HOST:PORT", "The ZooKeeper server that the brokers use: one of ours, which the tutorial starts, or one that runs.").Default("ours")
	short := f.Switch("short", "Leave out what takes longest: the consumer that ends, the broker that is killed.")
	keep := f.Switch("keep", "Leave the directory with its properties files, logs and data.")
	f.Output()
	f.Examples = []string{
		"gregor tutorial",
		"gregor tutorial --short --output json",
		"gregor tutorial --zookeeper localhost:2181",
		"gregor tutorial --keep",
	}
	return func(ctx context.Context, io IO) error {
		if len(f.Rest) > 0 {
			return Usagef("%s: no such argument", f.Rest[0])
		}
		foreign, err := foreignZookeeper(zookeeper.Value())
		if err != nil {
			return err
		}
		return playTutorial(ctx, io, foreign, short.Seen(), keep.Seen(), f.JSON())
	}
}

// foreignZookeeper is the address of --zookeeper, "" for ours.
func foreignZookeeper(value string) (string, error) {
	if value == "ours" {
		return "", nil
	}
	if _, _, err := net.SplitHostPort(value); err != nil {
		return "", Usagef("--zookeeper %s: give ours, or the host:port of a ZooKeeper server", value)
	}
	c, err := net.DialTimeout("tcp", value, 5*time.Second)
	if err != nil {
		return "", fmt.Errorf("no ZooKeeper server at %s (%v); start it, or leave --zookeeper out to have one of ours", value, err)
	}
	return value, c.Close()
}

// tutorial is one performance.
type tutorial struct {
	stage     *stage
	say       *narrator
	short     bool
	terminals []*terminal // that run, in the order in which they were opened
	client    *kgo.Client // for what is checked beside the commands

	coordinator *terminal
	brokers     [tutorialBrokers]*terminal
	producer    *terminal
	consumers   []*terminal
	sent        []string // every message of kafka_temp_topic so far
}

// finding is an outcome that is not as the tutorial says.
type finding struct {
	wrong string
	look  []*terminal // whose output may tell why
}

func (f *finding) Error() string { return f.wrong }

// stepResult is one line of the verdict.
type stepResult struct {
	Number  string  `json:"step"`
	Title   string  `json:"title"`
	OK      bool    `json:"ok"`
	Seconds float64 `json:"seconds"`
	Skipped string  `json:"skipped,omitempty"`
	Error   string  `json:"error,omitempty"`
}

// tutorialResult is the verdict, as --output json prints it.
type tutorialResult struct {
	OK        bool         `json:"ok"`
	Seconds   float64      `json:"seconds"`
	ZooKeeper string       `json:"zookeeper"`
	Directory string       `json:"directory,omitempty"` // if it is kept
	Steps     []stepResult `json:"steps"`
}

func playTutorial(ctx context.Context, tool IO, foreign string, short, keep, json bool) error {
	began := time.Now()
	out := tool.Out
	if json {
		out = io.Discard
	}
	colour := isTerminal(out) && os.Getenv("NO_COLOR") == ""
	t := &tutorial{short: short, say: &narrator{screen: &screen{out: out}, colour: colour}}
	var err error
	if t.stage, err = setStage(foreign); err != nil {
		return err
	}
	t.client, err = kgo.NewClient(kgo.SeedBrokers(t.stage.brokers()...), kgo.ClientID("gregor-tutorial"), kgo.DialTimeout(time.Second),
		kgo.RetryTimeout(3*time.Second), kgo.MetadataMinAge(20*time.Millisecond), kgo.RetryBackoffFn(func(int) time.Duration { return 50 * time.Millisecond }))
	if err != nil {
		t.stage.remove()
		return err
	}
	t.introduce()
	steps, failure := t.play(ctx)
	ended := time.Since(began)
	t.client.Close()
	t.endAll(tutorialPatience)
	if !t.stage.ours {
		t.sweep()
	}
	result := tutorialResult{OK: failure == nil, Seconds: seconds(ended), ZooKeeper: t.stage.zookeeper, Steps: steps}
	if keep || failure != nil && ctx.Err() == nil {
		result.Directory = t.stage.dir
	}
	t.verdict(result, failure, ctx.Err() != nil)
	if result.Directory == "" {
		t.stage.remove()
	}
	if json {
		if err := PrintJSON(tool.Out, result); err != nil {
			return err
		}
	}
	switch {
	case ctx.Err() != nil:
		return Exit(interrupted)
	case failure != nil:
		return Exit(1)
	}
	return nil
}

// introduce says what is played, and where it differs from what a reader types.
func (t *tutorial) introduce() {
	t.say.title("The tutorial: a coordinator, three brokers, a topic of three partitions, a producer, and a consumer group of three")
	t.say.text("Everything below is typed in %s, with the scripts of bin/ and the files of config/.", t.stage.dir)
	t.say.text("Ports and directories alone differ from what is shipped, so that nothing else on this machine is in the way:")
	for _, m := range t.stage.moved {
		t.say.text("  %-22s %s", m.file, m.was+"  ->  "+strings.TrimPrefix(m.is, strings.SplitN(m.was, "=", 2)[0]+"="))
	}
}

// play plays the steps until one fails.
func (t *tutorial) play(ctx context.Context) (results []stepResult, failure error) {
	for _, step := range t.steps() {
		r := stepResult{Number: step.number, Title: step.title, Skipped: step.skip}
		if failure != nil {
			r.Skipped = "a step before it failed"
		}
		if r.Skipped != "" {
			results = append(results, r)
			continue
		}
		t.say.title(fmt.Sprintf("%s  %s", step.number, step.title))
		began := time.Now()
		if err := step.play(ctx); err != nil {
			failure, r.Error = fmt.Errorf("step %s: %w", step.number, err), err.Error()
		}
		r.OK, r.Seconds = failure == nil, seconds(time.Since(began))
		results = append(results, r)
	}
	return results, failure
}

func seconds(d time.Duration) float64 { return float64(d.Milliseconds()) / 1000 }

// verdict ends the performance: a line for each step, and what to look at if one failed.
func (t *tutorial) verdict(r tutorialResult, failure error, interrupted bool) {
	t.say.title("Verdict")
	for _, s := range r.Steps {
		switch {
		case s.Skipped != "":
			t.say.text("%s", t.say.paint(ansiDim, fmt.Sprintf("  %-3s not played: %s", s.Number, s.Skipped)))
		case s.OK:
			t.say.text("  %-3s %s %6.2f s  %s", s.Number, t.say.paint(ansiGreen, "ok    "), s.Seconds, s.Title)
		default:
			t.say.text("  %-3s %s %6.2f s  %s", s.Number, t.say.paint(ansiRed, "FAILED"), s.Seconds, s.Title)
		}
	}
	switch {
	case interrupted:
		t.say.text("Interrupted after %.1f s; every process is ended.", r.Seconds)
	case failure != nil:
		t.say.text("%s", t.say.paint(ansiRed, fmt.Sprintf("Not as the tutorial says, after %.1f s: %v.", r.Seconds, failure)))
		t.lookAt(failure)
	default:
		t.say.text("%s", t.say.paint(ansiGreen, fmt.Sprintf("Every outcome is as the tutorial says, in %.1f s.", r.Seconds)))
	}
	if r.Directory != "" {
		t.say.text("Files, logs and data are in %s; to start it again by hand: cd %[1]s, then the commands above.", r.Directory)
	}
}

// lookAt says where the reason of a failure may be found, with the last that was printed there.
func (t *tutorial) lookAt(failure error) {
	var f *finding
	var logs []string
	if errors.As(failure, &f) {
		for _, n := range f.look {
			logs = append(logs, n.log)
			t.say.text("The last lines of %s (%s):", n.name, n.command)
			lines := n.printed(0)
			for _, line := range lines[max(0, len(lines)-12):] {
				t.say.output(n.name, line)
			}
		}
	}
	if len(logs) == 0 {
		logs = []string{"logs"}
	}
	for i, l := range logs {
		logs[i] = filepath.Join(t.stage.dir, l)
	}
	t.say.text("Look at: %s", strings.Join(logs, ", "))
}

// sweep removes what the brokers have written to somebody's ZooKeeper.
func (t *tutorial) sweep() {
	server, node, _ := strings.Cut(t.stage.zookeeper, "/")
	if o, err := t.ask(context.Background(), "zookeeper-shell.sh", server, "deleteall", "/"+node); err != nil || o.code != 0 {
		t.say.text("The node /%s of ZooKeeper at %s could not be removed: bin/zookeeper-shell.sh %[2]s deleteall /%[1]s", node, server)
	}
}
