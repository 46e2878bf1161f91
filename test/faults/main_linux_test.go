package faults

import (
	"flag"
	"os"
	"os/exec"
	"testing"

	"gregor/test/server"
)

var (
	rounds   = flag.Int("rounds", 0, "how many faults the cluster goes through; 0 skips the test")
	zkRounds = flag.Int("zookeeper-rounds", -1, "how many a cluster on ZooKeeper goes through; -1: as many")
	txRounds = flag.Int("transaction-rounds", -1, "how many clusters under transactions go through, half with a quorum and half on ZooKeeper; -1: as many")
	seed     = flag.Uint64("seed", 0, "of the random choices; 0: a new one")
	only     = flag.String("only", "", "play this fault alone")
)

func TestMain(m *testing.M) {
	flag.Parse()
	if *rounds > 0 {
		if code, ok := enterNamespace(); ok {
			os.Exit(code)
		}
	}
	server.Main(m)
}

// needNamespaces skips a test where nothing asked for it, or where it cannot run.
func needNamespaces(t *testing.T) {
	t.Helper()
	switch {
	case *rounds == 0:
		t.Skip("run make faults")
	case os.Getenv(privateEnv) == "":
		t.Skip("network namespaces cannot be made here: run make faults on Linux, as root, with unshare, nsenter and ip installed")
	}
}

// command runs a program on a host.
func command(h *host, args ...string) *exec.Cmd {
	args = append(h.enter(), args...)
	return exec.Command(args[0], args[1:]...)
}
