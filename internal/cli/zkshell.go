package cli

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"gregor/internal/zookeeper/proto"
)

const zkShellUsage = `USAGE: zookeeper-shell zookeeper_host:port[/path] [-zk-tls-config-file file] [args...]

Talks to a ZooKeeper server, of ours or Apache's: with a command it runs that one, without it reads commands, on a
terminal with line editing, history and completion of paths (Tab).

  -zk-tls-config-file file   A properties file with zookeeper.ssl.* keys: talk TLS.
  -timeout ms                The session's timeout (30000).
  -waitforconnection         Wait for the connection before the first command.
  -r                         Accepted as ZooKeeper accepts it: servers here are never read-only.
  --output text|json         With one of ls, get, stat: print the result alone, as text or as JSON.

Commands
`

const zkShellExamples = `
Examples
  zookeeper-shell localhost:2181
  zookeeper-shell localhost:2181 ls -R /brokers
  zookeeper-shell localhost:2181 get -s /controller
  zookeeper-shell localhost:2181/kafka create -e /mine "some data"
  zookeeper-shell localhost:2181 --output json stat /brokers/ids/0
`

// zkVersion is the release of ZooKeeper whose shell this is.
const zkVersion = "3.8.4"

// Exit codes of ZooKeeper's shell (CliException).
const (
	zkFailed         = 1
	zkUnknownCommand = 127
)

func zookeeperShellCommand() Command {
	return Command{
		Name: "zookeeper-shell", Script: "zookeeper-shell", Summary: "Talk to a ZooKeeper server: one command, or a dialogue.",
		Run: runZookeeperShell,
		Words: func() []string {
			return append(slices.Sorted(maps.Keys(zkCommands())), "-zk-tls-config-file", "-timeout", "-waitforconnection", "-r", "--output", "--help")
		},
	}
}

// zkFlags is the command line before the shell's command.
type zkFlags struct {
	server  string
	tlsFile string
	timeout time.Duration
	wait    bool
	output  string   // "", "text" or "json"
	command []string // empty: a dialogue
}

func parseZkShell(args []string) (zkFlags, error) {
	f := zkFlags{timeout: 30 * time.Second}
	for len(args) > 0 {
		word := args[0]
		name, value, hasValue := strings.Cut(word, "=")
		if f.server != "" && !strings.HasPrefix(word, "-") {
			f.command = args
			return f, nil
		}
		args = args[1:]
		if slices.Contains([]string{"-zk-tls-config-file", "-timeout", "--output", "-server"}, name) && !hasValue {
			if len(args) == 0 {
				return f, fmt.Errorf("no argument found for option %s", name)
			}
			value, args = args[0], args[1:]
		}
		switch name {
		case "--help", "-h":
			return f, errHelp
		case "--version":
			return f, errVersion
		case "-zk-tls-config-file":
			f.tlsFile = value
		case "-timeout":
			ms, err := strconv.ParseInt(value, 10, 32)
			if err != nil || ms < 1 {
				return f, fmt.Errorf("-timeout %s: must be a number of milliseconds, 1 or more", value)
			}
			f.timeout = time.Duration(ms) * time.Millisecond
		case "-waitforconnection":
			f.wait = true
		case "-r":
		case "--output":
			if value != "text" && value != "json" {
				return f, fmt.Errorf("--output %s: must be text or json", value)
			}
			f.output = value
		case "-server":
			f.server = value
		default:
			if strings.HasPrefix(word, "-") {
				return f, fmt.Errorf("%s is not a recognized option", strings.TrimLeft(name, "-"))
			}
			f.server = word
		}
	}
	if f.server == "" {
		return f, errors.New("the server is missing")
	}
	return f, nil
}

// zkShell is a dialogue with a server.
type zkShell struct {
	io      IO
	mu      sync.Mutex // guards writing: events come by themselves
	flags   zkFlags
	tls     *tls.Config
	zk      *zkClient
	server  string
	quiet   bool // nothing but the result
	watches bool // whether events are printed
	history []string
	code    int
	ended   bool // by quit
}

func runZookeeperShell(ctx context.Context, args []string, io IO) int {
	f, err := parseZkShell(args)
	switch {
	case errors.Is(err, errHelp):
		fmt.Fprint(io.Out, zkShellUsage)
		printZkCommands(io.Out)
		fmt.Fprint(io.Out, zkShellExamples)
		return 0
	case errors.Is(err, errVersion):
		fmt.Fprintln(io.Out, KafkaVersion)
		return 0
	case err != nil:
		fmt.Fprintf(io.Err, "Error: %v\nUSAGE: zookeeper-shell zookeeper_host:port[/path] [-zk-tls-config-file file] [args...]\n", err)
		return 1
	}
	s := &zkShell{io: io, flags: f, server: f.server, watches: true, quiet: f.output != ""}
	if f.tlsFile != "" {
		if s.tls, err = zkTLS(f.tlsFile); err != nil {
			fmt.Fprintln(io.Err, "Error:", err)
			return 1
		}
	}
	if _, _, err := parseConnectString(f.server); err != nil {
		fmt.Fprintln(io.Err, "Error:", err)
		return 1
	}
	if !s.quiet {
		fmt.Fprintln(io.Out, "Connecting to "+f.server)
	}
	if f.wait {
		if err := s.connect(ctx, f.server); err != nil {
			return s.fail(err)
		}
		if _, err := s.zk.call(ctx, &proto.SyncRequest{Path: s.zk.withChroot("/")}); err != nil {
			s.fail(zkErrorf("%v", err))
			return zkFailed
		}
	}
	if len(f.command) > 0 {
		s.execute(ctx, f.command)
	} else {
		s.dialogue(ctx)
	}
	if ctx.Err() != nil {
		s.code = interrupted
	}
	s.leave()
	return s.code
}

// zkTLS makes the settings of TLS from ZooKeeper's keys, which are Kafka's with a word in front.
func zkTLS(file string) (*tls.Config, error) {
	props, err := LoadProperties(file)
	if err != nil {
		return nil, err
	}
	ssl := map[string]string{"security.protocol": "SSL"}
	for key, value := range props {
		if rest, ok := strings.CutPrefix(key, "zookeeper.ssl."); ok {
			ssl["ssl."+rest] = value
		}
	}
	return tlsConfig(ssl)
}

// connect begins a session, after the end of the one that is there.
func (s *zkShell) connect(ctx context.Context, server string) (err error) {
	if s.zk != nil && s.zk.current() <= zkConnected {
		s.zk.close()
	}
	s.server = server
	s.zk, err = dialZookeeper(ctx, server, s.flags.timeout, s.tls, s.tell)
	if err != nil {
		return zkErrorf("%v", err)
	}
	return nil
}

// tell prints an event.
func (s *zkShell) tell(e zkEvent) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.watches && !s.quiet {
		fmt.Fprintf(s.io.Out, "\nWATCHER::\n\n%s\n", e)
	}
}

// print writes what a command answers.
func (s *zkShell) print(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintf(s.io.Out, format, args...)
}

// warn writes to standard error.
func (s *zkShell) warn(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintf(s.io.Err, format+"\n", args...)
}

// fail prints an error and keeps its exit code, which is the shell's unless another command follows.
func (s *zkShell) fail(err error) int {
	s.code = zkFailed
	var known *zkError
	if errors.As(err, &known) {
		s.code = known.code
	}
	s.warn("%v", err)
	return s.code
}

// leave ends the session without a word.
func (s *zkShell) leave() {
	if s.zk == nil {
		return
	}
	s.mu.Lock()
	s.watches = false
	s.mu.Unlock()
	s.zk.close()
}

// zkError is an error of a command, with the exit code that it gives.
type zkError struct {
	text string
	code int
}

func (e *zkError) Error() string { return e.text }

func zkErrorf(format string, args ...any) error {
	return &zkError{text: fmt.Sprintf(format, args...), code: zkFailed}
}

// execute runs one command and prints what goes wrong.
func (s *zkShell) execute(ctx context.Context, words []string) {
	err := s.run(ctx, words)
	switch {
	case s.ended: // the code is that of the command before
	case err != nil:
		s.fail(err)
	default:
		s.code = 0
	}
}

func (s *zkShell) run(ctx context.Context, words []string) error {
	if words[0] == "help" {
		printZkCommands(s.io.Out)
		return nil
	}
	c, ok := zkCommands()[words[0]]
	if !ok {
		s.warn("ZooKeeper -server host:port [-zk-tls-config-file <file>] cmd args")
		printZkCommands(s.io.Err)
		return &zkError{"Command not found: Command not found " + words[0], zkUnknownCommand}
	}
	if (c.local == nil || words[0] == "version") && s.zk != nil && s.zk.current() > zkConnected {
		s.print("Not connected\n")
		return nil
	}
	a, err := parseZkArgs(c, words[0], words[1:])
	if err != nil {
		return err
	}
	if c.local != nil {
		return c.local(s, ctx, a)
	}
	if c.watched && len(a.args) > 1 {
		s.warn("'%s path [watch]' has been deprecated. Please use '%[1]s %s' instead.", words[0], strings.Replace(c.usage, "[-s] [-w] [-R]", "[-w]", 1))
		a.flags['w'] = ""
	}
	if s.zk == nil {
		if err := s.connect(ctx, s.server); err != nil {
			return err
		}
	}
	if s.flags.output == "json" && !c.json {
		return zkErrorf("--output json is for ls, get and stat, not for %s", words[0])
	}
	return c.run(s, ctx, a)
}

// dialogue reads commands until the input ends.
func (s *zkShell) dialogue(ctx context.Context) {
	s.print("Welcome to ZooKeeper!\n")
	editor, restore := newLineEditor(s)
	defer restore()
	if editor == nil {
		s.print("JLine support is disabled\n")
	} else {
		s.print("Line editing, history and completion are there; help lists the commands, quit ends.\n")
	}
	if s.zk == nil {
		if err := s.connect(ctx, s.server); err != nil {
			s.fail(err)
			return
		}
	}
	lines := make(chan string)
	ready := make(chan struct{}, 1)
	gone := make(chan struct{})
	defer close(gone)
	go func() {
		defer close(lines)
		next := func() (string, error) { return editor.read(s.prompt()) }
		if editor == nil {
			in := bufio.NewReader(s.io.In)
			next = func() (string, error) { return readLine(in) }
		}
		for {
			line, err := next()
			if err != nil {
				return
			}
			select {
			case lines <- line:
			case <-gone:
				return
			}
			select { // the prompt of the next line shows the state behind this one
			case <-ready:
			case <-gone:
				return
			}
		}
	}()
	for !s.ended {
		select {
		case <-ctx.Done():
			return
		case line, ok := <-lines:
			if !ok {
				return
			}
			s.line(ctx, line)
			ready <- struct{}{}
		}
	}
}

// readLine reads a line without its end. The last one needs none.
func readLine(in *bufio.Reader) (string, error) {
	line, err := in.ReadString('\n')
	if err == io.EOF && line != "" {
		err = nil
	}
	return strings.TrimRight(line, "\r\n"), err
}

func (s *zkShell) prompt() string {
	state := zkConnecting
	if s.zk != nil {
		state = s.zk.current()
	}
	return fmt.Sprintf("[zk: %s(%s) %d] ", s.server, state, len(s.history))
}

// line runs one line of a dialogue and remembers it.
func (s *zkShell) line(ctx context.Context, line string) {
	words := zkWords(line)
	if len(words) == 0 {
		return
	}
	s.history = append(s.history, line)
	s.execute(ctx, words)
}

// zkWord is a word of a line: in quotes, or without blanks.
var zkWord = regexp.MustCompile(`\s*([^"'\s]\S*|"[^"]*"|'[^']*')\s*`)

func zkWords(line string) (words []string) {
	for _, m := range zkWord.FindAllStringSubmatch(line, -1) {
		w := m[1]
		if len(w) > 1 && (w[0] == '"' || w[0] == '\'') && w[len(w)-1] == w[0] {
			w = w[1 : len(w)-1]
		}
		words = append(words, w)
	}
	return words
}

func printZkCommands(w io.Writer) {
	for _, name := range slices.Sorted(maps.Keys(zkCommands())) {
		fmt.Fprintf(w, "\t%s %s\n", name, zkCommands()[name].usage)
	}
}

// zkHint says what to do about a connection that is not there.
func (s *zkShell) zkHint() string {
	return fmt.Sprintf("Nothing answers at %s as a ZooKeeper server does. Start it (bin/zookeeper-server-start.sh config/zookeeper.properties), or correct the address.", s.server)
}
