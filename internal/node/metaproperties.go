package node

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"gregor/internal/config"
	"gregor/internal/metadata"
)

// Meta is what meta.properties of a log directory says: whose it is.
type Meta struct {
	Path        string // of the file
	Version     int    // 0 was written by ZooKeeper clusters, 1 is now
	ClusterID   string
	NodeID      int32
	HasNodeID   bool
	DirectoryID string // "" in files that were written before KIP-858
}

// ErrMeta is wrapped when meta.properties cannot be read.
var ErrMeta = errors.New("bad meta.properties")

// ReadMeta reads a directory's meta.properties; nil if there is none.
func ReadMeta(dir string) (*Meta, error) {
	path := filepath.Join(dir, "meta.properties")
	props, err := config.ReadProperties(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	m := &Meta{Path: path, ClusterID: props["cluster.id"], DirectoryID: props["directory.id"]}
	switch v := props["version"]; v {
	case "0":
	case "1":
		m.Version = 1
	default:
		return nil, fmt.Errorf("%w: %s: version=%s: only 0 and 1 are known", ErrMeta, path, v)
	}
	for _, key := range []string{"node.id", "broker.id"} {
		if text, ok := props[key]; ok && !m.HasNodeID {
			id, err := strconv.ParseInt(text, 10, 32)
			if err != nil || id < 0 {
				return nil, fmt.Errorf("%w: %s: %s=%s: not the id of a node", ErrMeta, path, key, text)
			}
			m.NodeID, m.HasNodeID = int32(id), true
		}
	}
	return m, nil
}

// String is the form in which kafka-storage shows it.
func (m *Meta) String() string {
	s := "{"
	if m.Version == 0 && m.HasNodeID {
		s += fmt.Sprintf("broker.id=%d, ", m.NodeID)
	}
	s += "cluster.id=" + m.ClusterID
	if m.DirectoryID != "" {
		s += ", directory.id=" + m.DirectoryID
	}
	if m.Version == 1 && m.HasNodeID {
		s += fmt.Sprintf(", node.id=%d", m.NodeID)
	}
	return s + fmt.Sprintf(", version=%d}", m.Version)
}

// WriteMeta formats a directory: it makes it if it is missing and writes meta.properties with a directory id of its own,
// so that after a crash there is either the whole file or none.
func WriteMeta(dir, clusterID string, nodeID int32) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	text := fmt.Sprintf("#\n#%s\ncluster.id=%s\ndirectory.id=%s\nnode.id=%d\nversion=1\n",
		time.Now().UTC().Format("Mon Jan 02 15:04:05 MST 2006"), clusterID, metadata.NewUUID(), nodeID)
	path := filepath.Join(dir, "meta.properties")
	f, err := os.OpenFile(path+".tmp", os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil {
		return err
	}
	if err := os.Rename(path+".tmp", path); err != nil {
		return err
	}
	if d, err := os.Open(dir); err == nil {
		err = d.Sync()
		_ = d.Close()
		if err != nil && !errors.Is(err, errors.ErrUnsupported) && !errors.Is(err, os.ErrInvalid) {
			return err
		}
	}
	return nil
}
