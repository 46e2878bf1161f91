package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"gregor/internal/config"
)

const serverStopUsage = `USAGE: kafka-server-stop [--node-id=N] [--process-role=broker|controller]

Sends SIGTERM (or $SIGNAL: TERM, INT, KILL, ...) to every broker on this machine that was started by server-start or up,
or to those with this node id or role.

Examples
  kafka-server-stop
  kafka-server-stop --node-id=2
  SIGNAL=KILL kafka-server-stop --node-id=2
`

// runningProcess is one process of this machine.
type runningProcess struct {
	pid  int
	args []string
	dir  string // its working directory; "" if it is not known
}

func runServerStop(_ context.Context, args []string, io IO) int {
	var nodeID, role string
	for len(args) > 0 {
		name, value, hasValue := strings.Cut(args[0], "=")
		args = args[1:]
		if name == "--help" {
			fmt.Fprint(io.Out, serverStopUsage)
			return 0
		}
		if !hasValue && len(args) > 0 {
			value, args = args[0], args[1:]
		}
		switch name {
		case "--node-id":
			nodeID = value
		case "--process-role":
			role = value
		default:
			fmt.Fprintf(io.Err, "%s is not a recognized option\n%s", strings.TrimLeft(name, "-"), serverStopUsage)
			return 1
		}
	}
	return signalServers(io, "server-stop", "No kafka server to stop", func(all []runningProcess) []int {
		return brokersAmong(all, os.Getpid(), nodeID, role)
	})
}

// signalServers sends $SIGNAL to the processes of this machine that find picks, and says so if there are none.
func signalServers(io IO, command, nobody string, find func([]runningProcess) []int) int {
	signal, err := signalNamed(os.Getenv("SIGNAL"))
	if err != nil {
		fmt.Fprintf(io.Err, "%s: %v\n", command, err)
		return 1
	}
	all, err := runningProcesses()
	if err != nil {
		fmt.Fprintf(io.Err, "%s: %v\n", command, err)
		return 1
	}
	found := find(all)
	if len(found) == 0 {
		fmt.Fprintln(io.Out, nobody)
		return 1
	}
	code := 0
	for _, pid := range found {
		p, err := os.FindProcess(pid)
		if err == nil {
			err = p.Signal(signal)
		}
		if err != nil && !errors.Is(err, os.ErrProcessDone) {
			fmt.Fprintf(io.Err, "%s: process %d: %v\n", command, pid, err)
			code = 1
		}
	}
	return code
}

// brokersAmong finds the processes that run a broker, by their command lines.
func brokersAmong(all []runningProcess, self int, nodeID, role string) []int {
	var pids []int
	for _, p := range all {
		rest, ok := brokerArgs(p.args)
		if p.pid == self || !ok || !matches(p, rest, nodeID, role) {
			continue
		}
		pids = append(pids, p.pid)
	}
	return pids
}

// brokerArgs returns what follows the command in a command line that runs a broker.
func brokerArgs(args []string) (rest []string, ok bool) {
	return serverArgs(args, "kafka-server-start", "server-start", "up")
}

// serverArgs returns what follows the command in a command line of this program that runs a server: the script's name, or
// gregor and one of the commands.
func serverArgs(args []string, script string, commands ...string) (rest []string, ok bool) {
	if len(args) == 0 {
		return nil, false
	}
	word := func(s string) string {
		return strings.TrimSuffix(strings.TrimSuffix(filepath.Base(s), ".exe"), ".sh")
	}
	if word(args[0]) == script {
		return args[1:], true
	}
	if word(args[0]) == "gregor" && len(args) > 1 && (slices.Contains(commands, args[1]) || word(args[1]) == script) {
		return args[2:], true
	}
	return nil, false
}

// matches tells whether a broker has a node id or, without one, a role; its configuration says so. As for Apache Kafka's
// script, process.roles must be the role and no other; a node whose configuration names none is both, and matches either.
func matches(p runningProcess, rest []string, nodeID, role string) bool {
	if nodeID == "" && role == "" {
		return true
	}
	if role != "" && role != "broker" && role != "controller" {
		return false
	}
	f, err := parseServerStart(rest)
	if err != nil {
		return nodeID == "" && len(p.args) > 1 && p.args[1] == "up"
	}
	if !filepath.IsAbs(f.file) {
		f.file = filepath.Join(p.dir, f.file)
	}
	props, err := serverProperties(f)
	if err != nil {
		return false
	}
	v, _, err := config.ParseBroker(props)
	if err != nil {
		return false
	}
	if nodeID == "" {
		return !v.Has("process.roles") || v.Roles().String() == role
	}
	id, ok := v.NodeID()
	return ok && strconv.Itoa(int(id)) == nodeID
}

func signalNamed(name string) (os.Signal, error) {
	switch strings.TrimPrefix(strings.ToUpper(name), "SIG") {
	case "", "TERM", "15":
		return syscall.SIGTERM, nil
	case "INT", "2":
		return os.Interrupt, nil
	case "KILL", "9":
		return os.Kill, nil
	case "HUP", "1":
		return syscall.SIGHUP, nil
	case "QUIT", "3":
		return syscall.SIGQUIT, nil
	}
	return nil, fmt.Errorf("SIGNAL=%s: must be TERM, INT, HUP, QUIT or KILL", name)
}
