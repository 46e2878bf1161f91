package log

import (
	"bufio"
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// MetaProperties is the content of meta.properties, which says whose a log directory is. Version 1 is of a node whose
// metadata is with controllers, version 0 of a broker on ZooKeeper. Apache Kafka 3.9 keeps a directory id in version 0 and
// makes none.
type MetaProperties struct {
	Version     int
	ClusterID   string
	NodeID      int32 // -1 if the file has none
	DirectoryID [16]byte
}

// maxMetaBytes bounds the file.
const maxMetaBytes = 64 << 10

// decodeMetaProperties reads a Java properties file. Version 0, of a ZooKeeper cluster, has broker.id for node.id.
// Error: ErrCorrupt.
func decodeMetaProperties(path string, b []byte) (MetaProperties, error) {
	m, err := parseMetaProperties(path, b)
	if err != nil {
		err = fmt.Errorf("%w; write it again: version=1 (0 on ZooKeeper), cluster.id and node.id (broker.id) as this node's other directories or the other nodes have them, and the directory.id it had", err)
	}
	return m, err
}

func parseMetaProperties(path string, b []byte) (MetaProperties, error) {
	m := MetaProperties{NodeID: -1}
	if len(b) > maxMetaBytes {
		return m, corrupt(path, "%d bytes are too many", len(b))
	}
	values := map[string]string{}
	lines := bufio.NewScanner(bytes.NewReader(b))
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' || line[0] == '!' {
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if !ok {
			return m, corrupt(path, "line %q is not key=value", line)
		}
		values[strings.TrimSpace(key)] = strings.TrimSpace(value)
	}
	if err := lines.Err(); err != nil {
		return m, corrupt(path, "%v", err)
	}
	var err error
	if m.Version, err = strconv.Atoi(values["version"]); err != nil || m.Version < 0 || m.Version > 1 {
		return m, corrupt(path, "version=%s is unknown, 0 or 1 was expected", values["version"])
	}
	m.ClusterID = values["cluster.id"]
	id, ok := values["node.id"]
	if !ok {
		id, ok = values["broker.id"]
	}
	if ok {
		n, err := strconv.ParseInt(id, 10, 32)
		if err != nil || n < 0 {
			return m, corrupt(path, "node.id=%s is not a number from 0 on", id)
		}
		m.NodeID = int32(n)
	}
	if id, ok := values["directory.id"]; ok {
		if m.DirectoryID, err = parseID(id); err != nil {
			return m, corrupt(path, "directory.id: %v", err)
		}
	}
	return m, nil
}

// nodeIDKey is the name of the node's id, by version.
var nodeIDKey = [2]string{"broker.id", "node.id"}

// encode makes the file's content.
func (m MetaProperties) encode(now time.Time) []byte {
	b := fmt.Appendf(nil, "#\n#%s\n", now.UTC().Format("Mon Jan 02 15:04:05 MST 2006"))
	b = fmt.Appendf(b, "cluster.id=%s\n", m.ClusterID)
	b = fmt.Appendf(b, "directory.id=%s\n", formatID(m.DirectoryID))
	b = fmt.Appendf(b, "%s=%d\n", nodeIDKey[m.Version], m.NodeID)
	return fmt.Appendf(b, "version=%d\n", m.Version)
}

// CheckEngine refuses a directory of a node whose metadata is kept in the other way: its topics would be unknown here, and
// their logs set aside. Error: ErrInconsistent.
func (m MetaProperties) CheckEngine(path string, zooKeeper bool) error {
	switch {
	case zooKeeper && m.Version != 0:
		return fmt.Errorf("%w: %s is of a node whose metadata is with controllers, not in ZooKeeper; remove zookeeper.connect, or use another directory in log.dirs",
			ErrInconsistent, path)
	case !zooKeeper && m.Version == 0:
		return fmt.Errorf("%w: %s is of a broker whose metadata is in ZooKeeper; set zookeeper.connect, or use another directory in log.dirs", ErrInconsistent, path)
	}
	return nil
}
