package zk

import (
	"bytes"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	gozk "github.com/go-zookeeper/zk"
)

// dump writes every znode below a path: its path, an "e" if it is ephemeral, and its data.
func dump(conn *gozk.Conn, root string) (string, error) {
	var b strings.Builder
	var walk func(p string) error
	walk = func(p string) error {
		data, stat, err := conn.Get(path.Join(root, p))
		if err != nil {
			return err
		}
		kind := "-"
		if stat.EphemeralOwner != 0 {
			kind = "e"
		}
		data = bytes.ReplaceAll(data, []byte("\n"), []byte(`\n`)) // a line for each, whatever bytes a journal's record has
		fmt.Fprintf(&b, "%s %s %s\n", p, kind, data)
		names, _, err := conn.Children(path.Join(root, p))
		if err != nil {
			return err
		}
		slices.Sort(names)
		for _, n := range names {
			if err := walk(path.Join(p, n)); err != nil {
				return err
			}
		}
		return nil
	}
	err := walk("/")
	return b.String(), err
}

// TestDump writes what is in a ZooKeeper to testdata, to make its files anew: GREGOR_ZOOKEEPER_DUMP=host:port/chroot=file.
func TestDump(t *testing.T) {
	v := os.Getenv("GREGOR_ZOOKEEPER_DUMP")
	if v == "" {
		t.Skip("GREGOR_ZOOKEEPER_DUMP is not set")
	}
	connect, file, _ := strings.Cut(v, "=")
	servers, root, err := ParseConnect(connect)
	if err != nil {
		t.Fatal(err)
	}
	conn, _, err := gozk.Connect(servers, 10*time.Second, gozk.WithLogInfo(false))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	text, err := dump(conn, root)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
