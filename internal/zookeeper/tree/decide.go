package tree

import (
	"fmt"

	"gregor/internal/zookeeper/proto"
)

// Origin is who asks, and when.
type Origin struct {
	Session int64
	Cxid    int32 // the request's xid; 0 for the server's own requests
	TimeMs  int64 // milliseconds since 1970
	// Auth are the ids of the connection: its address, and what it added.
	Auth []proto.ID
}

// Decide makes a transaction of a request that writes (proto.Op.Writes); it changes nothing. A request that fails
// becomes an error's transaction, or, for a multi, one with an error for every part. The transaction may alias the
// request. The caller must Apply it before it decides the next one.
//
// The server's own requests are decided here too: CreateSession with the new session's id in Origin, CloseSession of
// one that expired, and DeleteContainer of what Expired found.
func (t *Tree) Decide(req proto.Request, o Origin) (proto.TxnHeader, proto.Txn) {
	v := view{t: t, o: o}
	op := req.Op()
	var txn proto.Txn
	var code proto.Code
	switch req := req.(type) {
	case *proto.MultiRequest:
		txn, code = v.multi(req)
	case *proto.CreateSessionRequest:
		txn = &proto.CreateSessionTxn{TimeoutMs: req.TimeoutMs}
	case *proto.CloseSessionRequest:
		txn = &proto.CloseSessionTxn{Paths: t.Ephemerals(o.Session)}
	case *proto.DeleteContainerRequest:
		txn, code = v.deleteContainer(req)
	default:
		txn, code = v.decide(req)
	}
	if code != proto.OK {
		return t.Refuse(code, o)
	}
	return t.header(op, o), txn
}

// Refuse is the transaction of a request that writes but was found wrong before it could be decided: its body could not
// be read (MarshallingError).
func (t *Tree) Refuse(code proto.Code, o Origin) (proto.TxnHeader, proto.Txn) {
	return t.header(proto.OpError, o), &proto.ErrorTxn{Err: code}
}

func (t *Tree) header(op proto.Op, o Origin) proto.TxnHeader {
	return proto.TxnHeader{Session: o.Session, Cxid: o.Cxid, Zxid: t.zxid + 1, TimeMs: o.TimeMs, Type: op}
}

// state is what deciding must know of a node.
type state struct {
	gone                        bool
	version, cversion, aversion int32
	children                    int
	owner                       int64
	acl                         []proto.ACL
}

// view is the tree as the parts of a multi before this one leave it.
type view struct {
	t *Tree
	o Origin
	// over holds what they changed, by path; nil outside a multi, where nobody comes to look at it.
	over map[string]state
}

func (v *view) get(path string) (state, bool) {
	if path == "/" {
		path = ""
	}
	if s, ok := v.over[path]; ok {
		return s, !s.gone
	}
	n := v.t.find(path)
	if n == nil {
		return state{}, false
	}
	return state{
		version: n.version, cversion: n.cversion, aversion: n.aversion,
		children: n.numChildren(), owner: n.owner, acl: n.acl.list,
	}, true
}

func (v *view) set(path string, s state) {
	if v.over == nil {
		return
	}
	if path == "/" {
		path = ""
	}
	v.over[path] = s
}

func (v *view) allowed(s state, perm int32) bool { return v.t.opts.Allowed(s.acl, perm, v.o.Auth) }

// decide is for what may also stand in a multi, and for setACL and reconfig. The order of the checks is ZooKeeper's
// (PrepRequestProcessor.pRequest2Txn), since it decides which of several errors is told.
func (v *view) decide(req proto.Request) (proto.Txn, proto.Code) {
	switch req := req.(type) {
	case *proto.CreateRequest:
		return v.create(req)
	case *proto.DeleteRequest:
		return v.delete(req)
	case *proto.SetDataRequest:
		return v.setData(req)
	case *proto.SetACLRequest:
		return v.setACL(req)
	case *proto.CheckRequest:
		return v.check(req)
	case *proto.ReconfigRequest:
		if !v.t.opts.ReconfigEnabled {
			return nil, proto.ReconfigDisabled
		}
		return nil, proto.Unimplemented
	}
	panic(fmt.Sprintf("zookeeper: a request that does not write was to be decided: %s", req.Op()))
}

func (v *view) expired() bool {
	_, open := v.t.sessions[v.o.Session]
	return !open
}

func (v *view) delete(req *proto.DeleteRequest) (proto.Txn, proto.Code) {
	if v.expired() {
		return nil, proto.SessionExpired
	}
	if !hasParent(req.Path) || special(req.Path) {
		return nil, proto.BadArguments
	}
	parentPath, _ := cut(req.Path)
	parent, ok := v.get(parentPath)
	if !ok {
		return nil, proto.NoNode
	}
	if !v.allowed(parent, proto.PermDelete) {
		return nil, proto.NoAuth
	}
	s, ok := v.get(req.Path)
	switch {
	case !ok:
		return nil, proto.NoNode
	case req.Version != -1 && req.Version != s.version:
		return nil, proto.BadVersion
	case s.children > 0:
		return nil, proto.NotEmpty
	}
	parent.children--
	v.set(parentPath, parent)
	v.set(req.Path, state{gone: true})
	return &proto.DeleteTxn{Path: req.Path}, proto.OK
}

// special paths are there whatever happens (DataTree.isSpecialPath).
func special(path string) bool {
	switch path {
	case "/", "/zookeeper", "/zookeeper/quota", "/zookeeper/config":
		return true
	}
	return false
}

func (v *view) setData(req *proto.SetDataRequest) (proto.Txn, proto.Code) {
	s, code := v.existing(req.Path, proto.PermWrite)
	if code != proto.OK {
		return nil, code
	}
	if req.Version != -1 && req.Version != s.version {
		return nil, proto.BadVersion
	}
	s.version++
	v.set(req.Path, s)
	return &proto.SetDataTxn{Path: req.Path, Data: req.Data, Version: s.version}, proto.OK
}

func (v *view) check(req *proto.CheckRequest) (proto.Txn, proto.Code) {
	s, code := v.existing(req.Path, proto.PermRead)
	if code != proto.OK {
		return nil, code
	}
	if req.Version != -1 && req.Version != s.version {
		return nil, proto.BadVersion
	}
	return &proto.CheckTxn{Path: req.Path, Version: s.version + 1}, proto.OK
}

func (v *view) existing(path string, perm int32) (state, proto.Code) {
	if v.expired() {
		return state{}, proto.SessionExpired
	}
	if !ValidPath(path) {
		return state{}, proto.BadArguments
	}
	s, ok := v.get(path)
	if !ok {
		return state{}, proto.NoNode
	}
	if !v.allowed(s, perm) {
		return state{}, proto.NoAuth
	}
	return s, proto.OK
}

func (v *view) setACL(req *proto.SetACLRequest) (proto.Txn, proto.Code) {
	if v.expired() {
		return nil, proto.SessionExpired
	}
	if !ValidPath(req.Path) {
		return nil, proto.BadArguments
	}
	acl, code := settleACL(req.ACL, v.o.Auth)
	if code != proto.OK {
		return nil, code
	}
	s, ok := v.get(req.Path)
	switch {
	case !ok:
		return nil, proto.NoNode
	case !v.allowed(s, proto.PermAdmin):
		return nil, proto.NoAuth
	case req.Version != -1 && req.Version != s.aversion:
		return nil, proto.BadVersion
	}
	return &proto.SetACLTxn{Path: req.Path, ACL: acl, Version: s.aversion + 1}, proto.OK
}

// multi decides the parts in order, each on what the ones before it leave. The first that fails ends it: the others are
// not tried.
func (v *view) multi(req *proto.MultiRequest) (proto.Txn, proto.Code) {
	v.over = map[string]state{}
	m := &proto.MultiTxn{Parts: make([]proto.TxnPart, 0, len(req.Ops))}
	failed := false
	for _, op := range req.Ops {
		p := proto.TxnPart{Type: op.Op()}
		code := proto.RuntimeInconsistency
		if !failed {
			p.Txn, code = v.decide(op)
		}
		if code != proto.OK {
			failed = true
			p = proto.TxnPart{Type: proto.OpError, Txn: &proto.ErrorTxn{Err: code}}
		}
		m.Parts = append(m.Parts, p)
	}
	return m, proto.OK
}
