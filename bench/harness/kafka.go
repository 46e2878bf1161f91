package harness

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"gregor/test/reference"
)

// broker is one process that speaks Kafka's protocol, and has Kafka's directories.
type broker struct {
	*Process
	addr string
	dirs []string // of its topics
	*admin
	tools func(ctx context.Context, name string, args ...string) (*exec.Cmd, error)
	bin   string // the directory of its project's scripts; empty: it has none
}

// Tool is a command that runs one of the tools that come with the broker: "topics", "producer-perf-test".
func (b *broker) Tool(ctx context.Context, name string, args ...string) (*exec.Cmd, error) {
	return b.tools(ctx, name, args...)
}

// Script is the same by the script that users have.
func (b *broker) Script(ctx context.Context, name string, args ...string) (*exec.Cmd, error) {
	file := filepath.Join(b.bin, "kafka-"+name+".sh")
	if _, err := os.Stat(file); b.bin == "" || err != nil {
		return nil, ErrNotThisOne
	}
	return exec.CommandContext(ctx, file, args...), nil
}

func (b *broker) Addrs() []string { return []string{b.addr} }
func (b *broker) Pids() []int     { return []int{b.Pid()} }

func (b *broker) Create(ctx context.Context, t Topic) error { return b.create(ctx, t) }

func (b *broker) Drop(ctx context.Context, t Topic) error {
	if err := b.drop(ctx, t); err != nil {
		return err
	}
	return Gone(ctx, b.dirs, t.Name)
}

func (b *broker) Close() error {
	b.close()
	b.Kill()
	return nil
}

// Restart starts the process again on its data, after Kill or Stop, and returns when it answers.
func (b *broker) Restart(ctx context.Context) (err error) {
	if b.Process, err = b.Again(); err != nil {
		return err
	}
	return b.Ready(ctx, b.addr)
}

// Gone waits until nothing of a topic is in the log directories.
func Gone(ctx context.Context, dirs []string, topic string) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		var there []string
		for _, dir := range dirs {
			found, err := filepath.Glob(filepath.Join(dir, topic+"-*"))
			if err != nil {
				return err
			}
			there = append(there, found...)
		}
		if len(there) == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s is still there: %w", there[0], context.Cause(ctx))
		case <-tick.C:
		}
	}
}

// common is the configuration of Kafka's broker and of ours.
func common(port int, dir string, extra []string) []string {
	return append([]string{
		"node.id=1",
		"process.roles=broker,controller",
		fmt.Sprintf("controller.quorum.voters=1@localhost:%d", port+1),
		"controller.listener.names=CONTROLLER",
		fmt.Sprintf("listeners=PLAINTEXT://localhost:%d,CONTROLLER://localhost:%d", port, port+1),
		"log.dirs=" + filepath.Join(dir, "data"),
		"offsets.topic.replication.factor=1",
		"transaction.state.log.replication.factor=1",
		"transaction.state.log.min.isr=1",
		"group.initial.rebalance.delay.ms=0",
		"log.retention.check.interval.ms=100",
		"log.segment.delete.delay.ms=100",
		// A server that stands still while another is measured is not one that has died.
		"broker.session.timeout.ms=3600000",
	}, extra...)
}

func writeProperties(dir string, lines []string) (string, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	file := filepath.Join(dir, "server.properties")
	return file, os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o644)
}

func (b *broker) start(ctx context.Context, cmd *exec.Cmd, c Config) (Instance, error) {
	b.addr, b.dirs = fmt.Sprintf("localhost:%d", c.Port), []string{filepath.Join(c.Dir, "data")}
	var err error
	if b.Process, err = StartProcess(cmd, c.Dir); err != nil {
		return nil, err
	}
	if err = b.Ready(ctx, b.addr); err == nil {
		if b.admin, err = newAdmin(b.Addrs()); err == nil {
			return b, nil
		}
	}
	b.Kill()
	return nil, err
}

// startOne starts a single node; command is how it starts on its configuration.
func startOne(ctx context.Context, b *broker, c Config, command func(node Config, file string) (*exec.Cmd, error)) (Instance, error) {
	file, err := writeProperties(c.Dir, common(c.Port, c.Dir, c.Extra))
	if err != nil {
		return nil, err
	}
	cmd, err := command(c, file)
	if err != nil {
		return nil, err
	}
	return b.start(ctx, cmd, c)
}

// Gregor is our broker. Several with names of their own are builds to be compared.
type Gregor struct {
	As     string // its name
	Binary string
}

// Name is the name.
func (g Gregor) Name() string { return g.As }

// Start starts a process for each node.
func (g Gregor) Start(ctx context.Context, c Config) (Instance, error) {
	command := func(_ Config, file string) (*exec.Cmd, error) {
		return exec.Command(g.Binary, "server-start", file), nil
	}
	if c.Nodes > 1 {
		return startCluster(ctx, c, command)
	}
	b := &broker{bin: filepath.Join(filepath.Dir(filepath.Dir(g.Binary)), "bin")}
	b.tools = func(ctx context.Context, name string, args ...string) (*exec.Cmd, error) {
		return exec.CommandContext(ctx, g.Binary, append([]string{name}, args...)...), nil
	}
	return startOne(ctx, b, c, command)
}

// Apache is Apache Kafka, with the options that its own scripts give to Java.
type Apache struct{}

// Name is "apache".
func (Apache) Name() string { return "apache" }

// Settles says that it runs in Java: with three brokers on two cores it is half a minute before it is as fast as it gets.
func (Apache) Settles() {}

// ApacheJava is what kafka-server-start.sh and kafka-run-class.sh give to Java.
var ApacheJava = []string{"-Xmx1G", "-Xms1G", "-server", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20", "-XX:InitiatingHeapOccupancyPercent=35",
	"-XX:+ExplicitGCInvokesConcurrent", "-XX:MaxInlineLevel=15", "-Djava.awt.headless=true"}

// quietLogs makes it write errors alone.
var quietLogs = []string{"-Dorg.slf4j.simpleLogger.defaultLogLevel=error",
	"-Dlog4j2.loggerContextFactory=org.apache.logging.log4j.simple.SimpleLoggerContextFactory"}

// Start formats the directories and starts a process for each node.
func (Apache) Start(ctx context.Context, c Config) (Instance, error) {
	k, err := reference.Fetch(ctx, reference.Version)
	if err != nil {
		return nil, err
	}
	command := func(node Config, file string) (*exec.Cmd, error) {
		if err := format(ctx, k, node.Dir, file); err != nil {
			return nil, err
		}
		args := append(append([]string{}, ApacheJava...), quietLogs...)
		return exec.Command("java", append(args, "-cp", k.ClassPath(), "kafka.Kafka", file)...), nil
	}
	c.Extra = append([]string{"log.initial.task.delay.ms=100"}, c.Extra...)
	if c.Nodes > 1 {
		return startCluster(ctx, c, command)
	}
	b := &broker{tools: func(ctx context.Context, name string, args ...string) (*exec.Cmd, error) {
		return k.FastTool(ctx, "256M", name, args...)
	}}
	return startOne(ctx, b, c, command)
}

// format has Kafka's storage tool prepare a directory, once.
func format(ctx context.Context, k *reference.Kafka, dir, file string) error {
	if _, err := os.Stat(filepath.Join(dir, "data", "meta.properties")); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	tool, err := k.Tool(ctx, "storage", "format", "-t", "BenchKafkaClusterId000", "-c", file)
	if err != nil {
		return err
	}
	if out, err := tool.CombinedOutput(); err != nil {
		return fmt.Errorf("format %s: %w\n%s", dir, err, out)
	}
	return nil
}
