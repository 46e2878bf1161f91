package node

import (
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"gregor/internal/config"
	"gregor/internal/log"
	"gregor/internal/log/vfs"
	"gregor/internal/metadata"
)

// ErrIdentity is wrapped when a directory belongs to another cluster or node than the configuration says.
var ErrIdentity = errors.New("directory of another node or cluster")

// identity is who this node is: the ids in meta.properties.
type identity struct {
	clusterID string
	nodeID    int32
}

// defaultNodeID is the id of a node whose configuration and directories name none.
const defaultNodeID = 1

// identify finds out who this node is from its directories and the configuration, and refuses directories of somebody
// else. Nothing is written.
func identify(v *config.Values) (identity, error) {
	id := identity{clusterID: v.String("cluster.id")}
	clusterFrom := "the configuration (cluster.id)"
	var nodeFrom string
	nodeID, haveNode := v.NodeID()
	if haveNode {
		nodeFrom = "the configuration (node.id)"
	}
	if id.clusterID != "" {
		if _, err := metadata.ParseUUID(id.clusterID); err != nil && strings.ContainsAny(id.clusterID, " \t\r\n") {
			return id, fmt.Errorf("cluster.id=%s: not an id", id.clusterID)
		}
	}
	for _, dir := range Directories(v) {
		m, err := log.ReadMetaProperties(vfs.OS{}, dir)
		if err != nil {
			return id, explainDir(err, "log.dirs")
		}
		if m == nil {
			continue
		}
		if m.ClusterID != "" {
			if id.clusterID != "" && m.ClusterID != id.clusterID {
				return id, fmt.Errorf("%w: %s belongs to cluster %s, but %s says cluster %s; "+
					"use another directory in log.dirs, or empty this one if its data is not needed", ErrIdentity, dir, m.ClusterID, clusterFrom, id.clusterID)
			}
			id.clusterID, clusterFrom = m.ClusterID, log.MetaPropertiesPath(dir)
		}
		if m.NodeID >= 0 {
			if haveNode && m.NodeID != nodeID {
				return id, fmt.Errorf("%w: %s belongs to node %d, but %s says node %d; "+
					"use another directory in log.dirs, set node.id=%d, or empty this one if its data is not needed", ErrIdentity, dir, m.NodeID, nodeFrom, nodeID, m.NodeID)
			}
			nodeID, haveNode, nodeFrom = m.NodeID, true, log.MetaPropertiesPath(dir)
		}
	}
	if !haveNode {
		nodeID = defaultNodeID
		if voters := v.List("controller.quorum.voters"); len(voters) == 1 {
			text, _, _ := strings.Cut(voters[0], "@")
			if n, err := strconv.ParseInt(text, 10, 32); err == nil {
				nodeID = int32(n)
			}
		}
	}
	id.nodeID = nodeID
	if id.clusterID == "" {
		id.clusterID = metadata.NewUUID().String()
	}
	return id, nil
}

// Directories are log.dirs and, if it is another one, the metadata directory.
func Directories(v *config.Values) []string {
	dirs := v.LogDirs()
	own := v.MetadataDir()
	for _, d := range dirs {
		if filepath.Clean(d) == filepath.Clean(own) {
			return dirs
		}
	}
	return append(append([]string(nil), dirs...), own)
}
