package tree

import (
	"fmt"
	"strings"

	"gregor/internal/zookeeper/proto"
)

// Reader is the connection that asks.
type Reader struct {
	Session int64
	Watcher Watcher
	Auth    []proto.ID // as in Origin
}

// Read answers a request that writes nothing, and keeps the watches that it sets in ws. Events are what setWatches finds
// missed: the connection is told them before the reply. A reply with a code other than OK has no body; ping, check and
// others have none either.
//
// Auth, SASL and closeSession are not for here.
func (t *Tree) Read(ws *Watches, req proto.Request, c Reader) (reply proto.Reply, events []Event, code proto.Code) {
	if _, open := t.sessions[c.Session]; !open {
		return nil, nil, proto.SessionExpired
	}
	switch req := req.(type) {
	case *proto.SetWatchesRequest:
		return nil, t.setWatches(ws, req, c.Watcher), proto.OK
	case *proto.MultiRequest:
		reply, code = t.multiRead(ws, req, c)
	default:
		reply, code = t.read(ws, req, c)
	}
	if code != proto.OK {
		return nil, nil, code
	}
	return reply, nil, proto.OK
}

func (t *Tree) read(ws *Watches, req proto.Request, c Reader) (proto.Reply, proto.Code) {
	switch req := req.(type) {
	case *proto.GetDataRequest:
		n, code := t.readable(req.Path, proto.PermRead, c)
		if code != proto.OK {
			return nil, code
		}
		ws.once(req.Watch, c.Watcher, dataOnce, req.Path)
		return &proto.GetDataReply{Data: n.data, Stat: n.stat()}, proto.OK
	case *proto.ExistsRequest:
		return t.exists(ws, req, c)
	case *proto.GetChildrenRequest:
		n, code := t.readable(req.Path, proto.PermRead, c)
		if code != proto.OK {
			return nil, code
		}
		ws.once(req.Watch, c.Watcher, childOnce, req.Path)
		if req.Type == proto.OpGetChildren2 {
			return &proto.Children2Reply{Children: n.kids.names(), Stat: n.stat()}, proto.OK
		}
		return &proto.ChildrenReply{Children: n.kids.names()}, proto.OK
	case *proto.GetACLRequest:
		return t.getACL(req, c)
	case *proto.GetAllChildrenNumberRequest:
		n, code := t.readable(req.Path, proto.PermRead, c)
		if code != proto.OK {
			return nil, code
		}
		if req.Path == "" { // by this name of it, ZooKeeper finds the root below itself
			return &proto.NumberReply{Number: int32(t.nodes)}, proto.OK
		}
		if n == t.root {
			return &proto.NumberReply{Number: int32(t.nodes - 1)}, proto.OK
		}
		return &proto.NumberReply{Number: int32(n.below())}, proto.OK
	case *proto.GetEphemeralsRequest:
		paths := t.Ephemerals(c.Session)
		if prefix := strings.TrimSpace(req.Prefix); prefix != "" && prefix != "/" {
			kept := paths[:0]
			for _, p := range paths {
				if strings.HasPrefix(p, req.Prefix) {
					kept = append(kept, p)
				}
			}
			paths = kept
		}
		return &proto.ChildrenReply{Children: paths}, proto.OK
	case *proto.CheckRequest:
		v := view{t: t, o: Origin{Session: c.Session, Auth: c.Auth}}
		_, code := v.check(req)
		return nil, code
	case *proto.SyncRequest:
		return &proto.SyncReply{Path: req.Path}, proto.OK
	case *proto.WhoAmIRequest:
		return &proto.WhoAmIReply{IDs: users(c.Auth)}, proto.OK
	case *proto.AddWatchRequest:
		if !ws.addPersistent(c.Watcher, req.Mode, req.Path) {
			return nil, proto.MarshallingError
		}
		return &proto.NumberReply{}, proto.OK
	case *proto.WatchesRequest:
		return nil, ws.request(c.Watcher, req)
	case *proto.PingRequest:
		return nil, proto.OK
	}
	panic(fmt.Sprintf("zookeeper: a request that is no reading one was to be read: %s", req.Op()))
}

func (t *Tree) readable(path string, perm int32, c Reader) (*node, proto.Code) {
	n := t.find(path)
	if n == nil {
		return nil, proto.NoNode
	}
	if !t.opts.Allowed(n.acl.list, perm, c.Auth) {
		return nil, proto.NoAuth
	}
	return n, proto.OK
}

// exists sets a watch whether the node is there or not.
func (t *Tree) exists(ws *Watches, req *proto.ExistsRequest, c Reader) (proto.Reply, proto.Code) {
	if strings.IndexByte(req.Path, 0) >= 0 {
		return nil, proto.BadArguments
	}
	n, code := t.readable(req.Path, proto.PermRead, c)
	if code == proto.NoAuth {
		return nil, code
	}
	ws.once(req.Watch, c.Watcher, dataOnce, req.Path)
	if code != proto.OK {
		return nil, code
	}
	return &proto.StatReply{Stat: n.stat()}, proto.OK
}

// getACL hides the hashes of passwords from those who may read a node but not change its ACL.
func (t *Tree) getACL(req *proto.GetACLRequest, c Reader) (proto.Reply, proto.Code) {
	n, code := t.readable(req.Path, proto.PermRead|proto.PermAdmin, c)
	if code != proto.OK {
		return nil, code
	}
	if t.opts.Allowed(n.acl.list, proto.PermAdmin, c.Auth) {
		return &proto.GetACLReply{ACL: n.acl.list, Stat: n.stat()}, proto.OK
	}
	acl := make([]proto.ACL, 0, len(n.acl.list))
	for _, a := range n.acl.list {
		if a.ID.Scheme == "digest" {
			if user, _, found := strings.Cut(a.ID.ID, ":"); found {
				a.ID.ID = user + ":x"
			}
		}
		acl = append(acl, a)
	}
	return &proto.GetACLReply{ACL: acl, Stat: n.stat()}, proto.OK
}

// maxMultiReadBytes bounds what a multiRead answers with: a request of a megabyte can name a large node tens of thousands
// of times. ZooKeeper has no bound here; its clients take a megabyte.
const maxMultiReadBytes = 64 << 20

func (t *Tree) multiRead(ws *Watches, req *proto.MultiRequest, c Reader) (proto.Reply, proto.Code) {
	m := &proto.MultiReply{Parts: make([]proto.MultiPart, 0, len(req.Ops))}
	size := 0
	for _, op := range req.Ops {
		if size > maxMultiReadBytes {
			return nil, proto.MarshallingError
		}
		switch op := op.(type) { // a part asks for no watch, whatever it says (Op.GetData, Op.GetChildren)
		case *proto.GetDataRequest:
			op.Watch = false
		case *proto.GetChildrenRequest:
			op.Watch = false
		}
		p := proto.MultiPart{Op: op.Op()}
		if p.Reply, p.Err = t.read(ws, op, c); p.Err != proto.OK {
			p.Op, p.Reply = proto.OpError, nil
		}
		switch r := p.Reply.(type) {
		case *proto.GetDataReply:
			size += len(r.Data)
		case *proto.ChildrenReply:
			for _, name := range r.Children {
				size += 4 + len(name)
			}
		}
		m.Parts = append(m.Parts, p)
	}
	return m, proto.OK
}

// below counts the nodes under a node.
func (n *node) below() int {
	if n.kids == nil {
		return 0
	}
	sum := n.kids.n
	for _, chunk := range n.kids.chunks {
		for _, c := range chunk {
			sum += c.below()
		}
	}
	return sum
}

// setWatches sets the watches of a client that comes back after RelativeZxid, and gives the events of those that would
// have fired meanwhile, which are not set.
func (t *Tree) setWatches(ws *Watches, req *proto.SetWatchesRequest, w Watcher) []Event {
	var events []Event
	for _, path := range req.Data {
		switch n := t.find(path); {
		case n == nil:
			events = append(events, Event{Type: proto.EventNodeDeleted, Path: path})
		case n.mzxid > req.RelativeZxid:
			events = append(events, Event{Type: proto.EventNodeDataChanged, Path: path})
		default:
			ws.add(w, dataOnce, path)
		}
	}
	for _, path := range req.Exist {
		if t.find(path) != nil {
			events = append(events, Event{Type: proto.EventNodeCreated, Path: path})
		} else {
			ws.add(w, dataOnce, path)
		}
	}
	for _, path := range req.Child {
		switch n := t.find(path); {
		case n == nil:
			events = append(events, Event{Type: proto.EventNodeDeleted, Path: path})
		case n.pzxid > req.RelativeZxid:
			events = append(events, Event{Type: proto.EventNodeChildrenChanged, Path: path})
		default:
			ws.add(w, childOnce, path)
		}
	}
	for _, path := range req.Persistent {
		ws.addPersistent(w, proto.WatchPersistent, path)
	}
	for _, path := range req.PersistentRecursive {
		ws.addPersistent(w, proto.WatchPersistentRecursive, path)
	}
	return events
}
