// Command gregor is the one binary: a Kafka broker, and Kafka's tools. The first argument, or the name it is run by
// (kafka-topics, kafka-topics.sh), says which.
package main

import (
	"context"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"syscall"

	"gregor/internal/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// The second signal ends the process at once.
	context.AfterFunc(ctx, stop)
	var heap []byte
	commands := append(cli.ServerCommands(func() { heap = tuneServer() }), cli.Commands()...)
	code := cli.Execute(ctx, os.Args, cli.IO{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}, commands)
	runtime.KeepAlive(heap)
	os.Exit(code)
}

// emptyHeap is what the collector is told that a server's heap has, and has not: it is never touched, so it takes no memory.
const emptyHeap = 32 << 20

// tuneServer has the collector run when half as much as is in use has been allocated, but not before 16 MB: a server has
// a few megabytes in use, since record bytes are not in the heap, and collecting at each further two costs a tenth of the
// processor under small requests. Who sets GOGC has the last word. GOMEMLIMIT is the runtime's own: without it there is no
// limit, since one below what ten thousand partitions need would have the collector run all the time.
func tuneServer() (heap []byte) {
	if os.Getenv("GOGC") != "" {
		return nil
	}
	debug.SetGCPercent(50)
	return make([]byte, emptyHeap)
}
