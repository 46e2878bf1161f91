package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"gregor/test/client"
	"gregor/test/server"
)

// lines is what a process has written so far.
type lines struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// await waits until a text appears behind a position, and returns where it ends.
func (l *lines) await(t *testing.T, from int, pattern string) int {
	t.Helper()
	re := regexp.MustCompile(pattern)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for ctx := client.Context(t); ; {
		text := l.String()
		if at := re.FindStringIndex(text[from:]); at != nil {
			return from + at[1]
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("no %q in\n%s", pattern, text[from:])
		}
	}
}

// TestUpCluster is three brokers in one terminal: their status, one that is killed and started again by hand, and Ctrl-C.
func TestUpCluster(t *testing.T) {
	if server.Apache() || runtime.GOOS == "windows" {
		t.Skip("of our command, by a signal")
	}
	data := t.TempDir()
	up := exec.Command(server.Binary(t), "up", "--brokers", "3", "--data", data, "--port", "0")
	out := &lines{}
	up.Stdout, up.Stderr = out, out
	if err := up.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- up.Wait() }()
	ended := false
	defer func() {
		if !ended {
			up.Process.Kill()
			<-done
		}
		if t.Failed() {
			t.Log(out.String())
		}
	}()
	at := out.await(t, 0, `A Kafka cluster of 3 brokers listens at localhost:\d+,localhost:\d+,localhost:\d+`)
	seed := regexp.MustCompile(`localhost:\d+`).FindString(out.String())
	at = out.await(t, at, `controller \d \| brokers 1 2 3 of 3 \| topics 0 \| under-replicated 0\n`)
	tool := func(args ...string) string {
		t.Helper()
		r := server.Tool(client.Context(t), t, "", "topics", append([]string{"--bootstrap-server", seed}, args...)...)
		if r.Code != 0 {
			t.Errorf("topics %q: %s%s", args, r.Stdout, r.Stderr)
		}
		return r.Stdout
	}
	tool("--create", "--topic", "t", "--partitions", "6")
	at = out.await(t, at, `topics 1 \| under-replicated 0\n`)

	// By its id; but ids of other brokers of this machine may be the same, so not by kafka-server-stop.
	file := filepath.Join(data, "broker-2.properties")
	pid := regexp.MustCompile(`(?m)^(\d+)$`).FindString(run(t, "pgrep", "-f", "server-start "+file))
	if pid == "" {
		t.Skip("no pgrep here")
	}
	run(t, "kill", "-9", pid)
	at = out.await(t, at, `Broker 2 has ended \(signal: killed\)\. The others go on; to start it again: bin/kafka-server-start.sh `+regexp.QuoteMeta(file))
	at = out.await(t, at, `brokers 1 3 of 3 \| topics 1 \| under-replicated 6\n`)
	again := exec.Command(server.Binary(t), "server-start", file)
	if err := again.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		again.Process.Kill()
		again.Wait()
	}()
	at = out.await(t, at, `brokers 1 2 3 of 3 \| topics 1 \| under-replicated 0\n`)

	up.Process.Signal(os.Interrupt)
	select {
	case err := <-done:
		if err != nil {
			t.Errorf("up ended with %v", err)
		}
	case <-time.After(15 * time.Second):
		t.Fatal("up does not end on Ctrl-C")
	}
	ended = true
	out.await(t, at, `Stopped\. The data is kept in `)
	for id := 1; id <= 3; id += 2 {
		if !exists(filepath.Join(data, fmt.Sprintf("broker-%d", id), ".kafka_cleanshutdown")) {
			t.Errorf("broker %d did not end cleanly", id)
		}
	}
}

// TestUpClusterEndsWithItsParent: brokers do not outlive an up that was killed.
func TestUpClusterEndsWithItsParent(t *testing.T) {
	if server.Apache() || runtime.GOOS == "windows" {
		t.Skip("of our command")
	}
	data := t.TempDir()
	up := exec.Command(server.Binary(t), "up", "--brokers", "2", "--data", data, "--port", "0")
	out := &lines{}
	up.Stdout = out
	if err := up.Start(); err != nil {
		t.Fatal(err)
	}
	out.await(t, 0, `brokers 1 2 of 2`)
	up.Process.Kill()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for ctx := client.Context(t); !exists(filepath.Join(data, "broker-1", ".kafka_cleanshutdown")) || !exists(filepath.Join(data, "broker-2", ".kafka_cleanshutdown")); <-tick.C {
		if ctx.Err() != nil {
			t.Fatal("the brokers live on")
		}
	}
	up.Wait()
}

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, _ := exec.CommandContext(client.Context(t), name, args...).Output()
	return string(out)
}
