package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"gregor/bench/harness"
)

// Options say how a server runs.
type Options struct {
	Binary string // rabbitmq-server of RabbitMQ itself: Debian's /usr/sbin/rabbitmq-server changes the user
	Dir    string // its data and configuration
	Port   int    // the first of four of 127.0.0.1: AMQP, streams, Erlang's two
}

// Server is a running server.
type Server struct {
	*harness.Process
	AMQP, Streams string // host:port

	epmd *harness.Process // Erlang's port mapper, which would go on when the server has ended
}

// Start starts a server with the plugin for streams and without the one for management, whose statistics take time.
func Start(ctx context.Context, o Options) (_ *Server, err error) {
	config := []string{
		fmt.Sprintf("listeners.tcp.1 = 127.0.0.1:%d", o.Port),
		fmt.Sprintf("stream.listeners.tcp.1 = 127.0.0.1:%d", o.Port+1),
		"tcp_listen_options.nodelay = true",
		"log.console = true",
		"log.console.level = error",
		"log.file = false",
		"disk_free_limit.absolute = 500MB",
		"heartbeat = 0",
	}
	files := map[string]string{"rabbitmq.conf": strings.Join(config, "\n") + "\n", "plugins": "[rabbitmq_stream].\n", ".erlang.cookie": "BENCHBENCHBENCHBENCH", "env": ""}
	if err := os.MkdirAll(o.Dir, 0o755); err != nil {
		return nil, err
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(o.Dir, name), []byte(text), 0o600); err != nil {
			return nil, err
		}
	}
	s := &Server{AMQP: fmt.Sprintf("127.0.0.1:%d", o.Port), Streams: fmt.Sprintf("127.0.0.1:%d", o.Port+1)}
	env := append(os.Environ(),
		"HOME="+o.Dir,
		"ERL_EPMD_ADDRESS=127.0.0.1", fmt.Sprintf("ERL_EPMD_PORT=%d", o.Port+2),
		fmt.Sprintf("RABBITMQ_NODENAME=bench%d@localhost", o.Port), fmt.Sprintf("RABBITMQ_DIST_PORT=%d", o.Port+3),
		"RABBITMQ_CONF_ENV_FILE="+filepath.Join(o.Dir, "env"),
		"RABBITMQ_CONFIG_FILE="+filepath.Join(o.Dir, "rabbitmq.conf"), "RABBITMQ_ENABLED_PLUGINS_FILE="+filepath.Join(o.Dir, "plugins"),
		"RABBITMQ_MNESIA_BASE="+filepath.Join(o.Dir, "data"), "RABBITMQ_LOG_BASE="+filepath.Join(o.Dir, "logs"),
		"RUNNING_UNDER_SYSTEMD=true", // the script becomes Erlang, in place of waiting for it
	)
	run := func(name string, args ...string) (*harness.Process, error) {
		cmd := exec.Command(name, args...)
		cmd.Env = env
		return harness.StartProcess(cmd, o.Dir)
	}
	if s.epmd, err = run("epmd"); err != nil {
		return nil, err
	}
	if s.Process, err = run(o.Binary); err != nil {
		s.epmd.Kill()
		return nil, err
	}
	err = s.Await(ctx, func(ctx context.Context) error {
		a, err := dialAMQP(ctx, s.AMQP)
		if err != nil {
			return err
		}
		b, err := dialStreams(ctx, s.Streams)
		if err != nil {
			return errors.Join(err, a.Close())
		}
		return errors.Join(a.Close(), b.Close())
	})
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// Close kills the server.
func (s *Server) Close() error {
	s.Kill()
	s.epmd.Kill()
	return nil
}
