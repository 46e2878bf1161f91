package node

import (
	"errors"
	"fmt"
	"path/filepath"
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
	clusterID string // "" while it is not known
	nodeID    int32  // noNodeID while it is not known, which is only on ZooKeeper
	formatted bool   // clusterID is that of the metadata directory
}

// noNodeID is the id of a node that ZooKeeper is to give one.
const noNodeID = -1

// defaultNodeID is the id of a node whose configuration and directories name none.
const defaultNodeID = 1

// identify finds out who this node is from its directories and the configuration, and refuses directories of somebody
// else. A node that is alone makes the id of its cluster here; others agree on one later. Nothing is written.
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
		if err := m.CheckEngine(log.MetaPropertiesPath(dir), v.OnZooKeeper()); err != nil {
			return id, fmt.Errorf("%w: %w", ErrIdentity, err)
		}
		if m.ClusterID != "" {
			if id.clusterID != "" && m.ClusterID != id.clusterID {
				return id, fmt.Errorf("%w: %s belongs to cluster %s, but %s says cluster %s; "+
					"use another directory in log.dirs, or empty this one if its data is not needed", ErrIdentity, dir, m.ClusterID, clusterFrom, id.clusterID)
			}
			id.clusterID, clusterFrom = m.ClusterID, log.MetaPropertiesPath(dir)
			id.formatted = id.formatted || dir == v.MetadataDir()
		}
		if m.NodeID >= 0 {
			if haveNode && m.NodeID != nodeID {
				return id, fmt.Errorf("%w: %s belongs to node %d, but %s says node %d; "+
					"use another directory in log.dirs, set node.id=%d, or empty this one if its data is not needed", ErrIdentity, dir, m.NodeID, nodeFrom, nodeID, m.NodeID)
			}
			nodeID, haveNode, nodeFrom = m.NodeID, true, log.MetaPropertiesPath(dir)
		}
	}
	if v.OnZooKeeper() {
		return id.onZooKeeper(v, nodeID, haveNode)
	}
	if !haveNode {
		q, err := v.Quorum()
		if err != nil {
			return id, err
		}
		if !v.IsAlone() {
			return id, errors.New("node.id is not set; in a cluster each node needs a number of its own")
		}
		nodeID = defaultNodeID
		if len(q.Voters) == 1 {
			nodeID = q.Voters[0].ID
		}
	}
	id.nodeID = nodeID
	if id.clusterID == "" && v.IsAlone() {
		id.clusterID = metadata.NewUUID().String()
	}
	return id, nil
}

// Directories are log.dirs and, if there is one and it is another one, the metadata directory.
func Directories(v *config.Values) []string {
	dirs := v.LogDirs()
	if v.OnZooKeeper() {
		return dirs
	}
	own := v.MetadataDir()
	for _, d := range dirs {
		if filepath.Clean(d) == filepath.Clean(own) {
			return dirs
		}
	}
	return append(append([]string(nil), dirs...), own)
}

func readMeta(dir string) (*log.MetaProperties, error) { return log.ReadMetaProperties(vfs.OS{}, dir) }
