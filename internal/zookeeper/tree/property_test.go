package tree

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"gregor/internal/zookeeper/proto"

	"pgregory.net/rapid"
)

// drawPath draws from few names, so that operations meet.
func drawPath(t *rapid.T) string {
	var b strings.Builder
	for range rapid.IntRange(1, 3).Draw(t, "depth") {
		b.WriteString("/" + rapid.SampledFrom([]string{"a", "b", "c", "a0000000001"}).Draw(t, "name"))
	}
	return b.String()
}

func drawData(t *rapid.T) []byte {
	switch n := rapid.IntRange(-1, 3).Draw(t, "data"); n {
	case -1:
		return nil
	default:
		return bytes.Repeat([]byte{'x'}, n)
	}
}

func drawOne(t *rapid.T) proto.Request {
	version := int32(rapid.IntRange(-1, 2).Draw(t, "version"))
	path := drawPath(t)
	switch rapid.IntRange(0, 9).Draw(t, "op") {
	case 0, 1, 2:
		typ := rapid.SampledFrom([]proto.Op{proto.OpCreate, proto.OpCreate2}).Draw(t, "type")
		return &proto.CreateRequest{Type: typ, Path: path, Data: drawData(t), ACL: proto.OpenACL(), Flags: int32(rapid.IntRange(0, 3).Draw(t, "flags"))}
	case 3:
		return &proto.CreateRequest{Type: proto.OpCreateContainer, Path: path, ACL: proto.OpenACL(), Flags: 4}
	case 4:
		return &proto.CreateRequest{Type: proto.OpCreateTTL, Path: path, ACL: proto.OpenACL(), Flags: 5, TTLMs: rapid.Int64Range(1, 9).Draw(t, "ttl")}
	case 5, 6:
		return &proto.DeleteRequest{Path: path, Version: version}
	case 7:
		return &proto.CheckRequest{Path: path, Version: version}
	}
	return &proto.SetDataRequest{Path: path, Data: drawData(t), Version: version}
}

func drawRequest(t *rapid.T) proto.Request {
	switch rapid.IntRange(0, 11).Draw(t, "kind") {
	case 0:
		return &proto.CreateSessionRequest{TimeoutMs: 1}
	case 1:
		return &proto.CloseSessionRequest{}
	case 2:
		acl := []proto.ACL{{Perms: proto.PermAll, ID: proto.ID{Scheme: "world", ID: "anyone"}}, {ID: proto.ID{Scheme: "ip", ID: fmt.Sprintf("1.2.3.%d", rapid.IntRange(0, 2).Draw(t, "acl"))}}}
		return &proto.SetACLRequest{Path: drawPath(t), ACL: acl, Version: int32(rapid.IntRange(-1, 1).Draw(t, "aversion"))}
	case 3, 4:
		m := &proto.MultiRequest{Type: proto.OpMulti}
		for range rapid.IntRange(0, 4).Draw(t, "parts") {
			m.Ops = append(m.Ops, drawOne(t))
		}
		return m
	}
	for {
		if req := drawOne(t); req.Op() != proto.OpCheck {
			return req
		}
	}
}

// entry is a transaction as the log has it.
type entry struct {
	zxid  int64
	bytes []byte
}

// world is a tree with its log.
type world struct {
	tree *Tree
	log  []entry
	now  int64
}

func newWorld() *world {
	w := &world{tree: New(Options{TTLNodes: true}), now: 1000}
	w.write(&proto.CreateSessionRequest{TimeoutMs: 5}, 1)
	return w
}

func (w *world) write(req proto.Request, session int64) (Result, string) {
	w.now++
	h, txn := w.tree.Decide(req, Origin{Session: session, TimeMs: w.now})
	r := w.tree.Apply(h, txn)
	w.log = append(w.log, entry{h.Zxid, proto.AppendTxn(nil, h, txn, w.tree.Digest())})
	reply, code := r.Reply(req.Op())
	if code != proto.OK {
		return r, code.String()
	}
	return r, show(reply)
}

func replay(t interface{ Fatal(...any) }, tree *Tree, log []entry, check bool) {
	for _, e := range log {
		h, txn, digest, err := proto.DecodeTxn(e.bytes)
		if err != nil {
			t.Fatal(err)
		}
		tree.Replay(h, txn)
		if check && *digest != *tree.Digest() {
			t.Fatal("digest differs at", h.Zxid)
		}
	}
}

func TestTreeIsTheModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w, m := newWorld(), newModel()
		m.write(&proto.CreateSessionRequest{}, 1, w.now)
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			req, session := drawRequest(t), rapid.Int64Range(1, 3).Draw(t, "session")
			_, got := w.write(req, session)
			if want := m.write(req, session, w.now); got != want {
				t.Fatalf("%s %+v of session %d:\n got %s\nwant %s", req.Op(), req, session, got, want)
			}
			if got, want := dumpLikeModel(w.tree), m.dump(); got != want {
				t.Fatalf("after %s %+v:\n got\n%swant\n%s", req.Op(), req, got, want)
			}
		}
		checkCounts(t, w.tree)
		// The log makes the same tree.
		again := New(Options{})
		replay(t, again, w.log, true)
		same(t, again, w.tree)
	})
}

func same(t interface {
	Fatalf(string, ...any)
}, got, want *Tree) {
	if g, w := dump(got, ""), dump(want, ""); g != w {
		t.Fatalf("got\n%swant\n%s", g, w)
	}
	if got.zxid != want.zxid || *got.Digest() != *want.Digest() || got.Counts() != want.Counts() ||
		fmt.Sprint(got.sessions) != fmt.Sprint(want.sessions) || fmt.Sprint(got.EphemeralOwners()) != fmt.Sprint(want.EphemeralOwners()) ||
		len(got.acls.byKey) != len(want.acls.byKey) || len(got.containers) != len(want.containers) || len(got.ttls) != len(want.ttls) {
		t.Fatalf("got %+v, want %+v", got, want)
	}
}

// checkCounts finds again by walking what the tree keeps as figures.
func checkCounts(t interface{ Fatalf(string, ...any) }, tree *Tree) {
	var c Counts
	var digest uint64
	refs := map[*aclEntry]int{}
	for s := tree.Snapshot(); s.Next(3, func(img NodeImage) {
		n := tree.find(img.Path)
		c.Nodes++
		c.DataBytes += int64(len(n.path()) + len(img.Data))
		digest += uint64(tree.digestOf(img.Path, n))
		refs[n.acl]++
		if ownerKind(n.owner) == ephemeral {
			c.Ephemerals++
		}
	}); {
	}
	c.Sessions = len(tree.sessions)
	if c != tree.Counts() || digest != tree.digest {
		t.Fatalf("counted %+v and the digest %x, kept %+v and %x", c, digest, tree.Counts(), tree.digest)
	}
	for e, n := range refs {
		if e.id == openACLID {
			n++
		}
		if e.refs != n {
			t.Fatalf("the list %d has %d nodes, not %d", e.id, n, e.refs)
		}
	}
}

// churn makes requests that create and delete the same few nodes over and over, so that a snapshot in the making meets
// nodes in their second and third life.
type churn struct {
	*rand.Rand
	*world
}

func (c churn) step() {
	path := ""
	for range 1 + c.IntN(3) {
		path += "/" + string("ab"[c.IntN(2)])
	}
	acl := proto.OpenACL()
	if c.IntN(3) == 0 {
		acl = append(acl, proto.ACL{ID: proto.ID{Scheme: "ip", ID: fmt.Sprintf("1.2.3.%d", c.IntN(5))}})
	}
	session := int64(1 + c.IntN(2))
	create := func() proto.Request {
		return &proto.CreateRequest{Type: proto.OpCreate, Path: path, Data: []byte(fmt.Sprint(c.now)), ACL: acl, Flags: int32(c.IntN(4) / 3)}
	}
	switch c.IntN(20) {
	case 0:
		c.write(&proto.CloseSessionRequest{}, session)
		c.write(&proto.CreateSessionRequest{TimeoutMs: int32(c.now)}, session)
	case 1:
		c.write(&proto.SetACLRequest{Path: path, ACL: acl, Version: -1}, session)
	case 2:
		c.write(&proto.SetDataRequest{Path: path, Data: []byte(fmt.Sprint(c.now)), Version: -1}, session)
	case 3:
		c.write(&proto.MultiRequest{Type: proto.OpMulti, Ops: []proto.Request{&proto.DeleteRequest{Path: path, Version: -1}, create()}}, session)
	case 4, 5, 6, 7, 8, 9, 10, 11:
		c.write(&proto.DeleteRequest{Path: path, Version: -1}, session)
	case 12: // all of it
		c.write(&proto.DeleteRequest{Path: path + "/a", Version: -1}, session)
		c.write(&proto.DeleteRequest{Path: path + "/b", Version: -1}, session)
		c.write(&proto.DeleteRequest{Path: path, Version: -1}, session)
	default:
		c.write(create(), session)
	}
}

// TestFuzzySnapshot takes a snapshot in steps while transactions go on, and replays over it what came after its begin.
func TestFuzzySnapshot(t *testing.T) {
	for seed := range uint64(3000) {
		c := churn{rand.New(rand.NewPCG(seed, 0)), newWorld()}
		for range c.IntN(60) {
			c.step()
		}
		s := c.tree.Snapshot()
		l := NewLoader(Options{})
		for _, session := range s.Sessions {
			l.Session(session)
		}
		for _, acl := range s.ACLs {
			l.ACL(acl)
		}
		for more := true; more; {
			more = s.Next(1+c.IntN(2), func(n NodeImage) {
				n.Data = bytes.Clone(n.Data)
				if err := l.Node(n); err != nil {
					t.Fatalf("seed %d: %v", seed, err)
				}
				clear(n.Data) // nothing may be kept of it
			})
			for range c.IntN(20) {
				c.step()
			}
		}
		zxid, digest := s.End()
		loaded, err := l.Finish(s.Zxid)
		if err != nil {
			t.Fatal(err)
		}
		replay(t, loaded, c.log[s.Zxid:zxid], false)
		if *loaded.Digest() != digest {
			t.Errorf("seed %d: the digest at the end is %x, not %x", seed, loaded.Digest().Tree, digest.Tree)
		}
		for range c.IntN(10) {
			c.step()
		}
		replay(t, loaded, c.log[zxid:], true)
		same(t, loaded, c.tree)
		if t.Failed() {
			return
		}
	}
}
