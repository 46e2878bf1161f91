package tree

import (
	"slices"

	"gregor/internal/zookeeper/proto"
)

// openACLID is the number that every snapshot knows for world:anyone:cdrwa (ReferenceCountedACLCache).
const openACLID = -1

// aclEntry is one list of ACLs, shared by the nodes that have it.
type aclEntry struct {
	id   int64
	key  string
	list []proto.ACL // never changed
	refs int
}

// aclTable keeps each list once. Ids go up and are not used twice, so that a snapshot can tell a list made after it
// began.
type aclTable struct {
	byKey  map[string]*aclEntry
	lastID int64
}

func newACLTable() aclTable {
	open := &aclEntry{id: openACLID, list: proto.OpenACL(), refs: 1} // forever
	open.key = string(proto.AppendACLs(nil, open.list))
	return aclTable{byKey: map[string]*aclEntry{open.key: open}}
}

func (a *aclTable) open() *aclEntry { return a.use(proto.OpenACL()) }

// use gives the entry for a list, once more in use.
func (a *aclTable) use(list []proto.ACL) *aclEntry {
	var scratch [128]byte
	key := proto.AppendACLs(scratch[:0], list)
	e := a.byKey[string(key)]
	if e == nil {
		a.lastID++
		e = &aclEntry{id: a.lastID, key: string(key), list: slices.Clone(list)}
		a.byKey[e.key] = e
	}
	e.refs++
	return e
}

func (a *aclTable) release(e *aclEntry) {
	if e.refs--; e.refs == 0 {
		delete(a.byKey, e.key)
	}
}
