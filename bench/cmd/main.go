// Command bench measures gregor beside its peers and beside the physical limit: see package harness.
//
//	go build -o build/bench ./bench/cmd && go build -o build/gregor ./cmd/gregor
//	build/bench -cases 'large|small' -servers 'gregor|limit' -seconds 3 -rounds 3
//	build/bench plot docs/performance/figures.json docs/performance
//	build/bench -cases large -gregor before=/tmp/old/gregor -gregor after=build/gregor
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"gregor/bench/cases"
	"gregor/bench/harness"
	"gregor/bench/peers"
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
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	only := f.String("cases", ".", "which cases, a regular expression of the whole name")
	on := f.String("servers", ".", "which servers, a regular expression of the whole name")
	rounds := f.Int("rounds", 3, "runs that count, of each case on each server in turn")
	discard := f.Int("discard", 1, "rounds before them that do not count")
	settle := f.Float64("settle", 15, "seconds of a run that does not count on Apache Kafka, whose code is compiled meanwhile")
	seconds := f.Float64("seconds", 3, "length of what is measured in a run")
	warmup := f.Float64("warmup", 0.5, "seconds before it, in every run")
	touch := f.Int("touch", 1500, "MB of memory that are touched before each run")
	dir := f.String("dir", "", "where the servers have their data; empty: below the system's directory for temporary files")
	port := f.Int("port", 31000, "the first port that servers get")
	file := f.String("json", "", "file to write every run to")
	list := f.Bool("list", false, "list cases and servers")
	var others peers.Programs
	f.StringVar(&others.NATS, "nats", "", "nats-server's program (make bench-peers builds it); empty: not measured")
	f.StringVar(&others.RabbitMQ, "rabbitmq", "", "rabbitmq-server's program, for its quorum queues and streams; empty: not measured")
	quiet := f.Bool("quiet", false, "only the tables, not each run")
	var set []string
	f.Func("set", "KEY=VALUE of server.properties, for every server that reads it; may be repeated", func(s string) error {
		set = append(set, s)
		return nil
	})
	var gregors []harness.Gregor
	f.Func("gregor", "[NAME=]BINARY: gregor's program, or several under names of their own to be compared (default gregor=$GREGOR_BINARY or build/gregor)", func(s string) error {
		name, binary, ok := strings.Cut(s, "=")
		if !ok {
			name, binary = "gregor", s
		}
		gregors = append(gregors, harness.Gregor{As: name, Binary: binary})
		return nil
	})
	if err := f.Parse(args); err != nil {
		return err
	}
	if len(gregors) == 0 {
		binary := os.Getenv("GREGOR_BINARY")
		if binary == "" {
			binary = "build/gregor"
		}
		gregors = []harness.Gregor{{As: "gregor", Binary: binary}}
	}
	servers := []harness.Server{harness.Apache{}}
	for _, g := range gregors {
		servers = append(servers, g)
	}
	servers = append(servers, harness.Limit{})
	servers = append(servers, others.Servers()...)
	all := cases.All()
	for i := range all {
		all[i].Config.Extra = slices.Concat(all[i].Config.Extra, set)
	}
	if *list {
		for _, c := range all {
			fmt.Printf("%-12s %s\n", c.Name, c.Title)
		}
		for _, s := range servers {
			fmt.Println("server", s.Name())
		}
		return nil
	}
	o := harness.Options{Rounds: *rounds, Discard: *discard, Time: time.Duration(*seconds * float64(time.Second)), Warmup: time.Duration(*warmup * float64(time.Second)),
		Settle: time.Duration(*settle * float64(time.Second)), Touch: *touch, Dir: *dir, Port: *port, Binary: gregors[0].Binary, Out: os.Stderr}
	if *quiet {
		o.Out = nil
	}
	var err error
	if o.Cases, err = whole(*only); err != nil {
		return err
	}
	if o.Servers, err = whole(*on); err != nil {
		return err
	}
	outcomes, err := harness.Run(ctx, o, servers, all)
	r := harness.Report{Command: "bench " + strings.Join(args, " "), Machine: harness.ThisMachine(), Rounds: *rounds, Seconds: *seconds, Cases: outcomes}
	for _, c := range outcomes {
		fmt.Println(c.Table())
	}
	if *file == "" || err != nil {
		return err
	}
	out, err := os.Create(*file)
	if err != nil {
		return err
	}
	if err := r.WriteJSON(out); err != nil {
		return err
	}
	return out.Close()
}

// whole compiles an expression that must fit the whole name; a comma may stand between alternatives, and . is any name.
func whole(s string) (*regexp.Regexp, error) {
	if s == "." {
		s = ".*"
	}
	return regexp.Compile("^(" + strings.ReplaceAll(s, ",", "|") + ")$")
}
