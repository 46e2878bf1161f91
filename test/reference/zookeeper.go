package reference

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// ZooKeeperOptions says how an Apache ZooKeeper server runs.
type ZooKeeperOptions struct {
	Dir      string   // configuration and process log
	DataDir  string   // dataDir; empty: DIR/data
	Port     int      // clientPort
	Extra    []string // further key=value lines; a key given here replaces the default
	Existing string   // a configuration file to run as it is; Dir is then only for the log

	Properties []string // Java system properties, key=value
	Heap       string   // as 256m; empty: $HEAP
	Fast       bool     // Java's options are those of Kafka's scripts, for measuring; else those that start fast and take little
}

// command is the server's, with its options.
func (o ZooKeeperOptions) command(file string) (main string, args []string) {
	var options []string
	if o.Heap != "" {
		options = append(options, "-Xmx"+o.Heap)
	}
	if o.Fast {
		options = append(options, fast...)
	}
	for _, p := range o.Properties {
		options = append(options, "-D"+p)
	}
	all := append(options, zooKeeperMain, file)
	return all[0], all[1:]
}

// ZooKeeperDefaults are the lines of every server's configuration but those whose key is in extra. Ticks are short, so
// that sessions may be.
func ZooKeeperDefaults(extra []string) []string {
	return slices.DeleteFunc([]string{"tickTime=500", "maxClientCnxns=0", "admin.enableServer=false", "4lw.commands.whitelist=*"}, func(line string) bool {
		key, _, _ := strings.Cut(line, "=")
		return slices.ContainsFunc(extra, func(own string) bool { return strings.HasPrefix(own, key+"=") })
	})
}

// StartZooKeeper starts a standalone Apache ZooKeeper, and returns when its port answers. The release is one that has
// ZooKeeper's jars: VersionZooKeeper.
func (k *Kafka) StartZooKeeper(ctx context.Context, o ZooKeeperOptions) (*Node, error) {
	file := o.Existing
	if file == "" {
		var err error
		if file, err = o.write(nil); err != nil {
			return nil, err
		}
	}
	main, args := o.command(file)
	n, err := k.startNode(ctx, o.Dir, o.Port, main, args...)
	if err != nil {
		return nil, err
	}
	if err := n.serves(ctx); err != nil {
		n.Kill()
		return nil, err
	}
	return n, nil
}

// serves waits until a ZooKeeper server has a tree to serve: its port answers before that.
func (n *Node) serves(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		// A server that is asked in a certain moment of its start never answers that connection.
		ask, enough := context.WithTimeout(ctx, time.Second)
		answer, err := FourLetterWord(ask, n.Addr, "srvr")
		enough()
		if err == nil && strings.Contains(answer, "Mode: ") {
			return nil
		}
		select {
		case <-n.done:
			return fmt.Errorf("%s ended before it served: %v\n%s", n.Addr, n.err, n.Log())
		case <-ctx.Done():
			return fmt.Errorf("%s does not serve: %w: %q, %v\n%s", n.Addr, ctx.Err(), answer, err, n.Log())
		case <-tick.C:
		}
	}
}

// FourLetterWord asks a ZooKeeper server one of its four-letter words.
func FourLetterWord(ctx context.Context, addr, word string) (string, error) {
	c, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return "", err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { _ = c.Close() })()
	if _, err := c.Write([]byte(word)); err != nil {
		return "", err
	}
	answer, err := io.ReadAll(c)
	return string(answer), err
}

// Main classes: of the server, and of zookeeper-shell, which wants "-server", "HOST:PORT" before its command.
const (
	zooKeeperMain  = "org.apache.zookeeper.server.quorum.QuorumPeerMain"
	ZooKeeperShell = "org.apache.zookeeper.ZooKeeperMainWithTlsSupportForKafka"
)

// write writes the configuration and returns its path.
func (o *ZooKeeperOptions) write(ensemble []string) (string, error) {
	if o.DataDir == "" {
		o.DataDir = filepath.Join(o.Dir, "data")
	}
	if err := errors.Join(os.MkdirAll(o.Dir, 0o755), os.MkdirAll(o.DataDir, 0o755)); err != nil {
		return "", err
	}
	lines := []string{"dataDir=" + o.DataDir, fmt.Sprintf("clientPort=%d", o.Port)}
	lines = append(lines, ZooKeeperDefaults(o.Extra)...)
	lines = append(append(lines, ensemble...), o.Extra...)
	file := filepath.Join(o.Dir, "zoo.cfg")
	return file, os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o644)
}

// Ensemble is Apache ZooKeeper servers 1 to n that replicate.
type Ensemble struct {
	kafka   *Kafka
	options []ZooKeeperOptions
	files   []string
	Nodes   []*Node // Nodes[0] is server 1; a killed one stays here until Restart replaces it
}

// StartEnsemble starts an ensemble of n servers with client ports Port, Port+1, ...; it takes the 2n ports after these for
// replication and election. It returns when every server answers as a member of the quorum.
func (k *Kafka) StartEnsemble(ctx context.Context, n int, o ZooKeeperOptions) (*Ensemble, error) {
	lines := []string{"initLimit=40", "syncLimit=20"}
	for i := range n {
		lines = append(lines, fmt.Sprintf("server.%d=localhost:%d:%d", i+1, o.Port+n+2*i, o.Port+n+2*i+1))
	}
	e := &Ensemble{kafka: k, Nodes: make([]*Node, n)}
	for i := range n {
		each := ZooKeeperOptions{Dir: filepath.Join(o.Dir, fmt.Sprint(i+1)), Port: o.Port + i, Extra: o.Extra, Properties: o.Properties, Heap: o.Heap}
		file, err := each.write(lines)
		if err == nil {
			err = os.WriteFile(filepath.Join(each.DataDir, "myid"), fmt.Appendln(nil, i+1), 0o644)
		}
		if err != nil {
			return nil, err
		}
		e.options, e.files = append(e.options, each), append(e.files, file)
	}
	for i := range n {
		if err := e.Restart(ctx, i); err != nil {
			e.Kill()
			return nil, err
		}
	}
	for i, node := range e.Nodes {
		err := node.wait(ctx, e.options[i].Port)
		if err == nil {
			err = node.serves(ctx)
		}
		if err != nil {
			e.Kill()
			return nil, err
		}
	}
	return e, nil
}

// Restart starts server Nodes[i], after a Kill of it, and does not wait: it serves when it has found the others.
func (e *Ensemble) Restart(ctx context.Context, i int) (err error) {
	main, args := e.options[i].command(e.files[i])
	e.Nodes[i], err = e.kafka.launch(ctx, e.options[i].Dir, e.options[i].Port, main, args...)
	return err
}

// Addrs are the servers' client addresses.
func (e *Ensemble) Addrs() (addrs []string) {
	for _, o := range e.options {
		addrs = append(addrs, fmt.Sprintf("localhost:%d", o.Port))
	}
	return addrs
}

// Kill ends every server at once.
func (e *Ensemble) Kill() {
	for _, n := range e.Nodes {
		if n != nil {
			n.Kill()
		}
	}
}

// BrokerOptions says how a broker on ZooKeeper runs.
type BrokerOptions struct {
	Dir       string // properties file and process log; log.dirs is DIR/data
	Port      int
	ID        int
	ZooKeeper string   // zookeeper.connect
	Extra     []string // further key=value lines
	Heap      string   // as 256m; empty: $HEAP
}

// StartBroker starts a broker of a release that runs on ZooKeeper, and returns when its port answers.
func (k *Kafka) StartBroker(ctx context.Context, o BrokerOptions) (*Node, error) {
	if err := os.MkdirAll(o.Dir, 0o755); err != nil {
		return nil, err
	}
	lines := append([]string{
		fmt.Sprintf("broker.id=%d", o.ID),
		fmt.Sprintf("listeners=PLAINTEXT://localhost:%d", o.Port),
		"log.dirs=" + filepath.Join(o.Dir, "data"),
		"zookeeper.connect=" + o.ZooKeeper,
		"group.initial.rebalance.delay.ms=0",
	}, o.Extra...)
	file := filepath.Join(o.Dir, "server.properties")
	if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o644); err != nil {
		return nil, err
	}
	main, args := "kafka.Kafka", []string{file}
	if o.Heap != "" {
		main, args = "-Xmx"+o.Heap, []string{main, file}
	}
	return k.startNode(ctx, o.Dir, o.Port, main, args...)
}
