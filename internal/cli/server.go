package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"gregor/internal/config"
	"gregor/internal/node"
)

// ServerCommands are the commands that run a server in this process, and those that end one. serve is called before a
// server starts: for what concerns the whole process and so is not decided here, such as the garbage collector.
func ServerCommands(serve func()) []Command {
	return []Command{
		{
			Name: "up", Summary: "Start a broker on localhost:9092 with its data in ./data: the shortest way to try it.",
			Run: func(ctx context.Context, args []string, io IO) int { return runUp(ctx, args, io, serve) },
		},
		{
			Name: "server-start", Script: "kafka-server-start", Summary: "Start a broker from a properties file.",
			Run: func(ctx context.Context, args []string, io IO) int { return runServerStart(ctx, args, io, serve) },
		},
		{
			Name: "server-stop", Script: "kafka-server-stop", Summary: "End the brokers of this machine that server-start and up started.",
			Run: runServerStop,
		},
		tutorialCommand(),
		{
			Name: "zookeeper-server-start", Script: "zookeeper-server-start", Summary: "Start a ZooKeeper server from a properties file.",
			Run: func(ctx context.Context, args []string, io IO) int { return runZookeeperStart(ctx, args, io, serve) },
		},
		{
			Name: "zookeeper-server-stop", Script: "zookeeper-server-stop", Summary: "End the ZooKeeper servers of this machine that zookeeper-server-start started.",
			Run: runZookeeperStop,
		},
	}
}

// shutdownTimeout is how long a broker that is told to end lets replies leave.
const shutdownTimeout = 5 * time.Second

// serverFlags are the options of server-start.
type serverFlags struct {
	file      string
	overrides []string
	level     slog.Level
	daemon    bool
}

const serverStartUsage = `USAGE: kafka-server-start [-daemon] server.properties [--override property=value]* [--log-level LEVEL]

Starts a broker with the settings of a properties file. It ends on SIGTERM or Ctrl-C.

  -daemon                    Start in the background; what it logs goes to $LOG_DIR/kafkaServer.out
                             (LOG_DIR is ./logs unless it is set). Returns when the broker serves.
  --override property=value  Set a property, over the file's. May be repeated.
  --log-level LEVEL          TRACE, DEBUG, INFO (the default), WARN, ERROR. While the broker runs:
                             kafka-configs --entity-type broker-loggers.
  --version                  Print the version and end.

Examples
  kafka-server-start config/server.properties
  kafka-server-start -daemon config/server.properties --override listeners=PLAINTEXT://:9093 \
                     --override advertised.listeners=PLAINTEXT://localhost:9093 --override log.dirs=/tmp/b
`

// parseServerStart reads the command line. Options of kafka-run-class that only a JVM knows are passed over.
func parseServerStart(args []string) (serverFlags, error) {
	f := serverFlags{level: slog.LevelInfo}
	for len(args) > 0 {
		word := args[0]
		args = args[1:]
		name, value, hasValue := strings.Cut(word, "=")
		take := func() (string, error) {
			if hasValue {
				return value, nil
			}
			if len(args) == 0 {
				return "", fmt.Errorf("option %s requires an argument", strings.TrimLeft(name, "-"))
			}
			v := args[0]
			args = args[1:]
			return v, nil
		}
		switch {
		case word == "-daemon" || word == "--daemon":
			f.daemon = true
		case name == "--override":
			v, err := take()
			if err != nil {
				return f, err
			}
			f.overrides = append(f.overrides, v)
		case name == "--log-level":
			v, err := take()
			if err != nil {
				return f, err
			}
			if f.level, err = node.ParseLevel(v); err != nil {
				return f, err
			}
		case word == "--help" || word == "-h":
			return f, errHelp
		case word == "--version":
			return f, errVersion
		case word == "-loggc":
		case word == "-name":
			if _, err := take(); err != nil {
				return f, err
			}
		case strings.HasPrefix(word, "-"):
			return f, fmt.Errorf("%s is not a recognized option", strings.TrimLeft(word, "-"))
		case f.file == "":
			f.file = word
		default:
			return f, fmt.Errorf("found non argument parameter: %s", word)
		}
	}
	if f.file == "" {
		return f, errors.New("the properties file is missing")
	}
	return f, nil
}

// notStarted answers arguments that ask for help or the version, or that are wrong, and returns the exit code.
func notStarted(err error, usage string, io IO) int {
	switch {
	case errors.Is(err, errHelp):
		fmt.Fprint(io.Out, usage)
		return 0
	case errors.Is(err, errVersion):
		fmt.Fprintln(io.Out, KafkaVersion)
		return 0
	}
	fmt.Fprintf(io.Err, "%v\n%s", err, usage)
	return 1
}

func runServerStart(ctx context.Context, args []string, io IO, serve func()) int {
	f, err := parseServerStart(args)
	if err != nil {
		return notStarted(err, serverStartUsage, io)
	}
	props, err := serverProperties(f)
	if err != nil {
		fmt.Fprintln(io.Err, "server-start:", err)
		return 1
	}
	values, warnings, err := config.ParseBroker(props)
	if err != nil {
		fmt.Fprintf(io.Err, "server-start: %s: %v\n", f.origin(err), err)
		return 1
	}
	if f.daemon {
		return startDaemon(ctx, "server-start", "kafkaServer", args, io)
	}
	serve()
	ctx, stop := endWithInput(ctx, io)
	defer stop()
	logs := node.NewLogs(io.Out, f.level)
	warn(logs, warnings)
	if stale := leftBehind(f, values); stale != "" {
		logs.Part("config").Warn(stale)
	}
	n, err := node.Start(ctx, node.Options{Config: values, Logs: logs})
	if ctx.Err() != nil && n == nil {
		logs.Part("node").Info("told to end before the start was over")
		return 0
	}
	if err != nil {
		fmt.Fprintln(io.Err, "server-start:", err)
		return 1
	}
	tellReady()
	return serveUntil(ctx, n, io)
}

// warn logs keys without effect, one line for all of a kind.
func warn(logs *node.Logs, warnings []config.Warning) {
	var order []string
	keys := map[string][]string{}
	for _, w := range warnings {
		if keys[w.Message] == nil {
			order = append(order, w.Message)
		}
		keys[w.Message] = append(keys[w.Message], w.Key)
	}
	for _, message := range order {
		logs.Part("config").Warn(message, "keys", strings.Join(keys[message], ","))
	}
}

// leftBehind says what to add when --override moves the listeners, and the file's advertised.listeners stay where nobody
// listens any more: clients would connect once, and be sent there. A port may be advertised on purpose that is not the
// broker's, of a proxy say, so this is no error.
func leftBehind(f serverFlags, v *config.Values) string {
	overridden := func(key string) bool {
		return slices.ContainsFunc(f.overrides, func(o string) bool { return strings.HasPrefix(o, key+"=") })
	}
	if !overridden("listeners") || overridden("advertised.listeners") {
		return ""
	}
	ls, err := v.Listeners()
	if err != nil {
		return "" // the start says it
	}
	for _, a := range ls.Advertised {
		i := slices.IndexFunc(ls.Broker, func(l config.Listener) bool { return l.Name == a.Name })
		if i < 0 || a.Port == 0 || slices.ContainsFunc(ls.Broker, func(l config.Listener) bool { return l.Name == a.Name && l.Port == a.Port }) {
			continue
		}
		moved := a
		moved.Port = ls.Broker[i].Port
		return fmt.Sprintf("--override moves listener %s to port %d, but %s still sends clients to %s; add --override advertised.listeners=%s",
			a.Name, moved.Port, f.file, a, moved)
	}
	return ""
}

// origin is where the value that err is about was given.
func (f *serverFlags) origin(err error) string {
	var bad *config.Error
	if errors.As(err, &bad) && slices.ContainsFunc(f.overrides, func(pair string) bool {
		key, _, _ := strings.Cut(pair, "=")
		return strings.TrimSpace(key) == bad.Key
	}) {
		return "--override"
	}
	return f.file
}

func serverProperties(f serverFlags) (map[string]string, error) {
	props, err := config.ReadProperties(f.file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: no such file; config/server.properties is one to begin with", f.file)
	}
	if err != nil {
		return nil, err
	}
	return props, config.Override(props, f.overrides)
}

// serveUntil runs until the context ends or the node cannot go on, and closes it.
func serveUntil(ctx context.Context, n *node.Node, io IO) int {
	code := 0
	select {
	case <-ctx.Done():
	case <-n.Failed():
		fmt.Fprintln(io.Err, "gregor:", n.Err())
		code = 1
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	if err := n.Close(drain); err != nil {
		fmt.Fprintln(io.Err, "gregor:", err)
		return 1
	}
	return code
}

// readyEnv names the file descriptor on which a broker in the background tells that it serves.
const readyEnv = "GREGOR_READY_FD"

// tellReady tells whoever started this process in the background that it serves.
func tellReady() {
	if os.Getenv(readyEnv) != "3" {
		return
	}
	f := os.NewFile(3, "ready")
	if f == nil {
		return
	}
	_, _ = f.WriteString("ready\n")
	_ = f.Close()
}
