package cases

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"time"

	"gregor/bench/harness"
	"gregor/bench/load"
)

// ScriptMs is the time of a tool that is run by its script.
const ScriptMs = "by its script ms"

// Tools are the cases of command-line tools.
func Tools() []harness.Case {
	return []harness.Case{{Name: "list", Title: "kafka-topics --list of 100 topics, each project's own on its own server", NoTopic: true, Measure: list,
		Main: harness.Millis, Show: []string{ScriptMs}}}
}

// listed is how often each is run; the time is the median.
const listed = 7

func list(ctx context.Context, t *harness.Target) (harness.Figures, error) {
	tools, ok := t.Instance.(harness.Toolbox)
	if !ok {
		return nil, harness.ErrNotThisOne
	}
	if err := listedTopics(ctx, t.Addrs()[0]); err != nil {
		return nil, err
	}
	f := harness.Figures{}
	for name, make := range map[string]func(context.Context, string, ...string) (*exec.Cmd, error){harness.Millis: tools.Tool, ScriptMs: tools.Script} {
		var times []time.Duration
		for i := range listed + 1 { // the first warms up, and builds the program if a script finds it stale
			cmd, err := make(ctx, "topics", "--list", "--bootstrap-server", t.Addrs()[0])
			if errors.Is(err, harness.ErrNotThisOne) {
				break
			}
			if err != nil {
				return nil, err
			}
			began := time.Now()
			out, err := cmd.Output()
			took := time.Since(began)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", cmd, err)
			}
			if lines := strings.Count(string(out), "list-"); lines != 100 {
				return nil, fmt.Errorf("%s lists %d topics of 100:\n%s", cmd, lines, out)
			}
			if i > 0 {
				times = append(times, took)
			}
		}
		if slices.Sort(times); times != nil {
			f[name] = harness.Ms(times[len(times)/2])
		}
	}
	return f, nil
}

// listedTopics makes the topics, if they are not there from the round before.
func listedTopics(ctx context.Context, addr string) error {
	topics := load.Topics{Name: "list", Count: 100, Partitions: 1, Replicas: 1}
	now, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
	defer cancel()
	if _, err := topics.Leaders(now, addr); err == nil {
		return nil
	}
	if err := topics.Create(ctx, addr); err != nil {
		return err
	}
	_, err := topics.Leaders(ctx, addr)
	return err
}
