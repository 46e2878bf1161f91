package tree

import (
	"bytes"
	"fmt"

	"gregor/internal/zookeeper/proto"
)

// Loader builds a tree from a snapshot's parts, in the order in which the file has them: sessions, ACLs, nodes.
type Loader struct {
	t    *Tree
	acls map[int64][]proto.ACL

	// Nodes come with their siblings: the parent is mostly that of the node before.
	parentPath string
	parent     *node
}

// NewLoader begins an empty tree.
func NewLoader(opts Options) *Loader {
	return &Loader{t: empty(opts), acls: map[int64][]proto.ACL{openACLID: proto.OpenACL()}}
}

// Session puts in an open session.
func (l *Loader) Session(s Session) { l.t.sessions[s.ID] = s.TimeoutMs }

// ACL puts in a list that nodes name by its number.
func (l *Loader) ACL(a NumberedACL) { l.acls[a.ID] = a.ACL }

// Node puts in a node, whose data it copies. It fails if the parent is not there or the node is there twice: the
// snapshot is not to be used.
//
// A number for an ACL that is not in the list gives nobody anything but the superuser. In a fuzzy snapshot that is a
// list made after it began, and a transaction that is still to be replayed says it.
func (l *Loader) Node(n NodeImage) error {
	acl, ok := l.acls[n.ACL]
	if !ok {
		acl = []proto.ACL{{ID: proto.ID{Scheme: "world", ID: "anyone"}}}
	}
	s := n.Stat
	made := &node{
		czxid: s.Czxid, mzxid: s.Mzxid, pzxid: s.Pzxid, ctimeMs: s.CtimeMs, mtimeMs: s.MtimeMs,
		version: s.Version, cversion: s.Cversion, aversion: s.Aversion, owner: s.EphemeralOwner,
	}
	t := l.t
	switch {
	case n.Path == "" && t.root == nil:
		made.data, made.acl = bytes.Clone(n.Data), t.acls.use(acl) // null stays null
		t.root, t.nodes, t.dataBytes = made, 1, int64(1+len(made.data))
		made.digest = t.digestOf("", made)
		t.digest = uint64(made.digest)
		return nil
	case t.root == nil:
		return fmt.Errorf("zookeeper: snapshot: the node %q comes before the root", n.Path)
	case n.Path == "" || n.Path[0] != '/' || !hasParent(n.Path):
		return fmt.Errorf("zookeeper: snapshot: a node with the path %q", n.Path)
	}
	parentPath, name := cut(n.Path)
	if l.parent == nil || parentPath != l.parentPath {
		l.parentPath, l.parent = parentPath, t.find(parentPath)
	}
	if l.parent == nil {
		return fmt.Errorf("zookeeper: snapshot: the parent of %s is not there", n.Path)
	}
	if l.parent.child(name) != nil {
		return fmt.Errorf("zookeeper: snapshot: the node %s is there twice", n.Path)
	}
	made.data, made.acl = bytes.Clone(n.Data), t.acls.use(acl)
	t.plant(n.Path, l.parent, made)
	return nil
}

// Finish gives the tree as of the snapshot's zxid, to replay over. It fails if the snapshot had no nodes.
func (l *Loader) Finish(zxid int64) (*Tree, error) {
	if l.t.root == nil {
		return nil, fmt.Errorf("zookeeper: snapshot of 0x%x: it has no root", zxid)
	}
	l.t.zxid = zxid
	return l.t, nil
}
