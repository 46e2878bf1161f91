package reference

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Node is one running process of Apache's: Kafka's broker and controller in one, a broker on ZooKeeper, or ZooKeeper.
type Node struct {
	Addr string // host:port of the broker's listener
	cmd  *exec.Cmd
	log  string
	done chan struct{} // closed when the process has ended; err is set before
	err  error
}

// NodeOptions says how a node runs.
type NodeOptions struct {
	Dir       string   // properties file and process log
	DataDir   string   // log.dirs; formatted when it holds no meta.properties
	Port      int      // broker; the controller listens on the port after it
	NodeID    int      // as in meta.properties when the directory is not new
	ClusterID string   // for formatting; empty: a random one
	Extra     []string // further key=value lines; the last of a key counts
	Fast      bool     // Java's options are those of kafka-server-start, a heap of 1 GB among them, for measuring; else those that start fast and take little
}

// StartNode starts a KRaft node and returns when its port answers.
func (k *Kafka) StartNode(ctx context.Context, o NodeOptions) (*Node, error) {
	if err := os.MkdirAll(o.Dir, 0o755); err != nil {
		return nil, err
	}
	file := filepath.Join(o.Dir, "server.properties")
	lines := append([]string{
		"process.roles=broker,controller",
		fmt.Sprintf("node.id=%d", o.NodeID),
		fmt.Sprintf("controller.quorum.voters=%d@localhost:%d", o.NodeID, o.Port+1),
		"controller.listener.names=CONTROLLER",
		fmt.Sprintf("listeners=PLAINTEXT://localhost:%d,CONTROLLER://localhost:%d", o.Port, o.Port+1),
		"log.dirs=" + o.DataDir,
		"offsets.topic.replication.factor=1",
		"transaction.state.log.replication.factor=1",
		"transaction.state.log.min.isr=1",
		"share.coordinator.state.topic.replication.factor=1",
		"share.coordinator.state.topic.min.isr=1",
	}, o.Extra...)
	if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o644); err != nil {
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(o.DataDir, "meta.properties")); errors.Is(err, os.ErrNotExist) {
		id := o.ClusterID
		if id == "" {
			id = "RefKafkaClusterId00000"
		}
		format, err := k.Tool(ctx, "storage", "format", "-t", id, "-c", file)
		if err != nil {
			return nil, err
		}
		if out, err := format.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("format %s: %w\n%s", o.DataDir, err, out)
		}
	}
	command := []string{"kafka.Kafka", file}
	if o.Fast {
		command = slices.Concat([]string{"-Xmx1G", "-Xms1G"}, fast, command)
	}
	return k.startNode(ctx, o.Dir, o.Port, command[0], command[1:]...)
}

// startNode starts a server's main class, whose log goes to DIR/server.log, and returns when its port answers.
func (k *Kafka) startNode(ctx context.Context, dir string, port int, main string, args ...string) (*Node, error) {
	n, err := k.launch(ctx, dir, port, main, args...)
	if err != nil {
		return nil, err
	}
	if err := n.wait(ctx, port); err != nil {
		n.Kill()
		return nil, err
	}
	return n, nil
}

// launch starts a server's main class and waits for nothing.
func (k *Kafka) launch(ctx context.Context, dir string, port int, main string, args ...string) (*Node, error) {
	n := &Node{Addr: fmt.Sprintf("localhost:%d", port), log: filepath.Join(dir, "server.log"), done: make(chan struct{})}
	out, err := os.OpenFile(n.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	n.cmd = k.Java(context.WithoutCancel(ctx), "", main, args...)
	n.cmd.Stdout, n.cmd.Stderr = out, out
	if err := n.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		n.err = n.cmd.Wait()
		close(n.done)
	}()
	return n, nil
}

func (n *Node) wait(ctx context.Context, port int) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		if c, err := net.Dial("tcp", "127.0.0.1:"+strconv.Itoa(port)); err == nil {
			return c.Close()
		}
		select {
		case <-n.done:
			return fmt.Errorf("reference node ended before its port answered: %v\n%s", n.err, n.Log())
		case <-ctx.Done():
			return fmt.Errorf("reference node did not answer on port %d: %w\n%s", port, ctx.Err(), n.Log())
		case <-tick.C:
		}
	}
}

// Stop ends the node as a user would, and waits for it; it is killed after half a minute.
func (n *Node) Stop() {
	_ = n.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-n.done:
	case <-time.After(30 * time.Second):
		n.Kill()
	}
}

// Signal sends the process a signal, as SIGSTOP.
func (n *Node) Signal(s syscall.Signal) error { return n.cmd.Process.Signal(s) }

// Kill ends the node at once.
func (n *Node) Kill() {
	_ = n.cmd.Process.Kill()
	<-n.done
}

// Pid is the process id of the node.
func (n *Node) Pid() int { return n.cmd.Process.Pid }

// Log is what the node wrote to its standard output and error.
func (n *Node) Log() string {
	text, err := os.ReadFile(n.log)
	if err != nil {
		return err.Error()
	}
	return string(text)
}
