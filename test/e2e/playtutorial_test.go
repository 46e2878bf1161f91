package e2e

import (
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"gregor/test/server"
)

// playPatience is for a machine that does much else.
const playPatience = 3 * time.Minute

// play runs `gregor tutorial` of a binary, in a directory that has nothing to do with it, and returns its exit code, what
// it printed, and the directory that its own are made in.
func play(t *testing.T, binary string, args ...string) (code int, out, temp string) {
	t.Helper()
	temp = t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), playPatience)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, append([]string{"tutorial"}, args...)...)
	cmd.Dir = t.TempDir()
	cmd.Env = append(os.Environ(), "TMPDIR="+temp)
	text, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(text), temp
}

func skipTutorial(t *testing.T) {
	t.Helper()
	if server.Apache() || runtime.GOOS == "windows" {
		t.Skip("a command of ours, which needs a shell")
	}
}

// TestPlayTutorial: the short tutorial finds every outcome, says so step by step, and leaves nothing behind.
func TestPlayTutorial(t *testing.T) {
	skipTutorial(t)
	code, out, temp := play(t, filepath.Join(newHome(t), "build", "gregor"), "--short")
	if code != 0 || !strings.Contains(out, "Every outcome is as the tutorial says, in ") {
		t.Fatalf("exit code %d\n%s", code, out)
	}
	for _, want := range []string{
		`(?m)^\$ bin/kafka-topics\.sh --create --bootstrap-server localhost:\d+ --topic kafka_temp_topic --partitions 3 --replication-factor 3$`,
		`(?m)^broker 1 +\| \$ bin/kafka-server-start\.sh config/server1\.properties$`,
		`│ partition 0 +│ (LEADS|follows)`,
		`(?m)^  1   ok +\d+\.\d\d s  The coordinator and three brokers serve`,
		`(?m)^  8a  not played: --short leaves it out$`,
		`(?m)^  8e  ok `,
	} {
		if !regexp.MustCompile(want).MatchString(out) {
			t.Errorf("no %s in\n%s", want, out)
		}
	}
	if left, err := os.ReadDir(temp); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	if strings.Contains(out, "\x1b") {
		t.Error("colours, and no terminal")
	}
}

// TestPlayTutorialFails: an outcome that is missing gives exit code 1, a verdict that says which, and the logs.
func TestPlayTutorialFails(t *testing.T) {
	skipTutorial(t)
	home := newHome(t)
	// A tool that tells another outcome.
	if err := os.WriteFile(filepath.Join(home, "bin", "kafka-get-offsets.sh"), []byte("#!/bin/sh\necho kafka_temp_topic:0:3\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(home, "build", "gregor")
	code, out, temp := play(t, binary, "--short", "--output", "json")
	var verdict struct {
		OK        bool
		Directory string
		Steps     []struct {
			Step, Error, Skipped string
			OK                   bool
		}
	}
	if err := json.Unmarshal([]byte(out), &verdict); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if code != 1 || verdict.OK || len(verdict.Steps) < 4 || !verdict.Steps[1].OK || verdict.Steps[2].OK || verdict.Steps[3].Skipped == "" {
		t.Fatalf("exit code %d, %+v", code, verdict)
	}
	if want := `does not print "kafka_temp_topic:0:1\n"`; !strings.Contains(verdict.Steps[2].Error, want) {
		t.Errorf("%q, want %q", verdict.Steps[2].Error, want)
	}
	if filepath.Dir(verdict.Directory) != temp || !exists(filepath.Join(verdict.Directory, "logs", "broker-2.log")) {
		t.Errorf("the logs are in %s", verdict.Directory)
	}
	for _, name := range []string{"broker-0.log", "broker-1.log", "broker-2.log"} {
		log, err := os.ReadFile(filepath.Join(verdict.Directory, "logs", name))
		if err != nil || !strings.Contains(string(log), "[node] stopped") {
			t.Errorf("%s: the broker was not ended (%v)\n%s", name, err, log)
		}
	}

	code, out, _ = play(t, binary, "--short")
	for _, want := range []string{"  3   FAILED ", "  4   not played: a step before it failed", "Not as the tutorial says, after ", "Look at: ", "Files, logs and data are in "} {
		if code != 1 || !strings.Contains(out, want) {
			t.Errorf("exit code %d, no %q in\n%s", code, want, out)
		}
	}
}

// newHome is a directory with what is shipped, bin/ and config/, and the binary under test where bin/ looks for it.
func newHome(t *testing.T) string {
	t.Helper()
	home := t.TempDir()
	for _, dir := range []string{"bin", "config"} {
		if err := os.CopyFS(filepath.Join(home, dir), os.DirFS(filepath.Join(server.Root(), dir))); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(home, "build"), 0o755); err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(home, "build", "gregor")
	if err := os.Link(server.Binary(t), to); err != nil { // on another file system
		copyFile(t, server.Binary(t), to)
	}
	return home
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	in, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.Copy(out, in)
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	if err != nil {
		t.Fatal(err)
	}
}
