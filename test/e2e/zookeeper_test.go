package e2e

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"gregor/test/client"
	"gregor/test/server"
	"gregor/test/zookeeper"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// sessionTimeout is what the brokers of these tests ask for; ZooKeeper's ticks of half a second allow it.
const sessionTimeout = 2 * time.Second

// startOnZooKeeper starts a ZooKeeper and three brokers on it.
func startOnZooKeeper(t *testing.T, extra ...string) (*zookeeper.Any, *server.Cluster) {
	t.Helper()
	if server.Apache() {
		t.Skip("a cluster of ours")
	}
	z := zookeeper.StartAny(t)
	c := server.StartCluster(t, server.ClusterOptions{ZooKeeper: z.Connect, Extra: append([]string{
		fmt.Sprintf("zookeeper.session.timeout.ms=%d", sessionTimeout.Milliseconds()), "zookeeper.connection.timeout.ms=20000",
	}, extra...)})
	return z, c
}

// controllerOf is the active controller, as a client is told.
func controllerOf(t *testing.T, c *server.Cluster) int32 {
	t.Helper()
	cl := clusterClient(t, c)
	defer cl.Close()
	return controllerBut(t, cl, -1)
}

// controllerBut waits until the active controller is another broker than this one.
func controllerBut(t *testing.T, cl *kgo.Client, not int32) int32 {
	t.Helper()
	var id int32
	until(t, func() error {
		m, err := kadm.NewClient(cl).BrokerMetadata(t.Context())
		if err == nil && (m.Controller < 0 || m.Controller == not) {
			err = fmt.Errorf("the controller is %d", m.Controller)
		}
		id = m.Controller
		return err
	})
	return id
}

// change has the controller change something: it makes a topic.
func change(t *testing.T, c *server.Cluster, topic string, through ...int32) {
	t.Helper()
	addrs := c.Addrs()
	if len(through) > 0 {
		addrs = nil
		for _, id := range through {
			addrs = append(addrs, c.Node(id).Addr)
		}
	}
	// Not by the client's own routing, which goes to the controller that it knows, be it paused.
	cl := client.New(t, addrs[0], kgo.SeedBrokers(addrs...), kgo.RequestTimeoutOverhead(time.Second))
	defer cl.Close()
	req := kmsg.NewPtrCreateTopicsRequest()
	req.TimeoutMillis = 3000
	tt := kmsg.NewCreateTopicsRequestTopic()
	tt.Topic, tt.NumPartitions, tt.ReplicationFactor = topic, 3, 2
	req.Topics = append(req.Topics, tt)
	next := 0
	until(t, func() error {
		next++
		resp, err := cl.SeedBrokers()[next%len(addrs)].Request(t.Context(), req)
		if err == nil {
			err = kerr.ErrorForCode(resp.(*kmsg.CreateTopicsResponse).Topics[0].ErrorCode)
		}
		if errors.Is(err, kerr.TopicAlreadyExists) {
			return nil // the answer to the first try got lost
		}
		return err
	})
}

// sameEverywhere waits until every broker knows the same topics, with the same leaders.
func sameEverywhere(t *testing.T, c *server.Cluster) {
	t.Helper()
	until(t, func() error {
		first := ""
		for i, s := range c.Nodes {
			text, err := describeAt(t.Context(), s.Addr)
			if err != nil {
				return err
			}
			if i == 0 {
				first = text
			} else if text != first {
				return fmt.Errorf("broker %d knows\n%s\nand broker 1\n%s", i+1, text, first)
			}
		}
		return nil
	})
}

// describeAt is all topics as one broker sees them.
func describeAt(ctx context.Context, addr string) (string, error) {
	cl, err := kgo.NewClient(kgo.SeedBrokers(addr))
	if err != nil {
		return "", err
	}
	defer cl.Close()
	m, err := kadm.NewClient(cl).Metadata(ctx)
	var b strings.Builder
	for _, t := range m.Topics.Sorted() {
		for _, p := range t.Partitions.Sorted() {
			fmt.Fprintf(&b, "%s-%d leader %d/%d ISR %v\n", t.Topic, p.Partition, p.Leader, p.LeaderEpoch, p.ISR)
		}
	}
	return b.String(), err
}

// TestZooKeeperControllerKilled: the process of the active controller ends, and long before ZooKeeper has ended its session
// another one has taken over. Nobody waits for a session's end.
func TestZooKeeperControllerKilled(t *testing.T) {
	_, c := startOnZooKeeper(t, "zookeeper.session.timeout.ms=10000")
	l := startLoad(t, c, "t", 3)
	for round := range 3 {
		id := controllerOf(t, c)
		l.longestGap()
		began := time.Now()
		c.Node(id).Kill()
		change(t, c, fmt.Sprintf("after-%d", round), others(id)...)
		took := time.Since(began)
		l.more(20)
		gap := l.longestGap()
		t.Logf("controller %d was killed: the next one made a topic after %v; nothing was acknowledged for %v", id, took.Round(time.Millisecond), gap.Round(time.Millisecond))
		if took > failoverBound || gap > failoverBound {
			t.Errorf("it took %v until the next controller, and %v until the next acknowledgement", took, gap)
		}
		c.Node(id).Restart(t)
		until(t, func() error { return client.Whole(t.Context(), kadm.NewClient(l.client), 3) })
	}
	sameEverywhere(t, c)
	l.check()
}

func others(id int32) []int32 { return []int32{id%3 + 1, (id+1)%3 + 1} }

// TestZooKeeperAway: ZooKeeper ends for several session timeouts. Brokers go on serving what they lead; when it is back,
// topics can be made again, and nobody had to be restarted.
func TestZooKeeperAway(t *testing.T) {
	z, c := startOnZooKeeper(t)
	l := startLoad(t, c, "t", 3)
	for _, away := range []time.Duration{0, 3 * sessionTimeout} {
		l.longestGap()
		z.Kill()
		for began := time.Now(); time.Since(began) < away; {
			l.more(20)
		}
		l.more(20)
		if gap := l.longestGap(); gap > 2*time.Second {
			t.Errorf("while ZooKeeper was away nothing was acknowledged for %v", gap)
		}
		z.Restart(t)
		change(t, c, fmt.Sprintf("after-%v", away))
		l.more(20)
	}
	until(t, func() error { return client.Whole(t.Context(), kadm.NewClient(l.client), 3) })
	sameEverywhere(t, c)
	l.check()
}

// TestZooKeeperSessionExpires: a broker stands still until its session has expired, and wakes up: first one that is only a
// broker, then the active controller, which was deposed meanwhile. It finds out and follows; what it had still on its way
// fails.
func TestZooKeeperSessionExpires(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("processes cannot be paused")
	}
	t.Parallel() // most of it is waiting
	_, c := startOnZooKeeper(t, "broker.session.timeout.ms=4000", "broker.heartbeat.interval.ms=500")
	l := startLoad(t, c, "t", 3)
	cl := clusterClient(t, c)
	controller := controllerBut(t, cl, -1)
	for i, id := range []int32{controller%3 + 1, controller} {
		pause(t, c.Node(id))
		// Somebody else decides: at once if the controller goes on, when its session is over if not.
		change(t, c, fmt.Sprintf("meanwhile-%d", i), others(id)...)
		next := controller
		if id == controller {
			next = controllerSeenBy(t, c, others(id)[0], id)
		}
		l.more(20)
		began := time.Now()
		until(t, func() error { // and the session of the one that is paused is over
			if gone := 2*sessionTimeout + time.Second; time.Since(began) < gone {
				return fmt.Errorf("paused for less than %v", gone)
			}
			return nil
		})
		wake(t, c.Node(id))
		change(t, c, fmt.Sprintf("through-%d", i), id)
		until(t, func() error { return client.Whole(t.Context(), kadm.NewClient(l.client), 3) })
		sameEverywhere(t, c)
		for n := int32(1); n <= 3; n++ {
			if now := controllerSeenBy(t, c, n, -1); now != next {
				t.Errorf("broker %d woke up; broker %d says that the controller is %d, not %d", id, n, now, next)
			}
		}
		l.more(20)
	}
	l.check()
}

// controllerSeenBy is the active controller as one broker says, when it is another one than this.
func controllerSeenBy(t *testing.T, c *server.Cluster, by, not int32) int32 {
	t.Helper()
	cl := client.New(t, c.Node(by).Addr)
	defer cl.Close()
	return controllerBut(t, cl, not)
}

// TestZooKeeperAllRestart: everything ends, cleanly or by kill -9, ZooKeeper too, and starts again. Nobody waits for the end
// of a session of before, and nothing is lost.
func TestZooKeeperAllRestart(t *testing.T) {
	z, c := startOnZooKeeper(t, "zookeeper.session.timeout.ms=10000")
	l := startLoad(t, c, "t", 3)
	for _, how := range []string{"SIGTERM", "kill -9", "kill -9 of the brokers alone"} {
		l.more(20)
		began := time.Now()
		var wg sync.WaitGroup
		for _, s := range c.Nodes {
			wg.Go(func() {
				if how != "SIGTERM" {
					s.Kill()
				} else if err := s.Stop(); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		ended := time.Since(began)
		if how != "kill -9 of the brokers alone" {
			z.Kill()
			z.Restart(t)
		}
		began = time.Now()
		for _, s := range c.Nodes {
			wg.Go(func() { s.Restart(t) })
		}
		wg.Wait()
		l.more(20)
		until(t, func() error { return client.Whole(t.Context(), kadm.NewClient(l.client), 3) })
		took := time.Since(began)
		t.Logf("%s: ended within %v, everything is in sync %v after the start of the brokers", how, ended.Round(time.Millisecond), took.Round(time.Millisecond))
		if took > failoverBound {
			t.Errorf("%s: the cluster is whole only %v after its start", how, took)
		}
	}
	sameEverywhere(t, c)
	l.check()
}

// TestZooKeeperWipedBroker: a broker loses its disk and starts with an empty directory. It has everything again.
func TestZooKeeperWipedBroker(t *testing.T) {
	_, c := startOnZooKeeper(t, "zookeeper.session.timeout.ms=10000")
	l := startLoad(t, c, "t", 3)
	for id := int32(1); id <= 3; id++ {
		s := c.Node(id)
		s.Kill()
		if err := os.RemoveAll(s.Dir); err != nil {
			t.Fatal(err)
		}
		l.more(20)
		began := time.Now()
		s.Restart(t)
		until(t, func() error { return client.Whole(t.Context(), kadm.NewClient(l.client), 3) })
		if took := time.Since(began); took > failoverBound {
			t.Errorf("broker %d has everything again only after %v", id, took)
		}
	}
	l.check()
}

// TestZooKeeperSameID: a second broker of the same id is refused, and told where the first one answers. A broker whose
// directory belongs to a cluster that this ZooKeeper does not know is refused too.
func TestZooKeeperSameID(t *testing.T) {
	z, c := startOnZooKeeper(t)
	l := startLoad(t, c, "t", 3)
	first := c.Node(2)
	file := filepath.Join(t.TempDir(), "server.properties")
	write := func(lines ...string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("broker.id=2", fmt.Sprintf("listeners=PLAINTEXT://localhost:%d", server.FreePort(t)), "log.dirs="+t.TempDir(), "zookeeper.connect="+z.Connect)
	refused := server.Tool(client.Context(t), t, "", "server-start", file)
	host, port, _ := net.SplitHostPort(first.Addr)
	for _, want := range []string{"2", host + ":" + port, "an id of its own"} {
		if text := refused.Stdout + refused.Stderr; refused.Code == 0 || !strings.Contains(text, want) {
			t.Errorf("exit code %d, want %q in\n%s", refused.Code, want, text)
		}
	}
	l.more(20)
	s := c.Node(3)
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
	write("broker.id=3", fmt.Sprintf("listeners=PLAINTEXT://localhost:%d", s.Port), "log.dirs="+s.Dir, "zookeeper.connect="+z.Connect+"/elsewhere")
	refused = server.Tool(client.Context(t), t, "", "server-start", file)
	if text := refused.Stdout + refused.Stderr; refused.Code == 0 || !strings.Contains(text, "knows of no cluster") || !strings.Contains(text, "correct zookeeper.connect") {
		t.Errorf("another ZooKeeper: exit code %d\n%s", refused.Code, text)
	}
	s.Restart(t)
	l.check()
}
