// Command gregor is the one binary: a Kafka broker, and Kafka's tools. The first argument, or the name it is run by
// (kafka-topics, kafka-topics.sh), says which.
package main

import (
	"context"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"gregor/internal/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// The second signal ends the process at once.
	context.AfterFunc(ctx, stop)
	commands := append(cli.ServerCommands(tuneServer), cli.Commands()...)
	code := cli.Execute(ctx, os.Args, cli.IO{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}, commands)
	os.Exit(code)
}

// tuneServer keeps an idle broker small: most of its memory is buffers that come and go, and record bytes are not in
// the heap at all, so collecting sooner costs little. Who sets GOGC has the last word.
func tuneServer() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(50)
	}
}
