package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

const (
	// controllerPorts is how far a node's port for the quorum is above its port for clients.
	controllerPorts = 10_000
	// upPatience is how long a cluster that starts may take before up says what it waits for, and how long one that ends
	// may take before it is killed.
	upPatience   = 15 * time.Second
	maxUpBrokers = 50
	maxUpQuorum  = 5 // of more brokers than these, only the first are controllers too
	upReplicas   = 3
	upInSync     = 2
)

// upLayout is where the brokers of a cluster of up listen and keep their data.
type upLayout struct {
	brokers     int
	dir         string
	clientPorts []int
	quorumPorts []int
}

// layOut chooses ports: port, port+1, ... and those 10000 above for the quorum; free ones if port is 0.
func layOut(brokers, port int, dir string) (upLayout, error) {
	l := upLayout{brokers: brokers, dir: dir}
	for i := range brokers {
		client, quorum := port+i, port+i+controllerPorts
		if port == 0 {
			var err error
			if client, quorum, err = twoFreePorts(); err != nil {
				return l, err
			}
		}
		if quorum > 65535 {
			return l, Usagef("--port %d: the brokers' quorum listens at ports %d above theirs, so it must be at most %d", port, controllerPorts, 65535-controllerPorts-brokers+1)
		}
		l.clientPorts, l.quorumPorts = append(l.clientPorts, client), append(l.quorumPorts, quorum)
	}
	return l, nil
}

func twoFreePorts() (a, b int, err error) {
	first, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		return 0, 0, err
	}
	defer first.Close()
	second, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		return 0, 0, err
	}
	defer second.Close()
	return first.Addr().(*net.TCPAddr).Port, second.Addr().(*net.TCPAddr).Port, nil
}

func (l upLayout) seeds() (addrs []string) {
	for _, p := range l.clientPorts {
		addrs = append(addrs, net.JoinHostPort("localhost", strconv.Itoa(p)))
	}
	return addrs
}

func (l upLayout) voters() string {
	var list []string
	for i, p := range l.quorumPorts[:min(l.brokers, maxUpQuorum)] {
		list = append(list, fmt.Sprintf("%d@localhost:%d", i+1, p))
	}
	return strings.Join(list, ",")
}

// file is where the properties of a broker are.
func (l upLayout) file(id int) string {
	return filepath.Join(l.dir, fmt.Sprintf("broker-%d.properties", id))
}

// properties is the configuration of a broker. It is a file, so that the broker can be started again by hand.
func (l upLayout) properties(id int) []byte {
	var b bytes.Buffer
	set := func(key, value string) { fmt.Fprintf(&b, "%s=%s\n", key, value) }
	fmt.Fprintf(&b, "# Broker %d of the cluster that `gregor up --brokers %d` starts, which writes this file anew.\n", id, l.brokers)
	set("node.id", strconv.Itoa(id))
	listeners := fmt.Sprintf("PLAINTEXT://localhost:%d", l.clientPorts[id-1])
	if id <= maxUpQuorum {
		set("process.roles", "broker,controller")
		listeners += fmt.Sprintf(",CONTROLLER://localhost:%d", l.quorumPorts[id-1])
	} else {
		set("process.roles", "broker")
	}
	set("controller.quorum.voters", l.voters())
	set("controller.listener.names", "CONTROLLER")
	set("listeners", listeners)
	set("inter.broker.listener.name", "PLAINTEXT")
	set("log.dirs", filepath.ToSlash(filepath.Join(l.dir, fmt.Sprintf("broker-%d", id))))
	replicas, inSync := min(upReplicas, l.brokers), min(upInSync, l.brokers-1)
	set("default.replication.factor", strconv.Itoa(replicas))
	set("min.insync.replicas", strconv.Itoa(inSync))
	set("offsets.topic.replication.factor", strconv.Itoa(replicas))
	set("transaction.state.log.replication.factor", strconv.Itoa(replicas))
	set("transaction.state.log.min.isr", strconv.Itoa(inSync))
	set("group.initial.rebalance.delay.ms", "0")
	return b.Bytes()
}

// write makes the directory and the files of all brokers.
func (l upLayout) write() error {
	if _, err := os.Stat(filepath.Join(l.dir, "meta.properties")); err == nil {
		return fmt.Errorf("%s holds the data of a single broker; use another directory for a cluster (gregor up --brokers %d --data DIR)", l.dir, l.brokers)
	}
	if err := os.MkdirAll(l.dir, 0o755); err != nil {
		return err
	}
	for id := 1; id <= l.brokers; id++ {
		if err := os.WriteFile(l.file(id), l.properties(id), 0o644); err != nil {
			return err
		}
	}
	// Voters that are not there any more would be missed: a cluster keeps its size.
	if _, err := os.Stat(l.file(l.brokers + 1)); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s holds the data of a cluster of more than %d brokers; start as many again, or use another directory (gregor up --brokers %d --data DIR)", l.dir, l.brokers, l.brokers)
	}
	return nil
}

// runUpCluster starts a cluster of several brokers on this machine, each a process of its own, and shows it until ctx
// ends or no broker is left.
func runUpCluster(ctx context.Context, l upLayout, data, level string, io IO) int {
	began := time.Now()
	fail := func(err error) int {
		fmt.Fprintln(io.Err, "gregor up:", upHint(err, l.clientPorts[0]))
		return 1
	}
	if err := l.write(); err != nil {
		return fail(err)
	}
	self, err := os.Executable()
	if err != nil {
		return fail(err)
	}
	s := &screen{out: io.Out, terminal: isTerminal(io.Out), width: func() int { return columns(io.Out) }}
	var nodes []*upNode
	for id := 1; id <= l.brokers; id++ {
		w, end := s.prefixed(fmt.Sprintf("[%d] ", id))
		n, err := startNode(self, id, l.file(id), level, w, end)
		if err != nil {
			endCluster(s, nodes)
			return fail(err)
		}
		nodes = append(nodes, n)
	}
	return showCluster(ctx, s, l, nodes, data, began)
}

// showCluster shows the cluster until it ends.
func showCluster(ctx context.Context, s *screen, l upLayout, nodes []*upNode, data string, began time.Time) int {
	watching, stop := context.WithCancel(ctx)
	statuses := make(chan clusterStatus)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		watchCluster(watching, l.seeds(), l.brokers, func(c clusterStatus) {
			select {
			case statuses <- c:
			case <-watching.Done():
			}
		})
	}()
	ended := make(chan *upNode, len(nodes))
	for _, n := range nodes {
		go func() { <-n.done; ended <- n }()
	}
	slow := time.NewTimer(upPatience)
	defer slow.Stop()
	serves, left, code := false, len(nodes), 0
	for code == 0 && left > 0 && ctx.Err() == nil {
		select {
		case c := <-statuses:
			if !serves && len(c.brokers) < l.brokers {
				continue
			}
			if !serves {
				serves = true
				s.line(upClusterText(l, data, time.Since(began)))
			}
			s.setStatus(c.String())
		case n := <-ended:
			left--
			if ctx.Err() != nil {
				break
			}
			if !serves {
				s.line(fmt.Sprintf("Broker %d has ended before the cluster was there (%s).", n.id, n.how()))
				code = 1
				break
			}
			s.line(fmt.Sprintf("Broker %d has ended (%s). The others go on; to start it again: bin/kafka-server-start.sh %s", n.id, n.how(), n.file))
		case <-slow.C:
			if !serves {
				s.line("The brokers have not formed a cluster yet; their logs are above, --log-level INFO shows more.")
			}
		case <-ctx.Done():
		}
	}
	stop()
	<-watched
	s.setStatus("")
	if left == 0 && ctx.Err() == nil {
		s.line("No broker is left.")
		code = 1
	}
	endCluster(s, nodes)
	if code == 0 {
		s.line("Stopped. The data is kept in " + data + ".")
	}
	return code
}

// endCluster ends all brokers and waits for them.
func endCluster(s *screen, nodes []*upNode) {
	var children []*child
	for _, n := range nodes {
		children = append(children, n.child)
	}
	for _, i := range endChildren(children, upPatience) {
		s.line(fmt.Sprintf("Broker %d did not end within %v and was killed.", nodes[i].id, upPatience))
	}
}

func upClusterText(l upLayout, data string, took time.Duration) string {
	seeds := strings.Join(l.seeds(), ",")
	return fmt.Sprintf(`A Kafka cluster of %[1]d brokers listens at %[2]s; its data is in %[3]s (started in %[4]d ms).

Type next, in a second terminal:

  bin/kafka-topics.sh --bootstrap-server %[5]s --create --topic hello --partitions 3
  bin/kafka-topics.sh --bootstrap-server %[5]s --describe --topic hello
  bin/kafka-metadata-quorum.sh --bootstrap-server %[5]s describe --status

Or end a broker the hard way, and see the others go on: SIGNAL=KILL bin/kafka-server-stop.sh --node-id=2
Ctrl-C ends all of them.
`, l.brokers, seeds, data, took.Milliseconds(), l.seeds()[0])
}
