package tree

import (
	"fmt"

	"gregor/internal/zookeeper/proto"
)

// mode is what the flags of a create ask for (CreateMode).
type mode struct{ ephemeral, sequential, container, ttl bool }

var modes = map[int32]mode{
	proto.ModePersistent:              {},
	proto.ModeEphemeral:               {ephemeral: true},
	proto.ModePersistentSequential:    {sequential: true},
	proto.ModeEphemeralSequential:     {ephemeral: true, sequential: true},
	proto.ModeContainer:               {container: true},
	proto.ModePersistentTTL:           {ttl: true},
	proto.ModePersistentSequentialTTL: {ttl: true, sequential: true},
}

func (v *view) create(req *proto.CreateRequest) (proto.Txn, proto.Code) {
	m, ok := modes[req.Flags]
	if !ok {
		return nil, proto.BadArguments
	}
	if m.ttl && !v.t.opts.TTLNodes {
		return nil, proto.Unimplemented
	}
	if isTTL := req.Type == proto.OpCreateTTL; isTTL != m.ttl || isTTL && (req.TTLMs <= 0 || req.TTLMs > maxTTLMs) {
		return nil, proto.BadArguments
	}
	if v.expired() {
		return nil, proto.SessionExpired
	}
	path := req.Path
	if !hasParent(path) {
		return nil, proto.BadArguments
	}
	acl, code := settleACL(req.ACL, v.o.Auth)
	if code != proto.OK {
		return nil, code
	}
	parentPath, _ := cut(path)
	parent, ok := v.get(parentPath)
	if !ok {
		return nil, proto.NoNode
	}
	if !v.allowed(parent, proto.PermCreate) {
		return nil, proto.NoAuth
	}
	if m.sequential {
		path = fmt.Sprintf("%s%010d", path, parent.cversion)
	}
	if !ValidPath(path) {
		return nil, proto.BadArguments
	}
	if _, ok := v.get(path); ok {
		return nil, proto.NodeExists
	}
	if ownerKind(parent.owner) == ephemeral {
		return nil, proto.NoChildrenForEphemerals
	}
	parent.cversion++
	parent.children++
	v.set(parentPath, parent)

	child := state{acl: acl}
	var txn proto.Txn
	switch {
	case req.Type == proto.OpCreateContainer:
		child.owner = containerOwner
		txn = &proto.CreateContainerTxn{Path: path, Data: req.Data, ACL: acl, ParentCversion: parent.cversion}
	case req.Type == proto.OpCreateTTL:
		child.owner = ttlOwner(req.TTLMs)
		txn = &proto.CreateTTLTxn{Path: path, Data: req.Data, ACL: acl, ParentCversion: parent.cversion, TTLMs: req.TTLMs}
	default:
		if m.ephemeral {
			child.owner = v.o.Session
		}
		txn = &proto.CreateTxn{Path: path, Data: req.Data, ACL: acl, Ephemeral: m.ephemeral, ParentCversion: parent.cversion}
	}
	v.set(path, child)
	return txn, proto.OK
}
