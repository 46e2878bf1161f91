package cli

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestZookeepersAmong(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "z.properties"), []byte("dataDir=/tmp/z\nclientPort=2182\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	all := []runningProcess{
		{1, []string{"/repo/build/gregor", "zookeeper-server-start", "z.properties"}, dir},
		{2, []string{"/repo/build/gregor", "server-start", "z.properties"}, dir},
		{3, []string{"gregor", "zookeeper-shell", "localhost:2182"}, dir},
		{4, []string{"zookeeper-server-start.sh", "gone.properties"}, dir},
		{5, []string{"vi", "zookeeper-server-start"}, dir},
		{6, nil, ""},
		{7, []string{"gregor", "zookeeper-server-start", "z.properties"}, dir},
		{8, []string{"gregor", "zookeeper-server-start.sh", filepath.Join(dir, "z.properties")}, "/"},
	}
	for port, want := range map[string][]int{"": {1, 4, 8}, "2182": {1, 8}, "2181": nil} {
		if got := zookeepersAmong(all, 7, port); !slices.Equal(got, want) {
			t.Errorf("--port %q: %v, want %v", port, got, want)
		}
	}
}

func TestZookeeperStart(t *testing.T) {
	dir := t.TempDir()
	taken, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	data := "dataDir=" + filepath.Join(dir, "data") + "\n"
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{nil, 1, "USAGE: zookeeper-server-start [-daemon] zookeeper.properties"},
		{[]string{"a", "b"}, 1, "non argument parameter: b"},
		{[]string{"a", "-x"}, 1, "x is not a recognized option"},
		{[]string{"a", "--log-level", "loud"}, 1, "must be one of"},
		{[]string{filepath.Join(dir, "none")}, zookeeperBadConfig, "no such file; config/zookeeper.properties is one to begin with"},
		{[]string{file("ensemble", data+"clientPort=0\nserver.1=a:1:2\nserver.2=b:1:2\n")}, zookeeperBadConfig, "Apache ZooKeeper"},
		{[]string{file("taken", data+fmt.Sprintf("clientPort=%d\nclientPortAddress=localhost\n", taken.Addr().(*net.TCPAddr).Port))}, zookeeperUnexpected, "port in use"},
	} {
		var out, errs bytes.Buffer
		code := runZookeeperStart(t.Context(), c.args, IO{In: strings.NewReader(""), Out: &out, Err: &errs}, func() {})
		if code != c.code || !strings.Contains(errs.String(), c.want) {
			t.Errorf("%v: exit code %d, %s", c.args, code, errs.String())
		}
	}

	// One that serves says so, and ends with its context.
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var out bytes.Buffer
	said := &lineWriter{line: func(line string) {
		out.WriteString(line + "\n")
		if strings.Contains(line, " serves ") {
			cancel()
		}
	}}
	serving := file("free", data+"clientPort=0\nclientPortAddress=localhost\n")
	if code := runZookeeperStart(ctx, []string{serving}, IO{In: strings.NewReader(""), Out: said, Err: said}, func() {}); code != 0 || ctx.Err() == nil {
		t.Errorf("exit code %d\n%s", code, out.String())
	}
}
