package tree

import (
	"bytes"

	"gregor/internal/zookeeper/proto"
)

// Result is what a transaction did.
type Result struct {
	Type proto.Op // of the transaction: OpError for a request that failed
	Err  proto.Code
	Path string     // of the node created, changed or deleted
	Stat proto.Stat // of the node created or changed
	// Parts are the results of a multi's parts. If one has an error all have, and nothing was changed.
	Parts []Result
	// Events are what watches may have waited for, in order; of a multi's parts too. Watches.Fire takes them before
	// the next Apply, which uses their memory again.
	Events []Event
}

// Event is a change of a node as watches see it. Who may not read the node is not told.
type Event struct {
	Type proto.EventType
	Path string
	// ACL is the node's, to be checked for PermRead with Options.Allowed; nil for an event that everybody may see.
	ACL []proto.ACL
}

// Apply makes a transaction part of the tree. What it keeps of the transaction it copies. It fails only on a transaction
// that was not decided on this very tree.
func (t *Tree) Apply(h proto.TxnHeader, txn proto.Txn) Result {
	clear(t.events)
	t.events = t.events[:0]
	r := t.apply(h, txn)
	t.zxid = max(t.zxid, h.Zxid)
	r.Events = t.events
	return r
}

// Replay applies a transaction of the log to a tree that a snapshot began. The snapshot may already hold what this and
// later transactions did, so errors mean nothing: once all are replayed, the tree is what they say.
func (t *Tree) Replay(h proto.TxnHeader, txn proto.Txn) {
	t.quiet = true
	t.Apply(h, txn)
	t.quiet = false
}

func (t *Tree) apply(h proto.TxnHeader, txn proto.Txn) Result {
	r := Result{Type: h.Type}
	switch txn := txn.(type) {
	case *proto.CreateTxn:
		var owner int64
		if txn.Ephemeral {
			owner = h.Session
		}
		t.create(&r, h, txn.Path, txn.Data, txn.ACL, owner, txn.ParentCversion)
	case *proto.CreateTTLTxn:
		t.create(&r, h, txn.Path, txn.Data, txn.ACL, ttlOwner(txn.TTLMs), txn.ParentCversion)
	case *proto.CreateContainerTxn:
		t.create(&r, h, txn.Path, txn.Data, txn.ACL, containerOwner, txn.ParentCversion)
	case *proto.DeleteTxn:
		r.Path = txn.Path
		r.Err = t.delete(txn.Path, h.Zxid)
	case *proto.SetDataTxn:
		t.setData(&r, h, txn)
	case *proto.SetACLTxn:
		t.setACL(&r, txn)
	case *proto.CheckTxn:
		r.Path = txn.Path
	case *proto.ErrorTxn:
		r.Err = txn.Err
	case *proto.CreateSessionTxn:
		t.sessions[h.Session] = txn.TimeoutMs
	case *proto.CloseSessionTxn:
		t.closeSession(h, txn.Paths)
	case nil: // a closeSession that names no paths
		t.closeSession(h, nil)
	case *proto.MultiTxn:
		t.multi(&r, h, txn)
	}
	return r
}

func (t *Tree) multi(r *Result, h proto.TxnHeader, txn *proto.MultiTxn) {
	r.Parts = make([]Result, 0, len(txn.Parts))
	failed := false
	for _, p := range txn.Parts {
		failed = failed || p.Type == proto.OpError
	}
	for _, p := range txn.Parts {
		part := h
		part.Type = p.Type
		if failed && p.Type != proto.OpError { // decided before the one that failed, and not to be done
			part.Type, p.Txn = proto.OpError, &proto.ErrorTxn{}
		}
		r.Parts = append(r.Parts, t.apply(part, p.Txn))
	}
}

// tell keeps an event for Result.
func (t *Tree) tell(typ proto.EventType, path string, acl *aclEntry) {
	if !t.quiet {
		t.events = append(t.events, Event{Type: typ, Path: path, ACL: acl.list})
	}
}

func (t *Tree) create(r *Result, h proto.TxnHeader, path string, data []byte, acl []proto.ACL, owner int64, cversion int32) {
	r.Path = path
	if !hasParent(path) {
		r.Err = proto.BadArguments
		return
	}
	parentPath, name := cut(path)
	parent := t.find(parentPath)
	if parent == nil {
		r.Err = proto.NoNode
		return
	}
	// A replayed creation may find children of the parent's that were made and deleted after it: its versions only
	// grow.
	if cversion == -1 {
		cversion = parent.cversion + 1
	}
	if cversion > parent.cversion {
		parent.cversion, parent.pzxid = cversion, h.Zxid
		t.changed(parentPath, parent)
	}
	if n := parent.child(name); n != nil {
		// Also only when it is replayed. The snapshot's list of ACLs may be older than the node.
		t.replaceACL(n, acl)
		r.Err = proto.NodeExists
		return
	}
	n := &node{
		data: bytes.Clone(data), acl: t.acls.use(acl), owner: owner,
		czxid: h.Zxid, mzxid: h.Zxid, pzxid: h.Zxid, ctimeMs: h.TimeMs, mtimeMs: h.TimeMs,
	}
	t.plant(path, parent, n)
	r.Stat = n.stat()
	t.tell(proto.EventNodeCreated, path, n.acl)
	t.tell(proto.EventNodeChildrenChanged, rootName(parentPath), parent.acl)
}

func rootName(path string) string {
	if path == "" {
		return "/"
	}
	return path
}

func (t *Tree) delete(path string, zxid int64) proto.Code {
	if !hasParent(path) {
		return proto.BadArguments
	}
	parentPath, _ := cut(path)
	parent := t.find(parentPath)
	if parent == nil {
		return proto.NoNode
	}
	if zxid > parent.pzxid { // else replayed, after a later change
		parent.pzxid = zxid
		t.changed(parentPath, parent)
	}
	n := t.find(path)
	if n == nil || n.parent == nil {
		return proto.NoNode
	}
	acl := n.acl
	t.uproot(path, n)
	t.tell(proto.EventNodeDeleted, path, acl)
	t.tell(proto.EventNodeChildrenChanged, rootName(parentPath), parent.acl)
	return proto.OK
}

func (t *Tree) setData(r *Result, h proto.TxnHeader, txn *proto.SetDataTxn) {
	r.Path = txn.Path
	n := t.find(txn.Path)
	if n == nil {
		r.Err = proto.NoNode
		return
	}
	t.dataBytes += int64(len(txn.Data) - len(n.data))
	n.data = bytes.Clone(txn.Data)
	n.version, n.mzxid, n.mtimeMs = txn.Version, h.Zxid, h.TimeMs
	t.changed(txn.Path, n)
	r.Stat = n.stat()
	t.tell(proto.EventNodeDataChanged, txn.Path, n.acl)
}

func (t *Tree) setACL(r *Result, txn *proto.SetACLTxn) {
	r.Path = txn.Path
	n := t.find(txn.Path)
	if n == nil {
		r.Err = proto.NoNode
		return
	}
	t.replaceACL(n, txn.ACL)
	n.aversion = txn.Version
	t.changed(txn.Path, n)
	r.Stat = n.stat()
}

func (t *Tree) replaceACL(n *node, acl []proto.ACL) {
	old := n.acl
	n.acl = t.acls.use(acl) // before the old one is let go: it may be the same
	t.acls.release(old)
}

// closeSession deletes what the transaction names, and whatever else the session still owns.
func (t *Tree) closeSession(h proto.TxnHeader, paths []string) {
	delete(t.sessions, h.Session)
	for _, path := range paths {
		t.delete(path, h.Zxid)
	}
	if len(t.ephemerals[h.Session]) > 0 {
		for _, path := range t.Ephemerals(h.Session) {
			t.delete(path, h.Zxid)
		}
	}
}

// Reply is what the client is told that asked for the transaction with a request of this type. A reply with a code
// other than OK has no body; a multi that failed has the code OK, and its errors in the body.
func (r *Result) Reply(op proto.Op) (proto.Reply, proto.Code) {
	if r.Err != proto.OK {
		return nil, r.Err
	}
	switch op {
	case proto.OpCreate:
		return &proto.CreateReply{Path: r.Path}, proto.OK
	case proto.OpCreate2, proto.OpCreateContainer, proto.OpCreateTTL:
		return &proto.Create2Reply{Path: r.Path, Stat: r.Stat}, proto.OK
	case proto.OpSetData, proto.OpSetACL:
		return &proto.StatReply{Stat: r.Stat}, proto.OK
	case proto.OpMulti:
		m := &proto.MultiReply{Parts: make([]proto.MultiPart, 0, len(r.Parts))}
		for i := range r.Parts {
			m.Parts = append(m.Parts, r.Parts[i].part())
		}
		return m, proto.OK
	}
	return nil, proto.OK
}

func (r *Result) part() proto.MultiPart {
	op := r.Type
	switch op {
	case proto.OpError:
		return proto.MultiPart{Op: op, Err: r.Err}
	case proto.OpCreateContainer, proto.OpCreateTTL:
		op = proto.OpCreate2 // all that have a stat (OpResult.CreateResult)
	}
	reply, _ := r.Reply(op)
	return proto.MultiPart{Op: op, Reply: reply}
}
