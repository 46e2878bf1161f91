package zookeeper

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"gregor/test/reference"
	"gregor/test/server"
)

// Options says how a server runs.
type Options struct {
	Apache bool     // Apache ZooKeeper in place of ours
	Dir    string   // configuration, log and, in DIR/data, dataDir; empty: a new temporary directory
	Data   string   // dataDir, where it is not DIR/data
	Port   int      // 0: a free one
	Extra  []string // key=value lines of the configuration
	Java   []string // system properties of Apache's, key=value
	Before []string // a command line that ours is started by
	Heap   string   // of Apache's; empty: 256m
	Fast   bool     // Apache's has the options of Kafka's scripts, for measuring
}

// Server is a running ZooKeeper server.
type Server struct {
	Addr string // host:port
	Data string // dataDir

	options Options
	apache  *reference.Node
	cmd     *exec.Cmd
	done    chan struct{} // closed when the process has ended; err is set before
	err     error
	log     *text
}

// Start starts a server that ends with the test, and returns when it serves.
func Start(t testing.TB, o Options) *Server {
	t.Helper()
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	if o.Port == 0 {
		o.Port = server.FreePort(t)
	}
	if o.Data == "" {
		o.Data = filepath.Join(o.Dir, "data")
	}
	s := &Server{Addr: fmt.Sprintf("localhost:%d", o.Port), Data: o.Data, options: o, log: &text{}}
	t.Cleanup(func() {
		if s.Kill(); t.Failed() {
			t.Logf("log of the server at %s (Apache's: %v):\n%s", s.Addr, o.Apache, tail(s.Log(), 40))
		}
	})
	s.Restart(t)
	return s
}

// Restart starts the server on the same directory and port, after Kill or Stop.
func (s *Server) Restart(t testing.TB) {
	t.Helper()
	if err := s.start(t); err != nil {
		t.Fatal(err)
	}
}

func (s *Server) start(t testing.TB) error {
	if s.options.Apache {
		return s.startApache(t)
	}
	return s.startOurs(t)
}

func (s *Server) startApache(t testing.TB) error {
	k, err := reference.Fetch(t.Context(), reference.VersionZooKeeper)
	if err != nil {
		return err
	}
	heap := s.options.Heap
	if heap == "" {
		heap = "256m"
	}
	s.apache, err = k.StartZooKeeper(t.Context(), reference.ZooKeeperOptions{Dir: s.options.Dir, DataDir: s.Data, Port: s.options.Port,
		Extra: s.options.Extra, Properties: s.options.Java, Heap: heap, Fast: s.options.Fast})
	return err
}

func (s *Server) startOurs(t testing.TB) error {
	file := filepath.Join(s.options.Dir, "zookeeper.properties")
	lines := []string{"dataDir=" + s.Data, fmt.Sprintf("clientPort=%d", s.options.Port)}
	lines = append(append(lines, reference.ZooKeeperDefaults(s.options.Extra)...), s.options.Extra...)
	if err := errors.Join(os.MkdirAll(s.options.Dir, 0o755), os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o644)); err != nil {
		return err
	}
	line := append(append([]string{}, s.options.Before...), server.Binary(t), "zookeeper-server-start", file)
	s.cmd = exec.Command(line[0], line[1:]...)
	s.cmd.Stdout, s.cmd.Stderr = s.log, s.log
	done := make(chan struct{})
	s.done = done
	if err := s.cmd.Start(); err != nil {
		return err
	}
	go func() {
		s.err = s.cmd.Wait()
		close(done)
	}()
	if s.options.Before != nil {
		return nil // it may be anywhere
	}
	return s.ready()
}

func (s *Server) ready() error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		answer, err := reference.FourLetterWord(ctx, s.Addr, "srvr")
		if err == nil && strings.Contains(answer, "Mode: ") {
			return nil
		}
		select {
		case <-s.done:
			return fmt.Errorf("ZooKeeper ended before it served: %v\n%s", s.err, s.Log())
		case <-ctx.Done():
			return fmt.Errorf("ZooKeeper does not serve: %q, %v\n%s", answer, err, s.Log())
		case <-tick.C:
		}
	}
}

// Kill ends the process at once, as a crash does.
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

// Stop ends the process as a service manager does.
func (s *Server) Stop(t testing.TB) {
	t.Helper()
	if s.apache != nil {
		s.apache.Stop()
		return
	}
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.done:
		if s.err != nil {
			t.Fatalf("ZooKeeper ended with %v\n%s", s.err, tail(s.Log(), 30))
		}
	case <-time.After(30 * time.Second):
		t.Fatal("ZooKeeper does not end within 30 s of SIGTERM")
	}
}

// Signal sends the process a signal.
func (s *Server) Signal(sig syscall.Signal) {
	if s.apache != nil {
		_ = s.apache.Signal(sig)
		return
	}
	_ = s.cmd.Process.Signal(sig)
}

// Word is the answer to a four-letter word.
func (s *Server) Word(t testing.TB, word string) string {
	t.Helper()
	answer, err := reference.FourLetterWord(t.Context(), s.Addr, word)
	if err != nil {
		t.Fatalf("%s: %v", word, err)
	}
	return answer
}

// Pid is the process id.
func (s *Server) Pid() int {
	if s.apache != nil {
		return s.apache.Pid()
	}
	return s.cmd.Process.Pid
}

// ResidentBytes is the memory that the process holds; zero where the system does not tell.
func (s *Server) ResidentBytes() int64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", s.Pid()))
	if err != nil {
		return 0
	}
	if fields := strings.Fields(string(b)); len(fields) > 1 {
		pages, _ := strconv.ParseInt(fields[1], 10, 64)
		return pages * int64(os.Getpagesize())
	}
	return 0
}

// CPU is how long the process has worked; zero where the system does not tell.
func (s *Server) CPU() time.Duration {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.Pid()))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(b), ") ") // the name may hold blanks
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0
	}
	user, _ := strconv.ParseInt(fields[11], 10, 64)
	system, _ := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+system) * 10 * time.Millisecond // USER_HZ is 100
}

// Log is what the process wrote.
func (s *Server) Log() string {
	if s.apache != nil {
		return s.apache.Log()
	}
	return s.log.String()
}

// text is what a process wrote.
type text struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *text) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *text) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func tail(s string, n int) string {
	lines := strings.Split(s, "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
