package cli

import (
	"context"
	"io"
	"os"
	"os/exec"
	"time"
)

// endWithInputEnv has a process of this program end, cleanly, when its standard input ends: a child does not outlive its
// parent, however that ended. It is also how a parent ends its children, for it is the same on every system.
const endWithInputEnv = "GREGOR_END_WITH_INPUT"

// child is a process that this one started and that ends with it.
type child struct {
	input io.WriteCloser // its standard input
	cmd   *exec.Cmd
	done  chan struct{} // closed when it has ended; err is set before
	err   error
}

// startChild starts a process whose output goes to w; ended is called when the last of it is written. The command must be
// one of this program that takes heed of endWithInputEnv, or one that ends with its input anyway.
func startChild(cmd *exec.Cmd, w io.Writer, ended func()) (*child, error) {
	c := &child{cmd: cmd, done: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = w, w
	if cmd.Env == nil {
		cmd.Env = os.Environ()
	}
	cmd.Env = append(cmd.Env, endWithInputEnv+"=1")
	apart(cmd)
	var err error
	if c.input, err = cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		c.err = cmd.Wait()
		ended()
		close(c.done)
	}()
	return c, nil
}

// stop asks the process to end.
func (c *child) stop() { _ = c.input.Close() }

// how says how the process ended.
func (c *child) how() string {
	if c.err != nil {
		return c.err.Error()
	}
	return "exit status 0"
}

// running tells whether the process has not ended yet.
func (c *child) running() bool {
	select {
	case <-c.done:
		return false
	default:
		return true
	}
}

// waitOrKill waits until the process has ended, and kills it when ctx ends before.
func (c *child) waitOrKill(ctx context.Context) (killed bool) {
	select {
	case <-c.done:
		return false
	case <-ctx.Done():
	}
	_ = c.cmd.Process.Kill()
	<-c.done
	return true
}

// endChildren asks all to end and waits for them. It returns the indexes of those that had to be killed after patience.
func endChildren(children []*child, patience time.Duration) (killed []int) {
	for _, c := range children {
		c.stop()
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for i, c := range children {
		if c.waitOrKill(ctx) {
			killed = append(killed, i)
		}
	}
	return killed
}

// endWithInput gives a context that ends with standard input, if that is asked for.
func endWithInput(ctx context.Context, io IO) (context.Context, func()) {
	if os.Getenv(endWithInputEnv) == "" {
		return ctx, func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		for b := make([]byte, 256); ; {
			if _, err := io.In.Read(b); err != nil {
				cancel()
				return
			}
		}
	}()
	return ctx, cancel
}
