// Package cli holds the command line tools: Kafka's tools under Kafka's names, flags, exit codes and default output.
//
// A tool is a Command: a function that declares its flags and returns what to do with them. It reads and writes only
// through IO, ends when its context ends, and returns an exit code, so that a test runs it like any other function.
// Nothing in this package ends the process or catches Ctrl-C; cmd/gregor does.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
)

// KafkaVersion is the release of Apache Kafka whose tools these are: `--version` prints it.
const KafkaVersion = "4.3.0"

// IO is where a tool reads and writes.
type IO struct {
	In       io.Reader
	Out, Err io.Writer
}

// Action is a tool with its flags already parsed. The error it returns decides message and exit code: see errors.go.
type Action func(ctx context.Context, io IO) error

// Command is one tool.
type Command struct {
	Name    string // as in `gregor topics`
	Script  string // as in `kafka-topics.sh`, without .sh; "" if Kafka has no such script
	Summary string // one line, for the list of commands

	// Build declares the flags and returns the action. Nil if Run is set.
	Build func(f *Flags) Action
	// NoArgs lets the command run without arguments; without them Kafka's tools print their help.
	NoArgs bool
	// Run is for a command that reads its arguments by itself. Words are what it knows, for completion.
	Run   func(ctx context.Context, args []string, io IO) int
	Words func() []string
}

// Flags returns the command's flags, declared and not parsed, or nil if the command reads its arguments by itself.
func (c Command) Flags() *Flags {
	if c.Build == nil {
		return nil
	}
	f := newFlags(c)
	c.Build(f)
	return f
}

// Exec runs the command and returns its exit code.
func (c Command) Exec(ctx context.Context, args []string, io IO) int {
	if c.Build == nil {
		return c.Run(ctx, args, io)
	}
	f := newFlags(c)
	action := c.Build(f)
	if len(args) == 0 && !c.NoArgs {
		f.PrintHelp(io.Err)
		return 1
	}
	err := f.Parse(args)
	if err == nil {
		err = action(ctx, io)
	}
	return report(err, f, io)
}

// Lookup finds the command that a word names: `topics`, `kafka-topics`, `/path/kafka-topics.sh`.
func Lookup(commands []Command, word string) (Command, bool) {
	word = strings.TrimSuffix(strings.TrimSuffix(filepath.Base(word), ".exe"), ".sh")
	i := slices.IndexFunc(commands, func(c Command) bool {
		return word != "" && (c.Name == word || c.Script == word)
	})
	if i < 0 {
		return Command{}, false
	}
	return commands[i], true
}

// report prints what an action's error says and returns the exit code.
func report(err error, f *Flags, io IO) int {
	var usage *UsageError
	var exit *ExitError
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errHelp):
		f.PrintHelp(io.Out)
		return 0
	case errors.Is(err, errVersion):
		fmt.Fprintln(io.Out, KafkaVersion)
		return 0
	case errors.As(err, &usage):
		fmt.Fprintln(io.Err, usage.Message)
		f.PrintUsage(io.Err)
		return 1
	case errors.As(err, &exit):
		if exit.Err != nil {
			fmt.Fprintln(io.Err, explain(exit.Err))
		}
		return exit.Code
	}
	fmt.Fprintln(io.Err, explain(err))
	return 1
}
