package main

import (
	"flag"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"gregor/bench/cases"
	"gregor/bench/harness"
	"gregor/bench/peers"
)

// command is what the flags ask for.
type command struct {
	options     harness.Options
	servers     []harness.Server
	cases       []harness.Case
	args        []string
	list, merge bool
	json        string
	document    string
	expect      string
	main        string // name of the build of gregor that goals and expectations are about
}

func parse(args []string) (*command, error) {
	c := &command{args: args, cases: cases.All()}
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	only := f.String("cases", ".", "which cases, a regular expression of the whole name")
	on := f.String("servers", ".", "which servers, a regular expression of the whole name")
	f.IntVar(&c.options.Rounds, "rounds", 3, "runs that count, of each case on each server in turn")
	f.IntVar(&c.options.Discard, "discard", 1, "rounds before them that do not count")
	f.IntVar(&c.options.Touch, "touch", 1500, "MB of memory that are touched before each run")
	f.StringVar(&c.options.Dir, "dir", "", "where the servers have their data; empty: below the system's directory for temporary files")
	f.IntVar(&c.options.Port, "port", 31000, "the first port that servers get")
	seconds(f, &c.options.Time, "seconds", 3, "length of what is measured in a run")
	seconds(f, &c.options.Warmup, "warmup", 0.5, "seconds before it, in every run")
	seconds(f, &c.options.Settle, "settle", 15, "seconds of a run that does not count on Apache Kafka, whose code is compiled meanwhile")
	quiet := f.Bool("quiet", false, "only the tables, not each run")
	f.BoolVar(&c.list, "list", false, "list cases and servers")
	f.StringVar(&c.json, "json", "", "file to write every run to")
	f.BoolVar(&c.merge, "merge", false, "keep what is in the file of -json of cases that are not measured now")
	f.StringVar(&c.document, "document", "", "a document to put the tables into; with -cases '' from the file of -json alone")
	f.StringVar(&c.expect, "expect", "", "a file of ratios to the limit: a case that is worse by more than a quarter, twice, is an error")
	var others peers.Programs
	f.StringVar(&others.NATS, "nats", "", "nats-server's program (make bench-peers builds it); empty: not measured")
	f.StringVar(&others.RabbitMQ, "rabbitmq", "", "rabbitmq-server's program, for its quorum queues and streams; empty: not measured")
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
		return nil, err
	}
	if len(gregors) == 0 {
		binary := os.Getenv("GREGOR_BINARY")
		if binary == "" {
			binary = "build/gregor"
		}
		gregors = []harness.Gregor{{As: "gregor", Binary: binary}}
	}
	c.main, c.options.Binary = gregors[0].As, gregors[0].Binary
	c.servers = []harness.Server{harness.Apache{}}
	for _, g := range gregors {
		c.servers = append(c.servers, g)
	}
	c.servers = slices.Concat(c.servers, []harness.Server{harness.Limit{}}, others.Servers())
	for i := range c.cases {
		c.cases[i].Config.Extra = slices.Concat(c.cases[i].Config.Extra, set)
	}
	if !*quiet {
		c.options.Out = os.Stderr
	}
	var err error
	if c.options.Cases, err = whole(*only); err != nil {
		return nil, err
	}
	c.options.Servers, err = whole(*on)
	return c, err
}

func seconds(f *flag.FlagSet, to *time.Duration, name string, value float64, usage string) {
	*to = time.Duration(value * float64(time.Second))
	f.Func(name, usage, func(s string) (err error) {
		*to, err = time.ParseDuration(s + "s")
		return err
	})
}

// whole compiles an expression that must fit the whole name; a comma may stand between alternatives, and . is any name.
func whole(s string) (*regexp.Regexp, error) {
	if s == "." {
		s = ".*"
	}
	return regexp.Compile("^(" + strings.ReplaceAll(s, ",", "|") + ")$")
}
