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
)

// TestZookeeperDaemon: a ZooKeeper server in the background serves when the script returns; a second one on its port, or
// in its directory, is refused with the first one's process id; zookeeper-server-stop ends the one whose port it is given.
func TestZookeeperDaemon(t *testing.T) {
	if server.Apache() || runtime.GOOS == "windows" {
		t.Skip("bin/ is for our server, and needs a shell")
	}
	home, dir, port := newHome(t), t.TempDir(), server.FreePort(t)
	write := func(name string, port int, data string) {
		text := fmt.Sprintf("clientPort=%d\nclientPortAddress=localhost\ndataDir=%s\n", port, filepath.Join(dir, data))
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("first.properties", port, "data")
	write("port.properties", port, "other")
	write("dir.properties", server.FreePort(t), "data")
	script := func(name string, args ...string) (string, error) {
		cmd := exec.CommandContext(client.Context(t), filepath.Join(home, "bin", name), args...)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	if out, err := script("zookeeper-server-start.sh", "-daemon", "first.properties"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	stopped := false
	defer func() {
		if !stopped {
			script("zookeeper-server-stop.sh", fmt.Sprintf("--port=%d", port))
		}
	}()
	shell := func(args ...string) string {
		t.Helper()
		out, err := script("zookeeper-shell.sh", append([]string{fmt.Sprintf("localhost:%d", port)}, args...)...)
		if err != nil {
			t.Errorf("%v: %v\n%s", args, err, out)
		}
		return out
	}
	shell("create", "/kept", "data")
	for _, c := range []struct{ file, want string }{
		{"port.properties", fmt.Sprintf("localhost:%d is held by ", port)},
		{"dir.properties", filepath.Join(dir, "data") + " is held by "},
	} {
		out, err := script("zookeeper-server-start.sh", c.file)
		if err == nil || !strings.Contains(out, c.want) || runtime.GOOS == "linux" && !strings.Contains(out, "zookeeper-server-start first.properties") {
			t.Errorf("%s: %v\n%s", c.file, err, out)
		}
	}
	if out := shell("get", "/kept"); !strings.HasSuffix(out, "\ndata\n") {
		t.Errorf("the first is disturbed: %s", out)
	}
	if out, err := script("zookeeper-server-stop.sh", "--port=1"); err == nil || out != "No zookeeper server to stop\n" {
		t.Errorf("stop of nobody: %v\n%s", err, out)
	}
	if out, err := script("zookeeper-server-stop.sh", fmt.Sprintf("--port=%d", port)); err != nil || out != "" {
		t.Errorf("stop: %v\n%s", err, out)
	}
	stopped = true
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for ctx := client.Context(t); ; <-tick.C {
		log, err := os.ReadFile(filepath.Join(dir, "logs", "zookeeper.out"))
		if err == nil && strings.Contains(string(log), "ZooKeeper server ends") {
			return
		}
		if ctx.Err() != nil {
			t.Fatalf("the server does not end: %v\n%s", err, log)
		}
	}
}
