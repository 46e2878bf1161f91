package nats

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"gregor/bench/harness"
)

// Options say how a server runs.
type Options struct {
	Binary string // nats-server
	Dir    string // its data and configuration
	Port   int    // of 127.0.0.1
	Always bool   // sync_interval: always; otherwise the default, which is two minutes
	Name   string // in a cluster
	Routes []int  // ports of the cluster's servers, this one's first; none: no cluster
}

// Server is a running server.
type Server struct {
	*harness.Process
	Addr, Name string
}

// Start starts a server, and returns when JetStream answers. A server of a cluster is ready when the others are: see Ready.
func Start(ctx context.Context, o Options) (*Server, error) {
	if err := os.MkdirAll(o.Dir, 0o755); err != nil {
		return nil, err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "listen: \"127.0.0.1:%d\"\nmax_pending: 256MB\n", o.Port)
	fmt.Fprintf(&b, "jetstream {\n  store_dir: %q\n  max_file_store: 20GB\n  max_memory_store: 256MB\n", o.Dir)
	if o.Always {
		b.WriteString("  sync_interval: always\n")
	}
	b.WriteString("}\n")
	if len(o.Routes) > 0 {
		fmt.Fprintf(&b, "server_name: %s\ncluster {\n  name: bench\n  listen: \"127.0.0.1:%d\"\n  routes: [", o.Name, o.Routes[0])
		for _, port := range o.Routes[1:] {
			fmt.Fprintf(&b, " \"nats://127.0.0.1:%d\",", port)
		}
		b.WriteString(" ]\n}\n")
	}
	config := filepath.Join(o.Dir, "nats.conf")
	if err := os.WriteFile(config, []byte(b.String()), 0o644); err != nil {
		return nil, err
	}
	p, err := harness.StartProcess(exec.Command(o.Binary, "-c", config), o.Dir)
	if err != nil {
		return nil, err
	}
	s := &Server{Process: p, Addr: fmt.Sprintf("127.0.0.1:%d", o.Port), Name: o.Name}
	if len(o.Routes) > 0 {
		return s, nil
	}
	if err := s.Ready(ctx); err != nil {
		s.Kill()
		return nil, err
	}
	return s, nil
}

// Ready waits until JetStream answers.
func (s *Server) Ready(ctx context.Context) error {
	return s.Await(ctx, func(ctx context.Context) error {
		c, err := (&net.Dialer{}).DialContext(ctx, "tcp", s.Addr) // a refused connection is the cheapest question
		if err != nil {
			return err
		}
		c.Close()
		_, err = request(ctx, s.Addr, "$JS.API.INFO", nil)
		return err
	})
}
