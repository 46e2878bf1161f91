package tree

import (
	"slices"

	"gregor/internal/zookeeper/proto"
)

// Expired gives the paths, sorted, of the nodes that a server may delete of itself at a time: containers that had
// children and have none any more, and nodes without children whose TTL has passed since they were last written. With
// neverUsedMs above 0 also containers that never had a child, that long after (znode.container.maxNeverUsedIntervalMs).
// The server makes a DeleteContainerRequest of each (ContainerManager).
func (t *Tree) Expired(nowMs, neverUsedMs int64) []string {
	var paths []string
	for n := range t.containers {
		used := n.cversion > 0 || neverUsedMs > 0 && nowMs-n.mtimeMs > neverUsedMs
		if n.numChildren() == 0 && used {
			paths = append(paths, n.path())
		}
	}
	for n := range t.ttls {
		if n.numChildren() == 0 && nowMs-n.mtimeMs > ownerTTLMs(n.owner) {
			paths = append(paths, n.path())
		}
	}
	slices.Sort(paths)
	return paths
}

func (v *view) deleteContainer(req *proto.DeleteContainerRequest) (proto.Txn, proto.Code) {
	n := v.t.find(req.Path)
	switch {
	case !hasParent(req.Path) || special(req.Path):
		return nil, proto.BadArguments
	case n == nil:
		return nil, proto.NoNode
	case n.numChildren() > 0:
		return nil, proto.NotEmpty
	case ownerKind(n.owner) == ttl && v.o.TimeMs-n.mtimeMs <= ownerTTLMs(n.owner):
		return nil, proto.BadVersion // written since
	case ownerKind(n.owner) != ttl && ownerKind(n.owner) != container:
		return nil, proto.BadVersion
	}
	return &proto.DeleteTxn{Path: req.Path}, proto.OK
}
