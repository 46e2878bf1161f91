package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"gregor/internal/node"
	"gregor/internal/zookeeper"
)

const zookeeperStartUsage = `USAGE: zookeeper-server-start [-daemon] zookeeper.properties [--log-level LEVEL]

Starts a ZooKeeper server with the settings of a properties file: Kafka's zookeeper.properties, or a zoo.cfg. It ends on
SIGTERM or Ctrl-C. It serves alone; for an ensemble use Apache ZooKeeper.

  -daemon                    Start in the background; what it logs goes to $LOG_DIR/zookeeper.out
                             (LOG_DIR is ./logs unless it is set). Returns when the server serves.
  --log-level LEVEL          TRACE, DEBUG, INFO (the default), WARN, ERROR.
  --version                  Print the version and end.

Exit code 2 is a file that is missing or wrong, 1 everything else that ends it.

Examples
  zookeeper-server-start config/zookeeper.properties
  zookeeper-server-start -daemon config/zookeeper.properties
`

const zookeeperStopUsage = `USAGE: zookeeper-server-stop [--port=N]

Sends SIGTERM (or $SIGNAL: TERM, INT, KILL, ...) to every ZooKeeper server on this machine that was started by
zookeeper-server-start, or to the one with this clientPort.

Examples
  zookeeper-server-stop
  zookeeper-server-stop --port=2181
  SIGNAL=KILL zookeeper-server-stop
`

// Exit codes of ZooKeeper's own start, org.apache.zookeeper.server.ExitCode.
const (
	zookeeperUnexpected = 1
	zookeeperBadConfig  = 2
)

// zookeeperFlags are the options of zookeeper-server-start.
type zookeeperFlags struct {
	file   string
	level  slog.Level
	daemon bool
}

// parseZookeeperStart reads the command line. Options of kafka-run-class that only a JVM knows are passed over.
func parseZookeeperStart(args []string) (zookeeperFlags, error) {
	f := zookeeperFlags{level: slog.LevelInfo}
	for len(args) > 0 {
		name, value, hasValue := strings.Cut(args[0], "=")
		args = args[1:]
		if !hasValue && (name == "--log-level" || name == "-name") {
			if len(args) == 0 {
				return f, fmt.Errorf("option %s requires an argument", strings.TrimLeft(name, "-"))
			}
			value, args = args[0], args[1:]
		}
		var err error
		switch {
		case name == "-daemon" || name == "--daemon":
			f.daemon = true
		case name == "--log-level":
			if f.level, err = node.ParseLevel(value); err != nil {
				return f, err
			}
		case name == "--help" || name == "-h":
			return f, errHelp
		case name == "--version":
			return f, errVersion
		case name == "-loggc", name == "-name":
		case strings.HasPrefix(name, "-"):
			return f, fmt.Errorf("%s is not a recognized option", strings.TrimLeft(name, "-"))
		case f.file == "":
			f.file = name
			if hasValue {
				f.file += "=" + value
			}
		default:
			return f, fmt.Errorf("found non argument parameter: %s", name)
		}
	}
	if f.file == "" {
		return f, errors.New("the properties file is missing")
	}
	return f, nil
}

func runZookeeperStart(ctx context.Context, args []string, io IO, serve func()) int {
	f, err := parseZookeeperStart(args)
	if err != nil {
		return notStarted(err, zookeeperStartUsage, io)
	}
	fail := func(code int, err error) int {
		fmt.Fprintln(io.Err, "zookeeper-server-start:", err)
		return code
	}
	c, err := zookeeper.ParseConfig(f.file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fail(zookeeperBadConfig, fmt.Errorf("%s: no such file; config/zookeeper.properties is one to begin with", f.file))
	case err != nil:
		return fail(zookeeperBadConfig, err)
	}
	if f.daemon {
		return startDaemon(ctx, "zookeeper-server-start", "zookeeper", args, io)
	}
	serve()
	ctx, stop := endWithInput(ctx, io)
	defer stop()
	log := node.NewLogs(io.Out, f.level).Part("zookeeper")
	for _, w := range c.Warnings {
		log.Warn(w)
	}
	s, err := zookeeper.Start(ctx, *c, log)
	if ctx.Err() != nil && s == nil {
		log.Info("told to end before the start was over")
		return 0
	}
	if err != nil {
		return fail(zookeeperUnexpected, err)
	}
	tellReady()
	return serveZookeeper(ctx, s, io)
}

// serveZookeeper runs until the context ends or the server cannot go on, and closes it.
func serveZookeeper(ctx context.Context, s *zookeeper.Server, io IO) int {
	code := 0
	select {
	case <-ctx.Done():
	case <-s.Done():
		fmt.Fprintln(io.Err, "zookeeper-server-start:", s.Err())
		code = zookeeperUnexpected
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	if err := s.Close(drain); err != nil && code == 0 {
		fmt.Fprintln(io.Err, "zookeeper-server-start:", err)
		return zookeeperUnexpected
	}
	return code
}

func runZookeeperStop(_ context.Context, args []string, io IO) int {
	port := ""
	for len(args) > 0 {
		name, value, hasValue := strings.Cut(args[0], "=")
		args = args[1:]
		if name == "--help" || name == "-h" {
			fmt.Fprint(io.Out, zookeeperStopUsage)
			return 0
		}
		if !hasValue && len(args) > 0 {
			value, args = args[0], args[1:]
		}
		if name != "--port" || value == "" {
			fmt.Fprintf(io.Err, "%s is not a recognized option, or has no value\n%s", strings.TrimLeft(name, "-"), zookeeperStopUsage)
			return 1
		}
		port = value
	}
	return signalServers(io, "zookeeper-server-stop", "No zookeeper server to stop", func(all []runningProcess) []int {
		return zookeepersAmong(all, os.Getpid(), port)
	})
}

// zookeepersAmong finds the processes that run a ZooKeeper server, by their command lines, or the one that serves a port,
// by its configuration.
func zookeepersAmong(all []runningProcess, self int, port string) (pids []int) {
	for _, p := range all {
		rest, ok := serverArgs(p.args, "zookeeper-server-start")
		if !ok || p.pid == self {
			continue
		}
		f, err := parseZookeeperStart(rest)
		if port != "" {
			if err != nil {
				continue
			}
			if !filepath.IsAbs(f.file) {
				f.file = filepath.Join(p.dir, f.file)
			}
			c, err := zookeeper.ParseConfig(f.file)
			if err != nil || strconv.Itoa(c.ClientPort) != port {
				continue
			}
		}
		pids = append(pids, p.pid)
	}
	return pids
}
