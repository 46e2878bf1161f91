package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// terminal is one of the reader's terminals: a command that runs in it until it is ended.
type terminal struct {
	*child
	name    string
	command string // as it is typed
	log     string // the file that keeps all that it prints, below the stage

	mu    sync.Mutex
	lines []string
	shows func(line string) bool // which of its lines are shown
}

// printed are the lines so far, from one on.
func (t *terminal) printed(from int) []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.lines[min(from, len(t.lines)):])
}

func (t *terminal) hush() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.shows = func(string) bool { return false }
}

// says tells whether one of the lines holds a text.
func (t *terminal) says(text string) bool {
	return slices.ContainsFunc(t.printed(0), func(line string) bool { return strings.Contains(line, text) })
}

// open runs a command in a terminal of its own.
func (t *tutorial) open(name, script string, args ...string) (*terminal, error) {
	return t.openShowing(func(string) bool { return true }, name, script, args...)
}

// openServer is open for a server: of its log, only the line that says that it serves is shown, and what is wrong.
func (t *tutorial) openServer(name, script string, args ...string) (*terminal, error) {
	telling := func(line string) bool {
		return !strings.Contains(line, " INFO ") || strings.Contains(line, " started ") || strings.Contains(line, " serves ")
	}
	return t.openShowing(telling, name, script, args...)
}

func (t *tutorial) openShowing(shows func(line string) bool, name, script string, args ...string) (*terminal, error) {
	n := &terminal{name: name, command: strings.Join(append([]string{"bin/" + script}, args...), " "), shows: shows}
	n.log = filepath.Join("logs", strings.ReplaceAll(name, " ", "-")+".log")
	file, err := os.OpenFile(filepath.Join(t.stage.dir, n.log), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	t.say.command(name, n.command)
	show := &lineWriter{line: func(text string) {
		n.mu.Lock()
		n.lines = append(n.lines, text)
		shows := n.shows(text)
		n.mu.Unlock()
		if shows {
			t.say.output(name, text)
		}
	}}
	cmd := exec.Command(t.stage.script(script), args...)
	cmd.Dir = t.stage.dir
	n.child, err = startChild(cmd, io.MultiWriter(file, show), func() {
		show.end()
		_ = file.Close()
	})
	if err != nil {
		_ = file.Close()
		return nil, fmt.Errorf("%s: %w", n.command, err)
	}
	t.terminals = append(t.terminals, n)
	return n, nil
}

// typed sends a line to a terminal, as the reader types it.
func (t *tutorial) typed(n *terminal, line string) error {
	t.say.output(n.name, "> "+line)
	if _, err := io.WriteString(n.input, line+"\n"); err != nil {
		return &finding{wrong: fmt.Sprintf("%s takes no more input: %v", n.name, err), look: []*terminal{n}}
	}
	return nil
}

// interrupt presses Ctrl-C in a terminal and waits until its command has ended.
func (t *tutorial) interrupt(ctx context.Context, n *terminal) error {
	t.say.output(n.name, "^C")
	n.hush()
	return t.end(ctx, n, os.Interrupt)
}

// end sends a signal to a terminal's command and waits until it has ended.
func (t *tutorial) end(ctx context.Context, n *terminal, signal os.Signal) error {
	if err := n.cmd.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, tutorialPatience)
	defer cancel()
	select {
	case <-n.done:
	case <-ctx.Done():
		return &finding{wrong: fmt.Sprintf("%s has not ended %v after it was told to", n.name, tutorialPatience), look: []*terminal{n}}
	}
	t.forget(n)
	return nil
}

func (t *tutorial) forget(n *terminal) {
	t.terminals = slices.DeleteFunc(t.terminals, func(o *terminal) bool { return o == n })
}

// endAll ends every terminal, the newest first, so that clients end before brokers and these before ZooKeeper.
func (t *tutorial) endAll(patience time.Duration) {
	for len(t.terminals) > 0 {
		last := len(t.terminals) - 1
		n := t.terminals[last]
		t.terminals = t.terminals[:last]
		n.hush()
		endChildren([]*child{n.child}, patience)
	}
}

// outcome is what a command that ends by itself has printed.
type outcome struct {
	command string
	text    string // both outputs, as they came
	code    int
}

// run runs a command, shows it and what it prints, and waits for its end. A command that cannot be run is an error; its
// exit code is the caller's to judge.
func (t *tutorial) run(ctx context.Context, script string, args ...string) (outcome, error) {
	return t.runShown(ctx, true, script, args...)
}

// ask is run without showing anything.
func (t *tutorial) ask(ctx context.Context, script string, args ...string) (outcome, error) {
	return t.runShown(ctx, false, script, args...)
}

func (t *tutorial) runShown(ctx context.Context, show bool, script string, args ...string) (outcome, error) {
	o := outcome{command: strings.Join(append([]string{"bin/" + script}, args...), " ")}
	if show {
		t.say.command("", o.command)
	}
	ctx, cancel := context.WithTimeout(ctx, tutorialPatience)
	defer cancel()
	cmd := exec.Command(t.stage.script(script), args...)
	cmd.Dir = t.stage.dir
	var text strings.Builder
	lines := &lineWriter{line: func(line string) {
		if show {
			t.say.output("", line)
		}
		text.WriteString(line + "\n")
	}}
	c, err := startChild(cmd, lines, lines.end)
	if err != nil {
		return o, fmt.Errorf("%s: %w", o.command, err)
	}
	if c.waitOrKill(ctx); ctx.Err() != nil {
		return o, &finding{wrong: fmt.Sprintf("%s has not ended within %v", o.command, tutorialPatience)}
	}
	o.text, o.code = text.String(), cmd.ProcessState.ExitCode()
	return o, nil
}

// mustRun is run for a command that has to succeed.
func (t *tutorial) mustRun(ctx context.Context, script string, args ...string) (outcome, error) {
	o, err := t.run(ctx, script, args...)
	if err == nil && o.code != 0 {
		err = &finding{wrong: fmt.Sprintf("%s ends with exit code %d, not 0", o.command, o.code)}
	}
	return o, err
}

// until waits until a condition holds: it gives nil. After the patience what it gave last is the finding.
func (t *tutorial) until(ctx context.Context, holds func(context.Context) error) error {
	return t.untilWithin(ctx, tutorialPatience, holds)
}

func (t *tutorial) untilWithin(ctx context.Context, patience time.Duration, holds func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	var last error
	for {
		err := holds(ctx)
		if err == nil {
			return nil
		}
		if ctx.Err() == nil {
			last = err
		}
		for _, n := range t.terminals {
			if !n.running() {
				return &finding{wrong: fmt.Sprintf("%s has ended by itself (%s)", n.name, n.how()), look: []*terminal{n}}
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			if last == nil {
				last = ctx.Err()
			}
			return last
		}
	}
}
