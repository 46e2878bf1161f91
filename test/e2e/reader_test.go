package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"gregor/test/client"
	"gregor/test/zookeeper"
)

// reader is somebody who follows the tutorial in a directory like a fresh clone.
type reader struct {
	t       *testing.T
	root    string
	data    string         // what /tmp/kafkainaction is in the tutorial
	brokers [3]int         // ports
	apache  *zookeeper.Any // nil: bin/zookeeper-server-start.sh
	ended   bool           // apache
}

func (r *reader) addr(n int) string { return fmt.Sprintf("localhost:%d", r.brokers[n]) }

// until asks again and again, until there is no error.
func (r *reader) until(what string, ask func() error) {
	r.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for began := time.Now(); ; <-tick.C {
		err := ask()
		took := time.Since(began)
		if err == nil {
			if took > time.Second {
				r.t.Logf("%s: after %v", what, took.Round(100*time.Millisecond))
			}
			return
		}
		if took > time.Minute {
			r.t.Fatalf("%s: not so: %v", what, err)
		}
	}
}

// result is a command that has ended.
type result struct {
	command, text string
	code          int
}

// ok is nil if the command succeeded and printed what is wanted.
func (o result) ok(want string) error {
	if o.code != 0 || !strings.Contains(o.text, want) {
		return fmt.Errorf("%s: exit code %d, want %q in\n%s", o.command, o.code, want, o.text)
	}
	return nil
}

func (r *reader) command(line string) *exec.Cmd {
	words := strings.Fields(line)
	cmd := exec.CommandContext(client.Context(r.t), filepath.Join(r.root, words[0]), words[1:]...)
	cmd.Dir = r.root
	return cmd
}

// run runs a command to its end.
func (r *reader) run(stdin, line string) result {
	r.t.Helper()
	cmd := r.command(line)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		r.t.Fatalf("%s: %v", line, err)
	}
	return result{line, string(out), cmd.ProcessState.ExitCode()}
}

// terminal is a command that goes on in a terminal of its own.
type terminal struct {
	t    *testing.T
	line string
	cmd  *exec.Cmd
	in   io.WriteCloser
	done chan struct{}

	mu  sync.Mutex
	out bytes.Buffer
	err bytes.Buffer
}

// start starts a command that ends with the test.
func (r *reader) start(line string) *terminal {
	r.t.Helper()
	words := strings.Fields(line)
	cmd := exec.Command(filepath.Join(r.root, words[0]), words[1:]...)
	cmd.Dir = r.root
	s := &terminal{t: r.t, line: line, cmd: cmd, done: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = screen{s, &s.out}, screen{s, &s.err}
	var err error
	if s.in, err = cmd.StdinPipe(); err == nil {
		err = cmd.Start()
	}
	if err != nil {
		r.t.Fatalf("%s: %v", line, err)
	}
	go func() {
		_ = cmd.Wait()
		close(s.done)
	}()
	r.t.Cleanup(func() {
		s.kill()
		if r.t.Failed() {
			r.t.Logf("$ %s\n%s", line, lastLines(s.text(), 25))
		}
	})
	return s
}

type screen struct {
	s *terminal
	b *bytes.Buffer
}

func (w screen) Write(p []byte) (int, error) {
	w.s.mu.Lock()
	defer w.s.mu.Unlock()
	return w.b.Write(p)
}

// typed types into the terminal.
func (s *terminal) typed(text string) {
	s.t.Helper()
	if _, err := io.WriteString(s.in, text); err != nil {
		s.t.Fatalf("%s: %v", s.line, err)
	}
}

// lines is what the command printed.
func (s *terminal) lines() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc(strings.Split(s.out.String(), "\n"), func(line string) bool { return line == "" })
}

func (s *terminal) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.out.String() + s.err.String()
}

func (s *terminal) pid() int { return s.cmd.Process.Pid }

// interrupt is Ctrl-C: the command ends by itself.
func (s *terminal) interrupt() {
	s.t.Helper()
	_ = s.cmd.Process.Signal(syscall.SIGINT)
	select {
	case <-s.done:
	case <-time.After(20 * time.Second):
		s.t.Fatalf("%s does not end on Ctrl-C\n%s", s.line, lastLines(s.text(), 25))
	}
}

// kill ends the command at once.
func (s *terminal) kill() {
	_ = s.cmd.Process.Kill()
	<-s.done
}

func lastLines(text string, n int) string {
	all := strings.Split(text, "\n")
	return strings.Join(all[max(0, len(all)-n):], "\n")
}
