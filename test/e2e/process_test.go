package e2e

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"gregor/test/client"
	"gregor/test/reference"
	"gregor/test/server"
)

// TestStartsFastAndStaysSmall holds the broker to what the README says: the time from an empty directory to serving, and
// the memory of an idle process. Other tests run meanwhile, so that the best of several starts counts.
func TestStartsFastAndStaysSmall(t *testing.T) {
	if server.Apache() {
		t.Skip("Apache Kafka promises neither")
	}
	server.Binary(t)
	best := time.Hour
	var s *server.Server
	for range 5 {
		start := time.Now()
		s = server.Start(t, server.Options{})
		best = min(best, time.Since(start))
	}
	if best > 100*time.Millisecond {
		t.Errorf("from start to serving took %v at best, want 100 ms", best)
	}
	if resident := s.ResidentBytes(); resident > 40<<20 {
		t.Errorf("idle, the process holds %d MB, want at most 40", resident>>20)
	} else {
		t.Logf("start %v, resident %.1f MB", best.Round(time.Millisecond), float64(resident)/(1<<20))
	}
}

// TestEndsOnSIGTERM checks that a broker ends quickly and cleanly with clients connected and a fetch waiting, and that
// the marker of a clean end is there.
func TestEndsOnSIGTERM(t *testing.T) {
	s := server.Start(t, server.Options{})
	client.Create(t, s.Addr, "open", 1)
	c := client.New(t, s.Addr, kgo.ConsumeTopics("open"), kgo.FetchMaxWait(30*time.Second))
	client.Produce(t, c, &kgo.Record{Topic: "open", Value: []byte("v")})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go c.PollFetches(ctx)
	start := time.Now()
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(start); took > 5*time.Second && !server.Apache() {
		t.Errorf("the end took %v", took)
	}
	if !exists(filepath.Join(s.Dir, ".kafka_cleanshutdown")) {
		t.Error("no marker of a clean end")
	}
}

// TestEndsWhileStarting ends a broker at moments of its start. It ends as told, and the next start finds nothing amiss.
func TestEndsWhileStarting(t *testing.T) {
	if server.Apache() || runtime.GOOS == "windows" {
		t.Skip("of our start, by a signal")
	}
	s := server.Start(t, server.Options{})
	client.Create(t, s.Addr, "before", 3)
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	for delay := range 20 {
		args := []string{"server-start", filepath.Join(s.Dir+".config", "server.properties")}
		if delay%2 == 1 {
			args = []string{"up", "--data", s.Dir, "--port", fmt.Sprint(s.Port)}
		}
		cmd := exec.Command(server.Binary(t), args...)
		var out strings.Builder
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		<-time.After(time.Duration(delay) * 2 * time.Millisecond)
		cmd.Process.Signal(syscall.SIGTERM)
		err := cmd.Wait()
		// In its very first moment a process has not asked to be told of signals yet.
		if err != nil && !strings.Contains(err.Error(), "signal: terminated") {
			t.Errorf("told to end after %d ms, it ended with %v\n%s", delay*2, err, out.String())
		}
	}
	s.Restart(t)
	if result := server.Tool(client.Context(t), t, "", "topics", "--list", "--bootstrap-server", s.Addr); result.Stdout != "before\n" {
		t.Errorf("topics afterwards: %q %s", result.Stdout, result.Stderr)
	}
}

// TestSecondStartIsRefused checks that a second broker on the same directory, or the same port, says who is there.
func TestSecondStartIsRefused(t *testing.T) {
	if server.Apache() {
		t.Skip("the message is ours")
	}
	s := server.Start(t, server.Options{})
	for what, args := range map[string][]string{
		"directory": {"--override", fmt.Sprintf("listeners=PLAINTEXT://localhost:%d", server.FreePort(t)), "--override", "log.dirs=" + s.Dir},
		"port":      {"--override", fmt.Sprintf("listeners=PLAINTEXT://localhost:%d", s.Port), "--override", "log.dirs=" + t.TempDir()},
	} {
		ctx := client.Context(t)
		result := server.Tool(ctx, t, "", "server-start", append([]string{filepath.Join(server.Root(), "config", "server.properties")}, args...)...)
		text := result.Stdout + result.Stderr
		if result.Code == 0 || !strings.Contains(text, fmt.Sprint(s.Pid())) && runtime.GOOS == "linux" {
			t.Errorf("a second start on the same %s: exit code %d, and no word of process %d:\n%s", what, result.Code, s.Pid(), text)
		}
	}
	// The first one does not mind.
	client.Create(t, s.Addr, "still-there", 1)
}

// TestForeignDirectoryIsRefused checks that a directory of another node is not touched.
func TestForeignDirectoryIsRefused(t *testing.T) {
	if server.Apache() {
		t.Skip("the message is ours")
	}
	s := server.Start(t, server.Options{})
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	result := server.Tool(client.Context(t), t, "", "server-start", filepath.Join(server.Root(), "config", "server.properties"),
		"--override", fmt.Sprintf("listeners=PLAINTEXT://localhost:%d", s.Port), "--override", "log.dirs="+s.Dir, "--override", "node.id=5", "--override", "broker.id=5")
	text := result.Stdout + result.Stderr
	if result.Code == 0 || !strings.Contains(text, "5") || !regexp.MustCompile(`\b1\b`).MatchString(text) {
		t.Errorf("exit code %d; the message should name both ids:\n%s", result.Code, text)
	}
}

// TestScripts is the first hour with the project: up, a topic, records, a group, all by the scripts of bin/.
func TestScripts(t *testing.T) {
	if server.Apache() || runtime.GOOS == "windows" {
		t.Skip("bin/ is for our broker, and needs a shell")
	}
	root, port, data := server.Root(), server.FreePort(t), t.TempDir()
	up := exec.Command(filepath.Join(root, "bin", "gregor"), "up", "--data", data, "--port", fmt.Sprint(port))
	var printed strings.Builder
	up.Stdout, up.Stderr = &printed, &printed
	if err := up.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- up.Wait() }()
	defer func() {
		up.Process.Signal(os.Interrupt)
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("gregor up ended with %v\n%s", err, printed.String())
			}
		case <-time.After(10 * time.Second):
			up.Process.Kill()
			<-done
			t.Errorf("gregor up did not end on Ctrl-C\n%s", printed.String())
		}
		if !strings.Contains(printed.String(), "kafka-topics") {
			t.Errorf("gregor up does not say what to type next:\n%s", printed.String())
		}
	}()
	s := &server.Server{Addr: fmt.Sprintf("localhost:%d", port)}
	if err := s.Ready(client.Patience); err != nil { // the first start of a clone builds the binary
		t.Fatal(err, printed.String())
	}
	run := func(stdin, script string, args ...string) reference.Result {
		t.Helper()
		cmd := exec.CommandContext(client.Context(t), filepath.Join(root, "bin", script), append([]string{"--bootstrap-server", s.Addr}, args...)...)
		var stdout, stderr strings.Builder
		cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &stdout, &stderr
		if err := cmd.Run(); err != nil {
			t.Errorf("%s %q: %v\n%s%s", script, args, err, stdout.String(), stderr.String())
		}
		return reference.Result{Code: cmd.ProcessState.ExitCode(), Stdout: stdout.String(), Stderr: stderr.String()}
	}
	if got := run("", "kafka-topics.sh", "--create", "--topic", "greetings", "--partitions", "3").Stdout; got != "Created topic greetings.\n" {
		t.Errorf("create printed %q", got)
	}
	run("one\ntwo\nthree\nfour\n", "kafka-console-producer.sh", "--topic", "greetings")
	// Lines go to the partitions in turn.
	if got := run("", "kafka-get-offsets.sh", "--topic", "greetings").Stdout; got != "greetings:0:2\ngreetings:1:1\ngreetings:2:1\n" && strings.Count(got, ":1\n") != 2 {
		t.Errorf("four lines in three partitions: %q", got)
	}
	consumed := run("", "kafka-console-consumer.sh", "--topic", "greetings", "--from-beginning", "--max-messages", "4", "--group", "readers")
	if len(strings.Fields(consumed.Stdout)) != 4 || !strings.Contains(consumed.Stdout+consumed.Stderr, "Processed a total of 4 messages") {
		t.Errorf("the consumer printed %q, %q", consumed.Stdout, consumed.Stderr)
	}
	if got := run("", "kafka-consumer-groups.sh", "--describe", "--group", "readers").Stdout; strings.Count(got, "greetings") != 3 {
		t.Errorf("the group has\n%s", got)
	}
	if got := run("", "kafka-topics.sh", "--list").Stdout; got != "__consumer_offsets\ngreetings\n" {
		t.Errorf("list printed %q", got)
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, fs.ErrNotExist)
}
