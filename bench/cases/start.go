package cases

import (
	"context"
	"time"

	"gregor/bench/harness"
)

// Start are the cases of starting.
func Start() []harness.Case {
	return []harness.Case{{Name: "start", Title: "start to ready, empty, after a clean end", Fresh: true, NoTopic: true, Any: true, Measure: start,
		Main: harness.Millis, Show: []string{harness.RSS, harness.RSSAnon, harness.RSSFile}}}
}

// start is the time from the start of the process to its first answer.
func start(ctx context.Context, t *harness.Target) (harness.Figures, error) {
	server, ok := t.Instance.(harness.Restarter)
	if !ok {
		return nil, harness.ErrNotThisOne
	}
	server.Stop()
	began := time.Now()
	if err := server.Restart(ctx); err != nil {
		return nil, err
	}
	took := time.Since(began)
	return harness.Figures{harness.Millis: harness.Ms(took)}.Add(t.Measured()().Figures(0, 0)), nil
}
