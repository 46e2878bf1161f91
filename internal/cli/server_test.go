package cli

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"gregor/internal/config"
)

func TestServerStartFlags(t *testing.T) {
	for _, c := range []struct {
		args string
		want serverFlags
		err  string
	}{
		{"server.properties", serverFlags{file: "server.properties"}, ""},
		{"-daemon s.p --override a=b --override=c=d", serverFlags{file: "s.p", daemon: true, overrides: []string{"a=b", "c=d"}}, ""},
		{"-name kafka -loggc s.p --log-level debug", serverFlags{file: "s.p", level: slog.LevelDebug}, ""},
		{"", serverFlags{}, "properties file is missing"},
		{"a b", serverFlags{}, "non argument parameter: b"},
		{"a --nothing", serverFlags{}, "nothing is not a recognized option"},
		{"a --override", serverFlags{}, "requires an argument"},
		{"a --log-level loud", serverFlags{}, "must be one of"},
	} {
		got, err := parseServerStart(strings.Fields(c.args))
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%q: %v, want %q", c.args, err, c.err)
			}
			continue
		}
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%q: %+v, %v", c.args, got, err)
		}
	}
}

func TestServerStartRefuses(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "s.properties")
	data := filepath.Join(dir, "data")
	if err := os.WriteFile(file, []byte("log.dirs="+data+"\nnum.partitions=0\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{filepath.Join(dir, "none")}, "no such file"},
		{[]string{file}, file + ": Invalid value 0 for configuration num.partitions: Value must be at least 1"},
		{[]string{file, "--override", "num.partitions=x"}, "--override: Invalid value x for configuration num.partitions"},
		{[]string{file, "--override", "num.partitions=1", "--override", "zookeeper.connect=localhost:2181", "--override", "zookeeper.ssl.client.enable=true"}, "later version"},
		{[]string{file, "--override", "x"}, "expected key=value"},
	} {
		var out, err bytes.Buffer
		code := runServerStart(t.Context(), c.args, IO{In: strings.NewReader(""), Out: &out, Err: &err}, func() { t.Error("a broker starts") })
		if code != 1 || !strings.Contains(err.String(), c.want) {
			t.Errorf("%v: exit code %d, %s", c.args, code, err.String())
		}
	}
	if _, err := os.Stat(data); !os.IsNotExist(err) {
		t.Error("the directory of a broker that was refused is made")
	}
}

func TestBrokersAmong(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "s.properties"), []byte("node.id=4\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	all := []runningProcess{
		{1, []string{"/repo/build/gregor", "server-start", "s.properties"}, dir},
		{2, []string{"/repo/build/gregor", "topics", "--list"}, dir},
		{3, []string{"gregor", "up"}, dir},
		{4, []string{"kafka-server-start.sh", "s.properties", "--override", "node.id=5"}, dir},
		{5, []string{"vi", "server-start"}, dir},
		{6, nil, ""},
		{7, []string{"gregor", "server-start", "s.properties"}, dir},
		{8, []string{"gregor", "server-start", "controller.properties"}, dir},
	}
	controller := "node.id=8\nprocess.roles=controller\ncontroller.listener.names=C\nlisteners=C://:9093\ncontroller.quorum.voters=8@a:9093\n"
	if err := os.WriteFile(filepath.Join(dir, "controller.properties"), []byte(controller), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		nodeID, role string
		want         []int
	}{
		{"", "", []int{1, 3, 4, 8}},
		{"4", "", []int{1}},
		{"5", "broker", []int{4}},
		{"9", "", nil},
		{"", "controller", []int{1, 3, 4, 8}},
		{"", "broker", []int{1, 3, 4}},
		{"8", "broker", []int{8}}, // the id has precedence
		{"", "gardener", nil},
	} {
		if got := brokersAmong(all, 7, c.nodeID, c.role); !slices.Equal(got, c.want) {
			t.Errorf("--node-id=%s --process-role=%s: %v, want %v", c.nodeID, c.role, got, c.want)
		}
	}
}

func TestListenersLeftBehind(t *testing.T) {
	for _, c := range []struct {
		listeners, advertised string
		overrides             []string
		want                  string
	}{
		{"PLAINTEXT://:9093", "PLAINTEXT://localhost:9092", []string{"listeners=PLAINTEXT://:9093"}, "add --override advertised.listeners=PLAINTEXT://localhost:9093"},
		{"A://:9092,B://:9095", "A://localhost:9092,B://localhost:9094", []string{"listeners=A://:9092,B://:9095"}, "add --override advertised.listeners=B://localhost:9095"},
		{"PLAINTEXT://:9092", "PLAINTEXT://localhost:9092", []string{"listeners=PLAINTEXT://:9092"}, ""},
		{"PLAINTEXT://:9093", "", []string{"listeners=PLAINTEXT://:9093"}, ""},
		{"PLAINTEXT://:9093", "PLAINTEXT://proxy:19092", nil, ""},
		{"PLAINTEXT://:9093", "PLAINTEXT://proxy:19092", []string{"listeners=PLAINTEXT://:9093", "advertised.listeners=PLAINTEXT://proxy:19092"}, ""},
	} {
		v, _, err := config.ParseBroker(map[string]string{
			"listeners": c.listeners, "advertised.listeners": c.advertised, "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,A:PLAINTEXT,B:PLAINTEXT",
			"inter.broker.listener.name": strings.SplitN(c.listeners, ":", 2)[0],
		})
		if err != nil {
			t.Fatal(err)
		}
		got := leftBehind(serverFlags{file: "server.properties", overrides: c.overrides}, v)
		if (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%+v: %q", c, got)
		}
	}
}
