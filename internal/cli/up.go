package cli

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"gregor/internal/config"
	"gregor/internal/node"
)

// runUp starts a broker, or a cluster of several, for trying things out: all defaults, but for what a single machine wants
// otherwise.
func runUp(ctx context.Context, args []string, io IO, serve func()) int {
	began := time.Now()
	f := newFlags(Command{Name: "up", Summary: "Start a broker, or a cluster of several, on localhost with the data in a directory of yours. It ends on Ctrl-C."})
	data := f.String("data", "DIR", "Where the data is kept; made if it is not there.").Default("data")
	port := f.Int("port", "N", "The port to listen at on localhost; 0 takes a free one.").Default("9092")
	brokers := f.Int("brokers", "N", "How many brokers, each a process and a controller too; they listen at --port and the ports behind it.").Default("1")
	level := f.String("log-level", "LEVEL", "What to log on standard error: TRACE, DEBUG, INFO, WARN or ERROR.").Default("WARN")
	f.Examples = []string{"gregor up", "gregor up --data /tmp/k --port 19092", "gregor up --brokers 3"}
	if err := f.Parse(args); err != nil {
		return report(err, f, io)
	}
	if len(f.Rest) > 0 {
		return report(Usagef("%s: no such argument", f.Rest[0]), f, io)
	}
	if n := port.Int(); n < 0 || n > 65535 {
		return report(Usagef("--port %d: must be from 0 to 65535", n), f, io)
	}
	var lv slog.Level
	lv, err := node.ParseLevel(level.Value())
	if err != nil {
		return report(Usagef("%v", err), f, io)
	}
	dir, err := filepath.Abs(data.Value())
	if err != nil {
		return report(err, f, io)
	}
	if n := brokers.Int(); n < 1 || n > maxUpBrokers {
		return report(Usagef("--brokers %d: must be from 1 to %d", n, maxUpBrokers), f, io)
	}
	if n := brokers.Int(); n > 1 {
		l, err := layOut(n, port.Int(), dir)
		if err != nil {
			return report(err, f, io)
		}
		return runUpCluster(ctx, l, data.Value(), level.Value(), io)
	}
	if _, err := os.Stat(filepath.Join(dir, "broker-1.properties")); err == nil {
		fmt.Fprintf(io.Err, "gregor up: %s holds the data of a cluster; start it with --brokers, or use another directory (gregor up --data DIR)\n", data.Value())
		return 1
	}
	values, _, err := config.ParseBroker(map[string]string{
		"listeners": "PLAINTEXT://localhost:" + strconv.Itoa(port.Int()),
		"log.dirs":  dir,
		// Somebody who tries a group on one machine does not want to wait for members that join later.
		"group.initial.rebalance.delay.ms": "0",
	})
	if err != nil {
		return report(err, f, io)
	}
	serve()
	n, err := node.Start(ctx, node.Options{Config: values, Logs: node.NewLogs(io.Err, lv)})
	if ctx.Err() != nil && n == nil {
		fmt.Fprintln(io.Out, "Ended before the start was over.")
		return 0
	}
	if err != nil {
		fmt.Fprintln(io.Err, "gregor up:", upHint(err, port.Int()))
		return 1
	}
	fmt.Fprint(io.Out, upText(n.Addr(""), data.Value(), time.Since(began)))
	code := serveUntil(ctx, n, io)
	if code == 0 {
		fmt.Fprintln(io.Out, "Stopped. The data is kept in "+data.Value()+".")
	}
	return code
}

// upHint puts what to change into the words of this command's flags.
func upHint(err error, port int) string {
	text := err.Error()
	if i := strings.Index(text, "; stop it, or use another port"); i >= 0 {
		text = text[:i] + fmt.Sprintf("; stop it, or use another port: gregor up --port %d", port+1)
	}
	return strings.ReplaceAll(text, "use another directory in log.dirs", "use another directory (gregor up --data DIR)")
}

func upText(addr, data string, took time.Duration) string {
	host, port, _ := net.SplitHostPort(addr)
	if host == "127.0.0.1" {
		addr = net.JoinHostPort("localhost", port)
	}
	return fmt.Sprintf(`A Kafka broker listens at %[1]s; its data is in %[2]s (started in %[3]d ms).

Type next, in a second terminal:

  bin/kafka-topics.sh --bootstrap-server %[1]s --create --topic hello
  echo "hello, world" | bin/kafka-console-producer.sh --bootstrap-server %[1]s --topic hello
  bin/kafka-console-consumer.sh --bootstrap-server %[1]s --topic hello --from-beginning

Ctrl-C ends the broker.
`, addr, data, took.Milliseconds())
}
