// Command kafka runs Apache Kafka beside this project, to compare:
//
//	go run ./test/reference/kafka fetch                   download the jars
//	go run ./test/reference/kafka tool NAME ARGS...       run a tool: topics, console-producer, dump-log, ...
//	go run ./test/reference/kafka java CLASS ARGS...      run any class on the class path
//	go run ./test/reference/kafka node DIR PORT           run a KRaft node in the foreground; it also takes PORT+1
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"

	"gregor/test/reference"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		os.Exit(exit.ExitCode())
	case err != nil:
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return errors.New("usage: kafka fetch | tool NAME ARGS... | java CLASS ARGS... | node DIR PORT")
	}
	k, err := reference.Fetch(ctx, reference.Version)
	if err != nil {
		return err
	}
	switch {
	case args[0] == "fetch" && len(args) == 1:
		return nil
	case args[0] == "tool" && len(args) > 1:
		cmd, err := k.Tool(ctx, args[1], args[2:]...)
		if err != nil {
			return err
		}
		return attach(cmd)
	case args[0] == "java" && len(args) > 1:
		return attach(k.Java(ctx, "", args[1], args[2:]...))
	case args[0] == "node" && len(args) == 3:
		port, err := strconv.Atoi(args[2])
		if err != nil {
			return err
		}
		dir, err := filepath.Abs(args[1])
		if err != nil {
			return err
		}
		n, err := k.StartNode(ctx, reference.NodeOptions{Dir: dir, DataDir: filepath.Join(dir, "data"), Port: port, NodeID: 1})
		if err != nil {
			return err
		}
		fmt.Println("serving on", n.Addr)
		<-ctx.Done()
		n.Stop()
		return nil
	}
	return fmt.Errorf("cannot do %q", args)
}

func attach(cmd *exec.Cmd) error {
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	return cmd.Run()
}
