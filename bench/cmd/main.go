// Command bench measures gregor beside its peers and beside the physical limit: see package harness.
//
//	go build -o build/bench ./bench/cmd && go build -o build/gregor ./cmd/gregor
//	build/bench -cases 'large|small' -servers 'gregor|limit' -seconds 3 -rounds 3
//	build/bench plot docs/performance/figures.json docs/performance
//	build/bench -cases large -gregor before=/tmp/old/gregor -gregor after=build/gregor
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"gregor/bench/cases"
	"gregor/bench/harness"
	"gregor/bench/plot"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) > 0 {
		switch args[0] { // this program as a process of its own
		case "limit":
			return harness.ServeLimit(ctx, args[1:])
		case "touch":
			return harness.Touch(args[1:])
		case "plot":
			return plot.Draw(args[1:])
		}
	}
	c, err := parse(args)
	if err != nil {
		return err
	}
	if c.list {
		for _, one := range c.cases {
			fmt.Printf("%-18s %s\n", one.Name, one.Title)
		}
		for _, s := range c.servers {
			fmt.Println("server", s.Name())
		}
		return nil
	}
	outcomes, err := c.measure(ctx)
	for _, o := range outcomes {
		fmt.Println(o.Table())
	}
	if err != nil {
		if c.merge && len(outcomes) > 0 { // of a run of hours the rest can be measured after it
			err = errors.Join(err, c.report(outcomes))
		}
		return err
	}
	if c.expect != "" {
		if err := c.check(ctx, outcomes); err != nil {
			return err
		}
	}
	return c.report(outcomes)
}

// measure has the command stand beside what it measured.
func (c *command) measure(ctx context.Context) ([]harness.Outcome, error) {
	outcomes, err := harness.Run(ctx, c.options, c.servers, c.cases)
	for i := range outcomes {
		outcomes[i].Command = "build/bench " + strings.Join(c.args, " ")
	}
	return outcomes, err
}

// check compares with what is expected. What has fallen is measured again: something else may have run on the machine.
func (c *command) check(ctx context.Context, outcomes []harness.Outcome) error {
	e, err := harness.ReadExpectation(c.expect)
	if err != nil {
		return err
	}
	say := func(line string) { fmt.Println(line) }
	bad, err := e.Check(outcomes, c.main, say)
	if err != nil || len(bad) == 0 {
		return err
	}
	fmt.Println("measured again:", strings.Join(bad, ", "))
	if c.options.Cases, err = whole(strings.Join(bad, "|")); err != nil {
		return err
	}
	if outcomes, err = c.measure(ctx); err != nil {
		return err
	}
	if bad, err = e.Check(outcomes, c.main, say); err == nil && len(bad) > 0 {
		err = fmt.Errorf("%s: slower than %s says, twice", strings.Join(bad, ", "), c.expect)
	}
	return err
}

// report writes the file and the document that the flags name.
func (c *command) report(outcomes []harness.Outcome) error {
	r := harness.Report{Machine: harness.ThisMachine(), Cases: outcomes}
	if c.merge || c.document != "" && len(outcomes) == 0 {
		before, err := harness.ReadReport(c.json)
		if err != nil {
			return err
		}
		var names []string
		for _, one := range c.cases {
			names = append(names, one.Name)
		}
		if len(outcomes) == 0 {
			r.Machine = before.Machine
		}
		r = before.Merge(r, names)
	}
	if c.json != "" && len(outcomes) > 0 {
		if err := r.WriteFile(c.json); err != nil {
			return err
		}
	}
	if c.document == "" {
		return nil
	}
	text, err := os.ReadFile(c.document)
	if err != nil {
		return err
	}
	for _, part := range []struct{ name, body string }{
		{"goals", harness.Goals(cases.Goals, r.Cases, c.main)},
		{"summary", harness.Summary(r.Cases, c.main, []string{harness.ApacheName, "nats", "rabbitmq-quorum", "rabbitmq-stream", harness.LimitName})},
		{"figures", r.Figures()},
	} {
		changed, err := harness.Document(string(text), part.name, part.body)
		if err != nil {
			return fmt.Errorf("%s: %w", c.document, err)
		}
		text = []byte(changed)
	}
	return os.WriteFile(c.document, text, 0o644)
}
