package interop

import (
	"context"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"gregor/test/reference"
	zk "gregor/test/zookeeper"
)

// zkClientVaries are what differs from run to run in what Apache's client and shell print.
var zkClientVaries = regexp.MustCompile(`(0x[0-9a-f]{2,}|localhost:\d+|[A-Z][a-z]{2} [A-Z][a-z]{2} \d+ [\d:]+ \S+ \d{4}|\[[A-Za-z-]*Thread[^]]*\]|\[main[^]]*\]|\d+ms)`)

// TestZooKeeperJava runs Apache ZooKeeper's client and its shell against our server and Apache's, and compares what they
// print.
func TestZooKeeperJava(t *testing.T) {
	k, err := reference.Fetch(t.Context(), reference.VersionZooKeeper)
	if err != nil {
		t.Fatal(err)
	}
	classes, err := k.Compile(t.Context(), filepath.Join("java", "ZooKeeperClient.java"))
	if err != nil {
		t.Fatal(err)
	}
	ours, apache := zkPair(t, zk.Options{Extra: []string{"extendedTypesEnabled=true"}})
	run := func(s *zk.Server) []string {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		defer cancel()
		out, err := k.Java(ctx, classes, "ZooKeeperClient", s.Addr, filepath.Join("testdata", "zookeeper", "shell.txt")).CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return strings.Split(zkClientVaries.ReplaceAllString(string(out), "X"), "\n")
	}
	a, b := run(ours), run(apache)
	t.Logf("Apache's server:\n%s", strings.Join(b, "\n"))
	differ(t, a, b)
}
