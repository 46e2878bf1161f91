package interop

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"gregor/test/client"
	"gregor/test/server"
)

// TestJavaClientsOnCluster runs Apache Kafka's clients against three brokers. They are given one of them, so the others
// are found by what it says of them.
func TestJavaClientsOnCluster(t *testing.T) {
	t.Parallel()
	k := kafka(t)
	classes, err := k.Compile(t.Context(), filepath.Join("java", "Clients.java"))
	if err != nil {
		t.Fatal(err)
	}
	c := server.StartCluster(t, server.ClusterOptions{})
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	out, err := k.Java(ctx, classes, "Clients", c.Node(2).Addr).CombinedOutput()
	t.Logf("\n%s", out)
	if err != nil || !strings.Contains(string(out), "all clients agree") {
		t.Error("Apache Kafka's clients do not work on a cluster as they should:", err)
	}
}

// TestJavaClientsThroughFailover kills every broker in turn under Apache Kafka's producer and consumer group, and ends
// each once as a service manager does.
func TestJavaClientsThroughFailover(t *testing.T) {
	k := kafka(t)
	classes, err := k.Compile(t.Context(), filepath.Join("java", "Failover.java"))
	if err != nil {
		t.Fatal(err)
	}
	c := server.StartCluster(t, server.ClusterOptions{})
	admin := kadm.NewClient(client.New(t, c.Node(1).Addr))
	minISR := "2"
	if _, err := admin.CreateTopic(client.Context(t), 3, 3, map[string]*string{"min.insync.replicas": &minISR}, "failover"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	cmd := k.Java(ctx, classes, "Failover", strings.Join(c.Addrs(), ","), "failover")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var acknowledged, seen atomic.Int64
	var result strings.Builder
	read := make(chan struct{})
	go func() {
		defer close(read)
		for lines := bufio.NewScanner(stdout); lines.Scan(); {
			var a, s int64
			if n, _ := fmt.Sscanf(lines.Text(), "acknowledged %d seen %d", &a, &s); n == 2 {
				acknowledged.Store(a)
				seen.Store(s)
			} else {
				fmt.Fprintln(&result, lines.Text())
			}
		}
	}()
	goOn := func(what string) {
		t.Helper()
		began, a, s := time.Now(), acknowledged.Load()+300, seen.Load()+300
		for acknowledged.Load() < a || seen.Load() < s {
			select {
			case <-read:
				t.Fatalf("the clients ended\n%s", result.String())
			case <-time.After(20 * time.Millisecond):
			}
			if time.Since(began) > time.Minute {
				t.Fatalf("%s: within a minute acknowledged %d of %d, seen %d of %d", what, acknowledged.Load(), a, seen.Load(), s)
			}
		}
		t.Logf("%s: 300 more acknowledged and seen after %v", what, time.Since(began).Round(time.Millisecond))
	}
	goOn("start")
	for id := int32(1); id <= 3; id++ {
		c.Node(id).Kill()
		goOn(fmt.Sprintf("node %d was killed", id))
		c.Node(id).Restart(t)
		awaitInSync(t, admin)
	}
	for id := int32(1); id <= 3; id++ {
		if err := c.Node(id).Stop(); err != nil {
			t.Fatal(err)
		}
		goOn(fmt.Sprintf("node %d was ended", id))
		c.Node(id).Restart(t)
		awaitInSync(t, admin)
	}
	if _, err := io.WriteString(stdin, "\n"); err != nil {
		t.Fatal(err)
	}
	<-read
	err = cmd.Wait()
	t.Logf("%s", result.String())
	if err != nil || !strings.Contains(result.String(), "nothing is lost") {
		t.Error("Apache Kafka's clients lost something:", err)
	}
}

// awaitInSync waits until every partition has all of its replicas in sync.
func awaitInSync(t *testing.T, admin *kadm.Client) {
	t.Helper()
	var err error
	for deadline := time.Now().Add(time.Minute); ; {
		if err = client.Whole(client.Context(t), admin, 3); err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		<-time.After(20 * time.Millisecond)
	}
}
