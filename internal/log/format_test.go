package log

import (
	"path/filepath"
	"testing"

	"gregor/internal/log/vfs"
)

func TestFormat(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "dir")
	if m, err := ReadMetaProperties(vfs.OS{}, dir); m != nil || err != nil {
		t.Fatalf("of a directory that is not there: %v, %v", m, err)
	}
	if err := Format(vfs.OS{}, dir, "abc", 3); err != nil {
		t.Fatal(err)
	}
	m, err := ReadMetaProperties(vfs.OS{}, dir)
	if err != nil || m.ClusterID != "abc" || m.NodeID != 3 || m.Version != 1 || m.DirectoryID == [16]byte{} {
		t.Errorf("%+v, %v", m, err)
	}
	if got := m.Map(); got["node.id"] != "3" || len(got["directory.id"]) != 22 || len(got) != 4 {
		t.Errorf("%v", got)
	}
}
