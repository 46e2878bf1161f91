package log

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gregor/internal/log/vfs"
)

// TestMetaPropertiesOnZooKeeper: a broker on ZooKeeper writes version 0, opens what Apache Kafka 3.9 wrote there, and keeps
// the directory's id.
func TestMetaPropertiesOnZooKeeper(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, metaPropertiesFile)
	if err := os.WriteFile(path, []byte("#\n#Sun Nov 22 20:00:00 UTC 2026\nbroker.id=3\ncluster.id=AAAAAAAAAAAAAAAAAAAAAg\nversion=0\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	open := func() Dir {
		t.Helper()
		d, err := OpenDirs(DirsOptions{Paths: []string{dir}, NodeID: 3, ClusterID: "AAAAAAAAAAAAAAAAAAAAAg", ZooKeeper: true})
		if err != nil {
			t.Fatal(err)
		}
		first := d.Dirs()[0]
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
		return first
	}
	first := open()
	m, err := ReadMetaProperties(vfs.OS{}, dir)
	if err != nil || m.Version != 0 || m.NodeID != 3 || m.ClusterID != "AAAAAAAAAAAAAAAAAAAAAg" || m.DirectoryID != first.ID || first.ID == [16]byte{} {
		t.Errorf("%+v %v, the directory is %x", m, err, first.ID)
	}
	text, err := os.ReadFile(path)
	if err != nil || !strings.Contains(string(text), "\nbroker.id=3\n") || strings.Contains(string(text), "node.id") {
		t.Errorf("%s %v", text, err)
	}
	if again := open(); again.ID != first.ID {
		t.Errorf("the directory's id was %x and is %x", first.ID, again.ID)
	}
}

// TestMetaPropertiesOfTheOtherEngine: a directory whose topics only the other kind of cluster knows is not touched.
func TestMetaPropertiesOfTheOtherEngine(t *testing.T) {
	for _, c := range []struct {
		text string
		zk   bool
		want string
	}{
		{"version=0\nbroker.id=3\ncluster.id=x\n", false, "set zookeeper.connect"},
		{"version=1\nnode.id=3\ncluster.id=x\n", true, "remove zookeeper.connect"},
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, metaPropertiesFile), []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := OpenDirs(DirsOptions{Paths: []string{dir}, NodeID: 3, ZooKeeper: c.zk})
		if !errors.Is(err, ErrInconsistent) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v", c.text, err)
		}
		if text, _ := os.ReadFile(filepath.Join(dir, metaPropertiesFile)); string(text) != c.text {
			t.Errorf("it was written: %s", text)
		}
	}
}
