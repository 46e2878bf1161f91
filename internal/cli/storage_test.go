package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func storage(t *testing.T, args ...string) (code int, out, err string) {
	t.Helper()
	var o, e bytes.Buffer
	code = runStorage(t.Context(), args, IO{In: strings.NewReader(""), Out: &o, Err: &e})
	return code, o.String(), e.String()
}

// A node on ZooKeeper is not formatted: the text is that of Apache Kafka 3.9.
func TestStorageOnZooKeeper(t *testing.T) {
	file := filepath.Join(t.TempDir(), "s.properties")
	if err := os.WriteFile(file, []byte("broker.id=1\nzookeeper.connect=localhost:2181\nlog.dirs="+t.TempDir()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _, text := storage(t, "format", "-c", file, "-t", "AAAAAAAAAAAAAAAAAAAAAg"); code != 1 ||
		!strings.Contains(text, "appears to be for a legacy cluster. Formatting is only supported for clusters in KRaft mode.") {
		t.Errorf("exit code %d: %s", code, text)
	}
}

func TestStorage(t *testing.T) {
	dir := t.TempDir()
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	file := filepath.Join(dir, "s.properties")
	if err := os.WriteFile(file, []byte("node.id=1\nlog.dirs="+a+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	code, id, _ := storage(t, "random-uuid")
	if code != 0 || !regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_-]{21}\n$`).MatchString(id) {
		t.Fatalf("random-uuid: %d %q", code, id)
	}
	id = strings.TrimSpace(id)
	step := func(args string, wantCode int, wantOut, wantErr string) {
		t.Helper()
		code, out, err := storage(t, strings.Fields(args)...)
		if code != wantCode || !regexp.MustCompile("^(?s:"+wantOut+")$").MatchString(out) || !strings.Contains(err, wantErr) {
			t.Errorf("storage %s: exit code %d\n%s\n%s", args, code, out, err)
		}
	}
	step("info -c "+file, 1, "Found problem:\n  "+a+" does not exist\n\n", "")
	step("format -c "+file+" -t "+id, 0, "Formatting metadata directory "+a+" with metadata.version 4.3-IV0.\n", "")
	step("format -c "+file+" -t "+id, 1, "", "Log directory "+a+" is already formatted. Use --ignore-formatted to ignore this directory and format the others.")
	step("format --config="+file+" --cluster-id="+id+" --ignore-formatted --standalone", 0, "All of the log directories are already formatted.\n", "")
	step("format -c "+file+" -t other -g", 1, "", "Expected other, but read "+id)
	step("info --config "+file, 0, "Found log directory:\n  "+a+"\n\nFound metadata: {cluster.id="+id+", directory.id=[A-Za-z0-9_-]{22}, node.id=1, version=1}\n\n", "")
	if err := os.WriteFile(file, []byte("node.id=1\nlog.dirs="+a+","+b+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	step("format -c "+file+" -t "+id+" -g", 0, "Formatting data directory "+b+" with metadata.version 4.3-IV0.\n", "")
	step("info -c "+file, 0, "Found log directories:\n  "+a+"\n  "+b+"\n\nFound metadata: .*\n\n", "")
	step("info -c "+file+" --output json", 0, `\{.*"directories".*\}\s*`, "")
	if err := os.WriteFile(file, []byte("node.id=2\nlog.dirs="+a+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	step("format -c "+file+" -t "+id+" -g", 1, "", "Expected 2, but read 1")
}

func TestStorageUsage(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"", "too few arguments"},
		{"bogus", "invalid choice: 'bogus'"},
		{"info", "argument --config/-c is required"},
		{"format -c x", "argument --cluster-id/-t is required"},
		{"format -c x -t", "expected one argument"},
		{"info -c x --nothing", "unrecognized arguments: '--nothing'"},
		{"format -c x -t y --add-scram z", "comes with a later version"},
		{"format -c x -t y -r 3.3-IV3", "the only release version"},
		{"info -c /nowhere/x", "no such file"},
	} {
		if code, _, err := storage(t, strings.Fields(c.args)...); code != 1 || !strings.Contains(err, c.want) {
			t.Errorf("%q: exit code %d, %s", c.args, code, err)
		}
	}
	for _, args := range []string{"--help", "info -h", "format --help", "random-uuid -h"} {
		if code, out, _ := storage(t, strings.Fields(args)...); code != 0 || !strings.HasPrefix(out, "usage: kafka-storage") {
			t.Errorf("%q: exit code %d, %s", args, code, out)
		}
	}
}

func TestStorageOfADynamicQuorum(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "s.properties")
	config := func(id, more string) string {
		t.Helper()
		data := filepath.Join(dir, "data-"+id)
		text := "node.id=" + id + "\nlog.dirs=" + data + "\ncontroller.listener.names=CONTROLLER\ncontroller.quorum.bootstrap.servers=localhost:9093\n" + more
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return data
	}
	const controller = "process.roles=controller\nlisteners=CONTROLLER://localhost:9093\n"
	const broker = "process.roles=broker\nlisteners=PLAINTEXT://localhost:9092\n"
	const three = "1@h:9093:JEXY6aqzQY-32P5TStzaFg,2@[::1]:9093:MvDxzVmcRsaTz33bUuRU6A"
	for i, c := range []struct {
		id, props, args string
		want            string // in stdout, or, if it is refused, in stderr
		snapshot        bool
	}{
		{"1", controller, "", "you must specify one of the following: --standalone, --initial-controllers, or --no-initial-controllers.", false},
		{"1", controller, "--standalone --no-initial-controllers", "not allowed with argument --standalone/-s", false},
		{"1", controller, "-s -I " + three, "not allowed with argument --standalone/-s", false},
		{"4", broker, "--standalone", "You can only use --standalone on a controller.", false},
		{"1", controller, "-I 1:h", "No @ found in dynamic voter string.", false},
		{"1", controller, "-I @h", "Invalid @ at beginning", false},
		{"1", controller, "-I 1@", "No hostname found after node id.", false},
		{"1", controller, "-I -1@h:1:x", "Invalid negative node id -1", false},
		{"1", controller, "-I 1@[::1", "no right bracket", false},
		{"1", controller, "-I 1@[::1]9:x", "Port section must start with a colon.", false},
		{"1", controller, "-I 1@h", "No colon following hostname could be found.", false},
		{"1", controller, "-I 1@h:9093", "No colon following port could be found.", false},
		{"1", controller, "-I 1@h:x:y", "Failed to parse port", false},
		{"1", controller, "-I 1@h:99999:y", "Invalid port 99999", false},
		{"1", controller, "-I 1@h:1:y", "Failed to parse directory ID", false},
		{"1", controller, "-I " + three + "," + three, "Node id 1 was specified more than once.", false},
		{"1", controller, "-I ,", "No voters given.", false},
		{"1", controller, "--standalone", "Formatting dynamic metadata voter directory ", true},
		{"2", controller, "--no-initial-controllers", "Formatting metadata directory ", false},
		{"3", controller, "--initial-controllers=" + three, "Formatting dynamic metadata directory ", true},
		{"4", broker, "", "Formatting metadata directory ", false},
	} {
		data := config(c.id, c.props)
		code, out, errs := storage(t, strings.Fields("format -t cluster -c "+file+" "+c.args)...)
		if !strings.Contains(out+errs, c.want) || (code == 0) != strings.HasPrefix(c.want, "Formatting") {
			t.Errorf("%d: %s: code %d\n%s%s", i, c.args, code, out, errs)
		}
		_, err := os.Stat(filepath.Join(data, "__cluster_metadata-0", "00000000000000000000-0000000000.checkpoint"))
		if (err == nil) != c.snapshot {
			t.Errorf("%d: %s: snapshot of voters: %v", i, c.args, err)
		}
	}
}
