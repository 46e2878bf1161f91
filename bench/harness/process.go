package harness

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// Process is a server's process; its output goes to a file.
type Process struct {
	cmd  *exec.Cmd
	log  string
	done chan struct{} // closed when it has ended; err is set before
	err  error
}

// StartProcess starts cmd, whose output goes to DIR/log.
func StartProcess(cmd *exec.Cmd, dir string) (*Process, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	p := &Process{cmd: cmd, log: filepath.Join(dir, "log"), done: make(chan struct{})}
	out, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// Again starts the same command when the process has ended.
func (p *Process) Again() (*Process, error) {
	return StartProcess(exec.Command(p.cmd.Path, p.cmd.Args[1:]...), filepath.Dir(p.log))
}

// Pid is the process id.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Log is what the process wrote.
func (p *Process) Log() string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// Kill ends the process at once, as kill -9 does, and waits for it.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

// Stop ends the process as a service manager does; it is killed after half a minute.
func (p *Process) Stop() {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.Kill()
		return
	}
	select {
	case <-p.done:
	case <-time.After(30 * time.Second):
		p.Kill()
	}
}

// Ready waits until a broker answers ApiVersions.
func (p *Process) Ready(ctx context.Context, addr string) error {
	return p.Await(ctx, func(ctx context.Context) error { return Ask(ctx, addr) })
}

// Await asks until the answer is no error, without a pause that would be seen in the time that a start takes.
func (p *Process) Await(ctx context.Context, ask func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute) // Kafka, with many partitions to recover
	defer cancel()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ask(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-p.done:
			return fmt.Errorf("the server ended before it answered: %v\n%s", p.err, p.Log())
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("it does not answer: %w", context.Cause(ctx)), err)
		case <-tick.C:
		}
	}
}

// Ask sends ApiVersions in version 0 and waits for the answer.
func Ask(ctx context.Context, addr string) error {
	c, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	if _, err := c.Write([]byte{0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 1, 0xff, 0xff}); err != nil {
		return err
	}
	_, err = io.ReadFull(c, make([]byte, 8))
	return err
}
