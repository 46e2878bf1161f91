package cli

import (
	"fmt"
	"io"
	"os/exec"
)

// upNode is one broker of a cluster that up started.
type upNode struct {
	*child
	id   int
	file string // its properties
}

// startNode starts a broker whose output goes to w.
func startNode(self string, id int, file, level string, w io.Writer, end func()) (*upNode, error) {
	c, err := startChild(exec.Command(self, "server-start", file, "--log-level", level), w, end)
	if err != nil {
		return nil, fmt.Errorf("broker %d: %w", id, err)
	}
	return &upNode{child: c, id: id, file: file}, nil
}
