package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"gregor/test/client"
	"gregor/test/server"

	"github.com/twmb/franz-go/pkg/kadm"
)

// TestDaemon: a broker in the background serves when the script returns, a second one is refused with the first one's
// process id, and kafka-server-stop ends the one whose node id it is given.
func TestDaemon(t *testing.T) {
	if server.Apache() || runtime.GOOS == "windows" {
		t.Skip("bin/ is for our broker, and needs a shell")
	}
	dir, port := t.TempDir(), server.FreePort(t)
	id := 1_000_000 + os.Getpid() // nobody else's broker is to be ended
	file := filepath.Join(dir, "server.properties")
	text := fmt.Sprintf("node.id=%d\nlisteners=PLAINTEXT://localhost:%d\nlog.dirs=%s\n", id, port, filepath.Join(dir, "data"))
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	script := func(name string, args ...string) (string, error) {
		cmd := exec.CommandContext(client.Context(t), filepath.Join(server.Root(), "bin", name), args...)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	if out, err := script("kafka-server-start.sh", "-daemon", "server.properties"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	stopped := false
	defer func() {
		if !stopped {
			script("kafka-server-stop.sh", fmt.Sprintf("--node-id=%d", id))
		}
	}()
	admin := kadm.NewClient(client.New(t, fmt.Sprintf("localhost:%d", port)))
	if _, err := admin.ListBrokers(client.Context(t)); err != nil {
		t.Error(err)
	}
	out, err := script("kafka-server-start.sh", "-daemon", "server.properties")
	if err == nil || !strings.Contains(out, fmt.Sprintf("PLAINTEXT://localhost:%d is held by ", port)) || runtime.GOOS == "linux" && !strings.Contains(out, "held by process ") {
		t.Errorf("the second start: %v\n%s", err, out)
	}
	if out, err := script("kafka-server-stop.sh", fmt.Sprintf("--node-id=%d", id+1)); err == nil || out != "No kafka server to stop\n" {
		t.Errorf("stop of nobody: %v\n%s", err, out)
	}
	if out, err := script("kafka-server-stop.sh", fmt.Sprintf("--node-id=%d", id)); err != nil || out != "" {
		t.Errorf("stop: %v\n%s", err, out)
	}
	stopped = true
	deadline := time.After(10 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		log, err := os.ReadFile(filepath.Join(dir, "logs", "kafkaServer.out"))
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(log), "[node] stopped") {
			break
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("the broker does not end:\n%s", log)
		}
	}
}
