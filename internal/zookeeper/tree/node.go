package tree

import "gregor/internal/zookeeper/proto"

// node is one znode. There may be a million of them: its fields are laid out for 128 bytes, and a test holds them there.
type node struct {
	name   string
	parent *node // nil for the root and for a node that was deleted
	kids   *children
	data   []byte // replaced, never changed: replies and snapshots may still hold it
	acl    *aclEntry

	czxid, mzxid, pzxid int64
	ctimeMs, mtimeMs    int64
	owner               int64 // see ownerKind
	version             int32
	cversion            int32 // creations of children
	aversion            int32
	digest              uint32 // its share of the tree's digest
}

func (n *node) child(name string) *node {
	if n.kids == nil {
		return nil
	}
	return n.kids.get(name)
}

func (n *node) numChildren() int {
	if n.kids == nil {
		return 0
	}
	return n.kids.n
}

func (n *node) addChild(c *node) {
	if n.kids == nil {
		n.kids = &children{}
	}
	n.kids.add(c)
}

func (n *node) removeChild(c *node) {
	n.kids.remove(c.name)
	if n.kids.n == 0 {
		n.kids = nil
	}
}

// path builds the node's path, "/" for the root.
func (n *node) path() string {
	if n.parent == nil {
		return "/"
	}
	size := 0
	for m := n; m.parent != nil; m = m.parent {
		size += 1 + len(m.name)
	}
	b := make([]byte, size)
	for m := n; m.parent != nil; m = m.parent {
		size -= len(m.name)
		copy(b[size:], m.name)
		size--
		b[size] = '/'
	}
	return string(b)
}

// stat is what a client is told. Cversion has counted changes of the children since ZooKeeper 3, and creations are all
// that is kept: as many were deleted as were created and are not there.
func (n *node) stat() proto.Stat {
	kids := int32(n.numChildren())
	s := proto.Stat{
		Czxid: n.czxid, Mzxid: n.mzxid, Pzxid: n.pzxid, CtimeMs: n.ctimeMs, MtimeMs: n.mtimeMs,
		Version: n.version, Cversion: n.cversion*2 - kids, Aversion: n.aversion,
		DataLength: int32(len(n.data)), NumChildren: kids,
	}
	if ownerKind(n.owner) == ephemeral {
		s.EphemeralOwner = n.owner
	}
	return s
}

func (n *node) persisted() proto.StatPersisted {
	return proto.StatPersisted{
		Czxid: n.czxid, Mzxid: n.mzxid, Pzxid: n.pzxid, CtimeMs: n.ctimeMs, MtimeMs: n.mtimeMs,
		Version: n.version, Cversion: n.cversion, Aversion: n.aversion, EphemeralOwner: n.owner,
	}
}
