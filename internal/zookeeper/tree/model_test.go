package tree

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"gregor/internal/zookeeper/proto"
)

// model is the tree told naively: a map of paths, copied whole before a multi and put back if it fails. It knows no
// ACLs; those have scenarios.
type model struct {
	nodes    map[string]modelNode
	sessions map[int64]bool
	zxid     int64
}

type modelNode struct {
	data                       string
	null                       bool
	czxid, mzxid, pzxid        int64
	ctime, mtime               int64
	version, created, aversion int32
	session                    int64 // that owns it
	container                  bool
	ttl                        int64
}

func newModel() *model {
	m := &model{nodes: map[string]modelNode{}, sessions: map[int64]bool{}}
	for _, p := range []string{"/", "/zookeeper", "/zookeeper/quota"} {
		m.nodes[p] = modelNode{}
	}
	m.nodes["/zookeeper/config"] = modelNode{aversion: -1}
	return m
}

func (m *model) children(path string) []string {
	prefix := strings.TrimSuffix(path, "/") + "/"
	var names []string
	for p := range m.nodes {
		if name, ok := strings.CutPrefix(p, prefix); ok && name != "" && !strings.Contains(name, "/") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func (m *model) stat(path string) proto.Stat {
	n, kids := m.nodes[path], int32(len(m.children(path)))
	return proto.Stat{Czxid: n.czxid, Mzxid: n.mzxid, Pzxid: n.pzxid, CtimeMs: n.ctime, MtimeMs: n.mtime, Version: n.version,
		Cversion: 2*n.created - kids, Aversion: n.aversion, EphemeralOwner: n.session, DataLength: int32(len(n.data)), NumChildren: kids}
}

// outcome is what a client is told, in words.
func (m *model) write(req proto.Request, session, now int64) string {
	m.zxid++
	switch req := req.(type) {
	case *proto.CreateSessionRequest:
		m.sessions[session] = true
		return "Ok"
	case *proto.CloseSessionRequest:
		delete(m.sessions, session)
		for p, n := range m.nodes {
			if n.session == session {
				m.delete(p)
			}
		}
		return "Ok"
	case *proto.MultiRequest:
		before := maps.Clone(m.nodes)
		var done []string
		for i, op := range req.Ops {
			out, code := m.one(op, session, now)
			if code != proto.OK {
				m.nodes = before
				for j := range req.Ops {
					switch {
					case j < i:
						done[j] = "error Ok"
					case j == i:
						done = append(done, "error "+code.String())
					default:
						done = append(done, "error RuntimeInconsistency")
					}
				}
				return strings.Join(done, " | ")
			}
			name := op.Op()
			if c, ok := op.(*proto.CreateRequest); ok && c.Type != proto.OpCreate {
				name = proto.OpCreate2
			}
			done = append(done, name.String()+" "+out)
		}
		return strings.Join(done, " | ")
	}
	out, code := m.one(req, session, now)
	if code != proto.OK {
		return code.String()
	}
	return out
}

func parentOf(path string) string {
	parent := path[:strings.LastIndexByte(path, '/')]
	if parent == "" {
		return "/"
	}
	return parent
}

func (m *model) one(req proto.Request, session, now int64) (string, proto.Code) {
	if !m.sessions[session] {
		return "", proto.SessionExpired
	}
	switch req := req.(type) {
	case *proto.CreateRequest:
		path := req.Path
		parent, ok := m.nodes[parentOf(path)]
		if !ok {
			return "", proto.NoNode
		}
		if req.Flags == 2 || req.Flags == 3 || req.Flags == 6 {
			path = fmt.Sprintf("%s%010d", path, parent.created)
		}
		if _, ok := m.nodes[path]; ok {
			return "", proto.NodeExists
		}
		if parent.session != 0 {
			return "", proto.NoChildrenForEphemerals
		}
		parent.created++
		parent.pzxid = m.zxid
		m.nodes[parentOf(path)] = parent
		n := modelNode{data: string(req.Data), null: req.Data == nil, czxid: m.zxid, mzxid: m.zxid, pzxid: m.zxid, ctime: now, mtime: now}
		n.container = req.Type == proto.OpCreateContainer
		n.ttl = req.TTLMs
		if req.Flags == 1 || req.Flags == 3 {
			n.session = session
		}
		m.nodes[path] = n
		if req.Type == proto.OpCreate {
			return path, proto.OK
		}
		return path + " " + showStat(m.stat(path)), proto.OK
	case *proto.DeleteRequest:
		if _, ok := m.nodes[parentOf(req.Path)]; !ok {
			return "", proto.NoNode
		}
		n, ok := m.nodes[req.Path]
		switch {
		case !ok:
			return "", proto.NoNode
		case req.Version != -1 && req.Version != n.version:
			return "", proto.BadVersion
		case len(m.children(req.Path)) > 0:
			return "", proto.NotEmpty
		}
		m.delete(req.Path)
		return "Ok", proto.OK
	case *proto.SetDataRequest:
		n, ok := m.nodes[req.Path]
		switch {
		case !ok:
			return "", proto.NoNode
		case req.Version != -1 && req.Version != n.version:
			return "", proto.BadVersion
		}
		n.version++
		n.data, n.null, n.mzxid, n.mtime = string(req.Data), req.Data == nil, m.zxid, now
		m.nodes[req.Path] = n
		return showStat(m.stat(req.Path)), proto.OK
	case *proto.SetACLRequest:
		n, ok := m.nodes[req.Path]
		switch {
		case !ok:
			return "", proto.NoNode
		case req.Version != -1 && req.Version != n.aversion:
			return "", proto.BadVersion
		}
		n.aversion++
		m.nodes[req.Path] = n
		return showStat(m.stat(req.Path)), proto.OK
	case *proto.CheckRequest:
		n, ok := m.nodes[req.Path]
		switch {
		case !ok:
			return "", proto.NoNode
		case req.Version != -1 && req.Version != n.version:
			return "", proto.BadVersion
		}
		return "Ok", proto.OK
	}
	panic(req)
}

func (m *model) delete(path string) {
	parent := m.nodes[parentOf(path)]
	parent.pzxid = m.zxid
	m.nodes[parentOf(path)] = parent
	delete(m.nodes, path)
}

func (m *model) dump() string {
	var b strings.Builder
	for _, p := range slices.SortedFunc(maps.Keys(m.nodes), func(a, b string) int {
		return slices.Compare(strings.Split(a, "/"), strings.Split(b, "/"))
	}) {
		n := m.nodes[p]
		fmt.Fprintf(&b, "%s %q %t %s %t %d\n", p, n.data, n.null, showStat(m.stat(p)), n.container, n.ttl)
	}
	return b.String()
}

// dumpLikeModel is the tree in the words of the model.
func dumpLikeModel(t *Tree) string {
	var b strings.Builder
	for s := t.Snapshot(); s.Next(7, func(img NodeImage) {
		n := t.find(img.Path)
		null := n.data == nil
		var ttlMs int64
		if ownerKind(n.owner) == ttl {
			ttlMs = ownerTTLMs(n.owner)
		}
		fmt.Fprintf(&b, "%s %q %t %s %t %d\n", n.path(), n.data, null, showStat(n.stat()), ownerKind(n.owner) == container, ttlMs)
	}); {
	}
	return b.String()
}
