package cli

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"
)

// endWithInputEnv has a broker end, cleanly, when its standard input ends: a child of up does not outlive it, however it
// ended. It is also how up ends its children, for it is the same on every system.
const endWithInputEnv = "GREGOR_END_WITH_INPUT"

// upNode is one broker of a cluster that up started.
type upNode struct {
	id    int
	file  string // its properties
	input io.Closer
	cmd   *exec.Cmd
	done  chan struct{} // closed when it has ended; err is set before
	err   error
}

// startNode starts a broker whose output goes to w.
func startNode(self string, id int, file, level string, w io.Writer, end func()) (*upNode, error) {
	n := &upNode{id: id, file: file, done: make(chan struct{})}
	n.cmd = exec.Command(self, "server-start", file, "--log-level", level)
	n.cmd.Stdout, n.cmd.Stderr = w, w
	n.cmd.Env = append(os.Environ(), endWithInputEnv+"=1")
	apart(n.cmd)
	input, err := n.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	n.input = input
	if err := n.cmd.Start(); err != nil {
		return nil, fmt.Errorf("broker %d: %w", id, err)
	}
	go func() {
		n.err = n.cmd.Wait()
		end()
		close(n.done)
	}()
	return n, nil
}

// stop asks the broker to end.
func (n *upNode) stop() { _ = n.input.Close() }

// how says how the process ended.
func (n *upNode) how() string {
	if n.err != nil {
		return n.err.Error()
	}
	return "exit status 0"
}

// waitNodes waits until all have ended, and kills those that have not within the patience.
func waitNodes(nodes []*upNode, patience time.Duration) (killed []int) {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for _, n := range nodes {
		select {
		case <-n.done:
			continue
		case <-timer.C:
			timer.Reset(0)
		}
		_ = n.cmd.Process.Kill()
		<-n.done
		killed = append(killed, n.id)
	}
	return killed
}
