package tree

import (
	"slices"
	"strings"

	"gregor/internal/zookeeper/proto"
)

// Options are what a server's configuration says about its tree.
type Options struct {
	// SuperDigest is who may do everything, as user:base64(SHA-1(user:password))
	// (zookeeper.DigestAuthenticationProvider.superDigest); empty: nobody.
	SuperDigest string
	// SkipACL lets everybody do everything (skipACL).
	SkipACL bool
	// TTLNodes allows createTTL, which is answered with Unimplemented otherwise (extendedTypesEnabled). Nodes with a
	// TTL that are there expire either way.
	TTLNodes bool
	// ReconfigEnabled only changes how a reconfig is refused: a server that stands alone has nothing to reconfigure.
	ReconfigEnabled bool
}

// Tree is the state that the log makes: nodes, and the sessions that own ephemeral ones.
type Tree struct {
	opts     Options
	root     *node
	nodes    int // all of them, with the root
	zxid     int64
	digest   uint64
	acls     aclTable
	sessions map[int64]int32 // timeouts in ms

	// What the nodes' owners say, found the other way round. ephemerals also has the nodes of sessions that are not
	// there, see Orphans.
	ephemerals     map[int64]map[*node]struct{}
	ephemeralCount int
	containers     map[*node]struct{}
	ttls           map[*node]struct{}

	dataBytes int64  // of paths and data
	scratch   []byte // for digests
	events    []Event
	quiet     bool // replaying: nobody watches
}

// New is the tree of a server without a history: /zookeeper, /zookeeper/config and /zookeeper/quota.
func New(opts Options) *Tree {
	t := empty(opts)
	t.root = &node{acl: t.acls.open()}
	t.root.digest = t.digestOf("", t.root)
	t.digest, t.nodes, t.dataBytes = uint64(t.root.digest), 1, 1
	for _, path := range []string{"/zookeeper", "/zookeeper/config", "/zookeeper/quota"} {
		parent, _ := cut(path)
		t.plant(path, t.find(parent), &node{data: []byte{}, acl: t.acls.open()})
	}
	t.root.data = []byte{}
	config := t.find("/zookeeper/config")
	config.aversion = -1 // it was restricted when it was made (ZOOKEEPER-2014), and no transaction counted that
	t.replaceACL(config, []proto.ACL{{Perms: proto.PermRead, ID: proto.ID{Scheme: "world", ID: "anyone"}}})
	return t
}

func empty(opts Options) *Tree {
	return &Tree{
		opts:       opts,
		acls:       newACLTable(),
		sessions:   map[int64]int32{},
		ephemerals: map[int64]map[*node]struct{}{},
		containers: map[*node]struct{}{},
		ttls:       map[*node]struct{}{},
	}
}

// Zxid is that of the last transaction applied, failed ones counted.
func (t *Tree) Zxid() int64 { return t.zxid }

// Digest is the sum over the tree as ZooKeeper keeps it (DigestCalculator, version 2), to be written with the
// transaction applied last.
func (t *Tree) Digest() *proto.TxnDigest {
	return &proto.TxnDigest{Version: digestVersion, Tree: t.digest}
}

// Counts are the figures that a server reports of its tree.
type Counts struct {
	Nodes      int   // with the root
	Ephemerals int   // nodes
	Sessions   int   // open ones
	DataBytes  int64 // of paths and data
}

// Counts counts in constant time.
func (t *Tree) Counts() Counts {
	return Counts{Nodes: t.nodes, Ephemerals: t.ephemeralCount, Sessions: len(t.sessions), DataBytes: t.dataBytes}
}

// Session gives the timeout of an open session, in ms.
func (t *Tree) Session(id int64) (timeoutMs int32, open bool) {
	timeoutMs, open = t.sessions[id]
	return timeoutMs, open
}

// Sessions gives every open session with its timeout, in no order.
func (t *Tree) Sessions(yield func(id int64, timeoutMs int32) bool) {
	for id, timeoutMs := range t.sessions {
		if !yield(id, timeoutMs) {
			return
		}
	}
}

// Ephemerals gives the paths of a session's ephemeral nodes, sorted.
func (t *Tree) Ephemerals(session int64) []string { return sortedPaths(t.ephemerals[session]) }

// EphemeralOwners gives the sessions that own ephemeral nodes, sorted.
func (t *Tree) EphemeralOwners() []int64 {
	all := make([]int64, 0, len(t.ephemerals))
	for id := range t.ephemerals {
		all = append(all, id)
	}
	slices.Sort(all)
	return all
}

// Orphans gives the sessions that own ephemeral nodes though they are not open. A server closes them when it has read
// its log, as ZooKeeper does (ZooKeeperServer.loadData); its own log leaves none.
func (t *Tree) Orphans() []int64 {
	return slices.DeleteFunc(t.EphemeralOwners(), func(id int64) bool {
		_, open := t.sessions[id]
		return open
	})
}

func sortedPaths(nodes map[*node]struct{}) []string {
	paths := make([]string, 0, len(nodes))
	for n := range nodes {
		paths = append(paths, n.path())
	}
	slices.Sort(paths)
	return paths
}

// find gives the node at a path, nil if there is none. The root is "/" and, as in ZooKeeper, "".
func (t *Tree) find(path string) *node {
	if path == "" || path == "/" {
		return t.root
	}
	if path[0] != '/' {
		return nil
	}
	n := t.root
	for rest := path[1:]; n != nil; {
		name, after, more := strings.Cut(rest, "/")
		n = n.child(name)
		if !more {
			return n
		}
		rest = after
	}
	return nil
}

// cut parts a path with a slash into its parent's, "" for the root's, and the name.
func cut(path string) (parent, name string) {
	i := strings.LastIndexByte(path, '/')
	return path[:i], path[i+1:]
}

// plant puts a node below its parent, where there is none of its name.
func (t *Tree) plant(path string, parent, n *node) {
	_, name := cut(path)
	n.name = strings.Clone(name) // not the whole path
	n.parent = parent
	parent.addChild(n)
	t.nodes++
	t.dataBytes += int64(len(path) + len(n.data))
	n.digest = t.digestOf(path, n)
	t.digest += uint64(n.digest)
	switch ownerKind(n.owner) {
	case container:
		t.containers[n] = struct{}{}
	case ttl:
		t.ttls[n] = struct{}{}
	case ephemeral:
		own := t.ephemerals[n.owner]
		if own == nil {
			own = map[*node]struct{}{}
			t.ephemerals[n.owner] = own
		}
		own[n] = struct{}{}
		t.ephemeralCount++
	}
}

// uproot takes a node away, and all below it. A delete that is decided has nothing below it; one that is replayed over
// a fuzzy snapshot may have children of the node's next life, which are made again by the transactions that follow.
func (t *Tree) uproot(path string, n *node) {
	for n.numChildren() > 0 {
		c := n.kids.first()
		t.uproot(path+"/"+c.name, c)
	}
	n.parent.removeChild(n)
	n.parent = nil
	t.nodes--
	t.dataBytes -= int64(len(path) + len(n.data))
	t.digest -= uint64(n.digest)
	t.acls.release(n.acl)
	switch ownerKind(n.owner) {
	case container:
		delete(t.containers, n)
	case ttl:
		delete(t.ttls, n)
	case ephemeral:
		own := t.ephemerals[n.owner]
		delete(own, n)
		t.ephemeralCount--
		if len(own) == 0 {
			delete(t.ephemerals, n.owner)
		}
	}
}
