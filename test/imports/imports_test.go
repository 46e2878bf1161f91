// Package imports holds the test that keeps the imports of this project pointing one way.
package imports

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// rule says what one package of ours, and every package below it, may import from this module.
type rule struct {
	pkg    string   // a path below the module; "internal/journal" also covers "internal/journal/raft"
	may    []string // the packages of ours (and what is below them) that it may import; its own tree is always allowed
	reason string
}

// anything stands for every package of the module.
const anything = "*"

// rules is searched for the longest pkg that fits. A package without a rule fails the test: where a new package
// stands in the order is a decision to make, not one to find later.
var rules = []rule{
	{"", []string{"internal/node", "internal/config"},
		"package gregor is what other programs embed: it starts nodes and knows no part by itself"},
	{"cmd", []string{"", "internal/cli", "internal/node", "internal/config"},
		"the binary picks a command; what a command does is below, where it can be tested"},
	{"internal/node", []string{anything},
		"the only place that joins concrete parts"},
	{"internal/cli", []string{"", "internal/config", "internal/log", "internal/metadata", "internal/node", "internal/placement", "internal/record", "internal/coordinator", "internal/zookeeper"},
		"a tool is a client of a broker or a reader of its files; it never reaches into a running broker"},
	{"internal/broker", []string{"internal/coordinator", "internal/replica", "internal/metadata", "internal/wire", "internal/config", "internal/record", "internal/log", "internal/controller", "internal/forward", "internal/journal", "internal/peer"},
		"handlers translate the protocol to the parts; which journal runs, and how a node is put together, is not theirs to ask"},
	{"internal/forward", []string{"internal/controller", "internal/peer", "internal/wire"},
		"the way to the active controller, wherever it is: it knows the protocol and the local controller, not who asks"},
	{"internal/peer", []string{"internal/wire"},
		"a leaf: connections to other nodes are below everything that has another node to talk to"},
	{"internal/coordinator", []string{"internal/record", "internal/metadata"},
		"a coordinator sees its partition through an interface of its own, so that a scenario can run it without disks or sockets"},
	{"internal/placement", nil, "a leaf: the controller places partitions with it, and a tool that proposes where they could go"},
	{"internal/controller", []string{"internal/journal", "internal/metadata", "internal/placement", "internal/record", "internal/config"},
		"the controller sees the journal as an interface; only node chooses the engine"},
	{"internal/journal", []string{"internal/metadata", "internal/record", "internal/log", "internal/peer", "internal/wire"},
		"a journal makes metadata records durable; it does not interpret them"},
	{"internal/replica", []string{"internal/log", "internal/metadata", "internal/record", "internal/peer"},
		"partitions know their log and who leads, not who asks: connections and coordinators come to them"},
	{"internal/log", []string{"internal/record"},
		"a log on disk is bytes and files; cluster metadata reaches it as plain values"},
	{"internal/metadata", []string{"internal/record"},
		"the image is what everybody may hold, so it may hold nobody; snapshots and records are written as record batches"},
	{"internal/wire", []string{"internal/record"},
		"framing is a leaf: a file range is seen through an interface, not through the log"},
	{"internal/record", nil, "a leaf: the batch format is used from the socket down to the file"},
	{"internal/config", nil, "a leaf: every part reads its keys, so it may need none of them"},
	{"internal/holder", nil, "a leaf: whoever opens a port or a directory says who is in the way"},
	{"internal/zookeeper", []string{"internal/config", "internal/holder", "internal/log/vfs"},
		"a server of its own: nothing of Kafka is in it, but the form of a properties file and the file system under a log"},
	{"internal/zookeeper", nil,
		"a ZooKeeper server is whole by itself: it serves any client, and a broker is only one of them"},
	{"internal/zookeeper/proto", nil, "a leaf: the protocol and the transactions of its files"},
	{"internal/zookeeper/tree", []string{"internal/zookeeper/proto"},
		"the machine knows the protocol; who serves it and where it is kept is its shell's"},
	{"test", []string{anything}, "tests put together what they need"},
	{"bench", []string{anything}, "benchmarks put together what they need"},
}

// keep says which packages alone may import a package, ours or a library's.
var keep = []struct {
	path   string
	for_   []string
	reason string
}{
	{"gregor/internal/journal/raft", []string{"internal/node", "internal/journal", "test", "bench"},
		"no part but node and the journal knows which engine runs"},
	{"gregor/internal/journal/zk", []string{"internal/node", "internal/journal", "test", "bench"},
		"no part but node and the journal knows which engine runs"},
	{"github.com/go-zookeeper/zk", []string{"internal/journal/zk", "test", "bench"},
		"one engine of the journal is on ZooKeeper; nothing else may come to need it"},
	{"go.etcd.io/raft/v3", []string{"internal/journal/raft"},
		"one engine of the journal is raft; nothing else may come to need it"},
	{"github.com/twmb/franz-go/pkg/kgo", []string{"internal/cli", "test", "bench"},
		"a client is for tools and tests; a broker's parts talk to each other over their own seams"},
	{"github.com/twmb/franz-go/pkg/kadm", []string{"internal/cli", "test", "bench"},
		"a client is for tools and tests; a broker's parts talk to each other over their own seams"},
	{"github.com/spf13/cobra", []string{"cmd", "internal/cli"},
		"command lines are parsed at the edge"},
	{"flag", []string{"cmd", "internal/cli", "internal/metadata/gen", "test", "bench"},
		"package flags are process-wide state, and two nodes run in one process"},
}

// pure packages are machines: what they may not import is what would let them see the world.
var pure = []struct {
	pkg    string
	never  []string
	reason string
}{
	{"internal/zookeeper/tree", []string{"time", "os", "net", "io/fs", "sync", "context", "log/slog", "math/rand", "math/rand/v2", "crypto/rand"},
		"time comes in with the request, and one goroutine owns the tree: what the log says is all that it becomes"},
}

type listed struct {
	ImportPath string
	Imports    []string
}

func TestImportsPointOneWay(t *testing.T) {
	for _, p := range list(t) {
		from := local(p.ImportPath)
		r, ok := find(from)
		if !ok {
			t.Errorf("package %q has no rule: add one to this test, with its reason", from)
			continue
		}
		for _, imported := range p.Imports {
			if !ours(imported) {
				continue
			}
			if to := local(imported); !allowed(r, from, to) {
				t.Errorf("%s imports %s, which its rule does not allow.\n\tReason: %s", from, to, r.reason)
			}
		}
		for _, q := range pure {
			for _, never := range q.never {
				if below(from, q.pkg) && slices.Contains(p.Imports, never) {
					t.Errorf("%s imports %s, which a pure package may not.\n\tReason: %s", from, never, q.reason)
				}
			}
		}
		for _, k := range keep {
			if slices.Contains(p.Imports, k.path) && !slices.ContainsFunc(k.for_, func(t string) bool { return below(from, t) }) {
				t.Errorf("%s imports %s, which is for %s.\n\tReason: %s", from, k.path, strings.Join(k.for_, ", "), k.reason)
			}
		}
	}
}

// TestRulesBite checks the check: imports that break the order are refused.
func TestRulesBite(t *testing.T) {
	for _, c := range []struct {
		from, to string
		want     bool
	}{
		{"internal/log", "internal/record", true},
		{"internal/record", "internal/log", false},
		{"internal/log", "internal/replica", false},
		{"internal/coordinator/group", "internal/coordinator", true},
		{"internal/coordinator/group", "internal/replica", false},
		{"internal/controller", "internal/broker", false},
		{"internal/node", "internal/broker", true},
		{"internal/broker", "internal/node", false},
		{"internal/recorder", "internal/record", false}, // a common prefix of names is not a common tree
		{"cmd/gregor", "internal/broker", false},
	} {
		r, _ := find(c.from)
		if got := allowed(r, c.from, c.to); got != c.want {
			t.Errorf("%s imports %s: allowed %v, want %v", c.from, c.to, got, c.want)
		}
	}
	if _, ok := find("internal/unheard"); ok {
		t.Error("a package without a rule was given one")
	}
}

func find(pkg string) (found rule, ok bool) {
	for _, r := range rules {
		if (pkg == r.pkg || r.pkg != "" && below(pkg, r.pkg)) && (!ok || len(r.pkg) > len(found.pkg)) {
			found, ok = r, true
		}
	}
	return found, ok
}

func allowed(r rule, from, to string) bool {
	if r.pkg != "" && below(to, r.pkg) {
		return true
	}
	return slices.ContainsFunc(r.may, func(may string) bool {
		return may == anything || to == may || may != "" && below(to, may)
	})
}

func below(pkg, tree string) bool { return pkg == tree || strings.HasPrefix(pkg, tree+"/") }

func ours(path string) bool { return path == "gregor" || strings.HasPrefix(path, "gregor/") }

func local(path string) string { return strings.TrimPrefix(strings.TrimPrefix(path, "gregor"), "/") }

// list names every package of the module with the imports of its code, on any system; imports of tests are free.
func list(t *testing.T) []listed {
	t.Helper()
	var all []listed
	for _, goos := range []string{"linux", "darwin", "windows"} {
		cmd := exec.Command("go", "list", "-e", "-json=ImportPath,Imports", "gregor/...")
		cmd.Env = append(cmd.Environ(), "GOOS="+goos)
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("go list: %v", err)
		}
		for dec := json.NewDecoder(bytes.NewReader(out)); ; {
			var p listed
			if err := dec.Decode(&p); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatal(err)
			}
			all = append(all, p)
		}
	}
	if len(all) == 0 {
		t.Fatal("go list found no package")
	}
	return all
}
