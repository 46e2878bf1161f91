// Command kafka runs Apache Kafka beside this project, to compare:
//
//	go run ./test/reference/kafka fetch                   download the jars
//	go run ./test/reference/kafka tool NAME ARGS...       run a tool: topics, console-producer, dump-log, ...
//	go run ./test/reference/kafka java CLASS ARGS...      run any class on the class path
//	go run ./test/reference/kafka node DIR PORT           run a KRaft node in the foreground; it also takes PORT+1
//	go run ./test/reference/kafka zookeeper DIR PORT      run Apache ZooKeeper in the foreground
//	go run ./test/reference/kafka ensemble DIR PORT       run three of them as an ensemble, on PORT to PORT+8
//	go run ./test/reference/kafka shell HOST:PORT ARGS... run Apache's zookeeper-shell
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
	"strings"
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
		return errors.New("usage: kafka fetch | tool NAME ARGS... | java CLASS ARGS... | shell HOST:PORT ARGS... | node DIR PORT | zookeeper DIR PORT | ensemble DIR PORT")
	}
	version := reference.Version
	switch args[0] {
	case "zookeeper", "ensemble", "shell":
		version = reference.VersionZooKeeper
	}
	k, err := reference.Fetch(ctx, version)
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
		dir, port, err := place(args[1:])
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
	case args[0] == "zookeeper" && len(args) == 3:
		dir, port, err := place(args[1:])
		if err != nil {
			return err
		}
		n, err := k.StartZooKeeper(ctx, reference.ZooKeeperOptions{Dir: dir, Port: port})
		if err != nil {
			return err
		}
		fmt.Println("serving on", n.Addr)
		<-ctx.Done()
		n.Stop()
		return nil
	case args[0] == "ensemble" && len(args) == 3:
		dir, port, err := place(args[1:])
		if err != nil {
			return err
		}
		e, err := k.StartEnsemble(ctx, 3, reference.ZooKeeperOptions{Dir: dir, Port: port})
		if err != nil {
			return err
		}
		fmt.Println("serving on", strings.Join(e.Addrs(), ","))
		<-ctx.Done()
		e.Kill()
		return nil
	case args[0] == "shell" && len(args) > 1:
		return attach(k.Java(ctx, "", reference.ZooKeeperShell, append([]string{"-server"}, args[1:]...)...))
	}
	return fmt.Errorf("cannot do %q", args)
}

// place is a directory and a port from the command line.
func place(args []string) (dir string, port int, err error) {
	if port, err = strconv.Atoi(args[1]); err != nil {
		return "", 0, err
	}
	dir, err = filepath.Abs(args[0])
	return dir, port, err
}

func attach(cmd *exec.Cmd) error {
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	return cmd.Run()
}
