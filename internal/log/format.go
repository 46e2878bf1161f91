package log

import (
	"path/filepath"
	"strconv"
	"time"

	"gregor/internal/log/vfs"
)

// MetaPropertiesPath is where a log directory's meta.properties is.
func MetaPropertiesPath(dir string) string { return filepath.Join(dir, metaPropertiesFile) }

// ReadMetaProperties reads whose a log directory is; nil if it was never formatted. Nothing is locked or written.
func ReadMetaProperties(fsys vfs.FS, dir string) (*MetaProperties, error) {
	path := MetaPropertiesPath(dir)
	b, err := readFile(fsys, path)
	if isNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	m, err := decodeMetaProperties(path, b)
	if err != nil {
		return nil, err
	}
	return &m, nil
}

// Format makes a log directory of a node and cluster, with a new directory id, as OpenDirs does with an empty one.
func Format(fsys vfs.FS, dir, clusterID string, nodeID int32) error {
	return FormatAs(fsys, dir, clusterID, nodeID, [16]byte{})
}

// FormatAs is Format with a directory id; zero is a new one.
func FormatAs(fsys vfs.FS, dir, clusterID string, nodeID int32, directoryID [16]byte) error {
	if err := makeDir(fsys, dir); err != nil {
		return err
	}
	m := MetaProperties{Version: 1, ClusterID: clusterID, NodeID: nodeID, DirectoryID: directoryID}
	if directoryID == [16]byte{} {
		newID(&m.DirectoryID)
	}
	return vfs.ReplaceFile(fsys, MetaPropertiesPath(dir), m.encode(time.Now()), true)
}

// Map is the content by key.
func (m MetaProperties) Map() map[string]string {
	values := map[string]string{"version": strconv.Itoa(m.Version), "cluster.id": m.ClusterID}
	if m.DirectoryID != [16]byte{} {
		values["directory.id"] = formatID(m.DirectoryID)
	}
	if m.NodeID >= 0 {
		values[nodeIDKey[m.Version]] = strconv.Itoa(int(m.NodeID))
	}
	return values
}
