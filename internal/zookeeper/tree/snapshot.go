package tree

import (
	"cmp"
	"maps"
	"slices"

	"gregor/internal/zookeeper/proto"
)

// Session is a session in a snapshot.
type Session struct {
	ID        int64
	TimeoutMs int32
}

// NumberedACL is a list of ACLs in a snapshot, with the number by which nodes name it. -1 is never listed: it is
// world:anyone:cdrwa.
type NumberedACL struct {
	ID  int64
	ACL []proto.ACL
}

// NodeImage is a node in a snapshot. The path of the root is "".
type NodeImage struct {
	Path string
	Data []byte // not to be changed
	ACL  int64
	Stat proto.StatPersisted
}

// Snapshot is the tree as a file keeps it, taken in steps between which transactions are applied. It holds everything
// up to Zxid, and of later transactions some effects, which replaying them over it puts right. A node's ACL may be
// numbered above all in ACLs: then one of those transactions says it.
type Snapshot struct {
	Zxid     int64
	Sessions []Session
	ACLs     []NumberedACL

	t    *Tree
	at   *node  // the node given last
	path string // its path
	done bool
}

// Snapshot begins one. Sessions and ACLs are those of now.
func (t *Tree) Snapshot() *Snapshot {
	s := &Snapshot{Zxid: t.zxid, t: t}
	for _, id := range slices.Sorted(maps.Keys(t.sessions)) {
		s.Sessions = append(s.Sessions, Session{ID: id, TimeoutMs: t.sessions[id]})
	}
	for _, e := range t.acls.byKey {
		if e.id != openACLID {
			s.ACLs = append(s.ACLs, NumberedACL{ID: e.id, ACL: e.list})
		}
	}
	slices.SortFunc(s.ACLs, func(a, b NumberedACL) int { return cmp.Compare(a.ID, b.ID) })
	return s
}

// Next gives up to limit more nodes, parents before their children, and says whether there may be more. Only one
// goroutine may use the tree meanwhile; between two calls transactions may be applied.
func (s *Snapshot) Next(limit int, yield func(NodeImage)) (more bool) {
	for ; limit > 0 && !s.done; limit-- {
		if s.at == nil {
			s.at = s.t.root
		} else if !s.advance() {
			s.done = true
			break
		}
		n := s.at
		yield(NodeImage{Path: s.path, Data: n.data, ACL: n.acl.id, Stat: n.persisted()})
	}
	return !s.done
}

// End is the state to compare with after all transactions up to its zxid are replayed over the snapshot. It is asked for
// when Next has given everything.
func (s *Snapshot) End() (zxid int64, digest proto.TxnDigest) { return s.t.zxid, *s.t.Digest() }

// advance goes to the node that follows the last one: its first child, else the next sibling of it or of the nearest
// forebear that has one. If the node was deleted meanwhile, what follows its place comes next: should it have been made
// again, with children, those are the replayed transactions' to make.
func (s *Snapshot) advance() bool {
	if s.at.kids != nil { // a node that was deleted has none
		s.at = s.at.kids.first()
		s.path += "/" + s.at.name
		return true
	}
	for s.path != "" {
		parentPath, name := cut(s.path)
		s.path = parentPath
		if parent := s.t.find(parentPath); parent != nil {
			if next := parent.kids.after(name); next != nil {
				s.at = next
				s.path += "/" + next.name
				return true
			}
		}
	}
	return false
}
