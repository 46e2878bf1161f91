// Package server starts brokers as processes for tests: ours, or, with GREGOR_TARGET=apache, Apache Kafka in its place, so
// that a suite can be shown to ask for nothing but what Kafka does.
package server

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"gregor/test/reference"
)

// Options says how a broker runs.
type Options struct {
	Dir    string   // its data; empty: a new temporary directory
	Port   int      // empty: a free one
	Extra  []string // key=value lines of its configuration
	Apache bool     // Apache Kafka, whatever GREGOR_TARGET says
	Ours   bool     // ours, whatever GREGOR_TARGET says
	Fast   bool     // Apache Kafka has the options of Java of its own scripts, for measuring
	Env    []string // added to the environment
}

// Server is a running broker.
type Server struct {
	Addr string // host:port
	Dir  string // log.dirs
	Port int
	Log  func() string // what the process wrote

	options Options
	apache  *reference.Node
	cmd     *exec.Cmd
	done    chan struct{} // closed when the process has ended; err is set before
	err     error
}

// Apache says whether the suite runs against Apache Kafka.
func Apache() bool { return os.Getenv("GREGOR_TARGET") == "apache" }

// Start starts a broker that ends with the test, and returns when it serves.
func Start(t testing.TB, o Options) *Server {
	t.Helper()
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	if o.Port == 0 {
		o.Port = FreePort(t)
	}
	s, err := start(t, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("log of the broker:\n%s", tail(s.Log(), 60))
		}
		s.Kill()
	})
	return s
}

func start(t testing.TB, o Options) (*Server, error) {
	s := &Server{Addr: fmt.Sprintf("localhost:%d", o.Port), Dir: o.Dir, Port: o.Port, options: o}
	if o.Apache || Apache() && !o.Ours {
		return s, s.startApache(t)
	}
	return s, s.startOurs(t)
}

func (s *Server) startApache(t testing.TB) error {
	ctx := t.Context()
	k, err := reference.Fetch(ctx, reference.Version)
	if err != nil {
		return err
	}
	s.apache, err = k.StartNode(ctx, reference.NodeOptions{Dir: s.Dir + ".apache", DataDir: s.Dir, Port: s.Port, NodeID: 1, Fast: s.options.Fast,
		Extra: append([]string{"group.initial.rebalance.delay.ms=0"}, s.options.Extra...)})
	if err != nil {
		return err
	}
	s.Log = s.apache.Log
	return s.Ready(time.Minute)
}

func (s *Server) startOurs(t testing.TB) error {
	config := filepath.Join(s.Dir+".config", "server.properties")
	if err := os.MkdirAll(filepath.Dir(config), 0o755); err != nil {
		return err
	}
	lines := append([]string{
		"node.id=1",
		fmt.Sprintf("listeners=PLAINTEXT://localhost:%d", s.Port),
		"log.dirs=" + s.Dir,
		"offsets.topic.replication.factor=1",
		"group.initial.rebalance.delay.ms=0",
	}, s.options.Extra...)
	if err := os.WriteFile(config, []byte(strings.Join(lines, "\n")+"\n"), 0o644); err != nil {
		return err
	}
	log := &buffer{}
	s.Log = log.String
	s.cmd = exec.Command(Binary(t), "server-start", config)
	s.cmd.Stdout, s.cmd.Stderr = log, log
	s.cmd.Env = append(s.cmd.Environ(), s.options.Env...)
	s.done = make(chan struct{})
	if err := s.cmd.Start(); err != nil {
		return err
	}
	go func() {
		s.err = s.cmd.Wait()
		close(s.done)
	}()
	if err := s.Ready(20 * time.Second); err != nil {
		s.Kill()
		return fmt.Errorf("%w\n%s", err, s.Log())
	}
	return nil
}

// Ready waits until the broker answers a request; an end of the process is an error.
func (s *Server) Ready(within time.Duration) error {
	deadline := time.Now().Add(within)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		err := s.ask(deadline)
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("the broker did not answer within %v: %w", within, err)
		}
		select {
		case <-s.done:
			return fmt.Errorf("the broker ended before it answered: %v", s.err)
		case <-tick.C:
		}
	}
}

// ask sends ApiVersions in version 0 and waits for the answer.
func (s *Server) ask(deadline time.Time) error {
	c, err := net.Dial("tcp", s.Addr)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.SetDeadline(deadline); err != nil {
		return err
	}
	if _, err := c.Write([]byte{0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 1, 0xff, 0xff}); err != nil {
		return err
	}
	_, err = io.ReadFull(c, make([]byte, 8))
	return err
}

// Restart starts the broker again on the same directory and port, after Kill or Stop.
func (s *Server) Restart(t testing.TB) {
	t.Helper()
	again, err := start(t, s.options)
	if err != nil {
		t.Fatal(err)
	}
	before := s.Log()
	s.apache, s.cmd, s.done, s.err = again.apache, again.cmd, again.done, nil
	log := again.Log
	s.Log = func() string { return before + log() }
}

// Kill ends the process at once, as a crash does, and waits for it.
func (s *Server) Kill() {
	if s.apache != nil {
		s.apache.Kill()
		return
	}
	if s.cmd == nil || s.cmd.Process == nil {
		return
	}
	_ = s.cmd.Process.Kill()
	<-s.done
}

// Stop ends the process as a service manager does, and returns an error if it does not end cleanly within ten seconds.
func (s *Server) Stop() error {
	if s.apache != nil {
		s.apache.Stop()
		return nil
	}
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-s.done:
		if s.err != nil {
			return fmt.Errorf("the broker ended with %w\n%s", s.err, tail(s.Log(), 30))
		}
		return nil
	case <-time.After(10 * time.Second):
		s.Kill()
		return fmt.Errorf("the broker did not end within 10 s of SIGTERM\n%s", tail(s.Log(), 30))
	}
}

// Pid is the process id.
func (s *Server) Pid() int {
	if s.apache != nil {
		return s.apache.Pid()
	}
	return s.cmd.Process.Pid
}

// ResidentBytes is the memory that the process holds. Zero where the system does not tell.
func (s *Server) ResidentBytes() int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", s.Pid()))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(text))
	if len(fields) < 2 {
		return 0
	}
	pages, err := strconv.ParseInt(fields[1], 10, 64)
	if err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}

// Root is the directory of the repository.
func Root() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(file), "..", "..")
}

var builtPath atomic.Pointer[string]

var built = sync.OnceValues(func() (string, error) {
	if path := os.Getenv("GREGOR_BINARY"); path != "" {
		if !filepath.IsAbs(path) {
			path = filepath.Join(Root(), path)
		}
		return path, nil
	}
	out := filepath.Join(os.TempDir(), fmt.Sprintf("gregor-test-%d", os.Getpid()))
	build := exec.Command("go", "build", "-o", out, "./cmd/gregor")
	build.Dir = Root()
	if text, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the broker: %w\n%s", err, text)
	}
	builtPath.Store(&out)
	return out, nil
})

// Binary is the gregor program: $GREGOR_BINARY (absolute, or below the repository), or one built from the sources as they are.
func Binary(t testing.TB) string {
	t.Helper()
	path, err := built()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// Main runs a package's tests and removes the program that Binary built: func TestMain(m *testing.M) { server.Main(m) }.
func Main(m *testing.M) {
	code := m.Run()
	if claim != nil {
		_ = claim.Close()
	}
	if path := builtPath.Load(); path != nil {
		os.Remove(*path)
	}
	os.Exit(code)
}

// Tool runs one of our tools to its end: Tool(ctx, t, stdin, "topics", "--list", ...).
func Tool(ctx context.Context, t testing.TB, stdin, name string, args ...string) reference.Result {
	t.Helper()
	cmd := exec.CommandContext(ctx, Binary(t), append([]string{name}, args...)...)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &stdout, &stderr
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatalf("%s %q: %v", name, args, err)
	}
	return reference.Result{Code: cmd.ProcessState.ExitCode(), Stdout: stdout.String(), Stderr: stderr.String()}
}

type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// tail is the end of a log, without the fifty lines that a start has of the coordinators.
func tail(text string, lines int) string {
	all := slices.DeleteFunc(strings.Split(text, "\n"), func(line string) bool { return strings.Contains(line, "coordinator loaded") })
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
