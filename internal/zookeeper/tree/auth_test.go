package tree

import (
	"testing"

	"gregor/internal/zookeeper/proto"
)

// TestAuthenticateKeepsTheOldIDs holds that requests on their way keep the ids that they came with.
func TestAuthenticateKeepsTheOldIDs(t *testing.T) {
	var o Options
	before := append(make([]proto.ID, 0, 8), IPID("::1"))
	ann, _ := o.Authenticate(before, &proto.AuthRequest{Scheme: "digest", Auth: []byte("ann:pw")})
	bob, _ := o.Authenticate(before, &proto.AuthRequest{Scheme: "digest", Auth: []byte("bob:pw")})
	if len(ann) != 2 || len(bob) != 2 || ann[1] == bob[1] {
		t.Error(ann, bob)
	}
	if again, _ := o.Authenticate(ann, &proto.AuthRequest{Scheme: "digest", Auth: []byte("ann:pw")}); len(again) != 2 {
		t.Error(again)
	}
}

// TestDigest is the example of ZooKeeper's documentation of ACLs.
func TestDigest(t *testing.T) {
	if got := Digest("super:super"); got != "super:gG7s8t3oDEtIqF6DM9LlI/R+9Ss=" {
		t.Error(got)
	}
}

func TestIPExpressions(t *testing.T) {
	for _, c := range []struct {
		expr, addr string
		valid, in  bool
	}{
		{"10.1.2.3", "10.1.2.3", true, true},
		{"10.1.2.3", "10.1.2.4", true, false},
		{"10.1.2.3/32", "10.1.2.3", true, true},
		{"10.1.2.0/23", "10.1.3.255", true, true},
		{"10.1.2.0/23", "10.1.4.0", true, false},
		{"10.1.2.9/0", "255.255.255.255", true, true},
		{"10.1.2.3", "::1", true, false},
		{"10.1.2.3/33", "10.1.2.3", false, false},
		{"10.1.2.3/-1", "10.1.2.3", false, false},
		{"10.1.2.3/", "10.1.2.3", false, false},
		{"10.1.2", "10.1.2", false, false},
		{"10.1.2.256", "10.1.2.256", false, false},
		{"10.1.2.x", "10.1.2.x", false, false},
		{"", "", false, false},
		{"::1", "::1", false, false},
	} {
		acl := []proto.ACL{{Perms: proto.PermRead, ID: proto.ID{Scheme: "ip", ID: c.expr}}}
		if _, code := settleACL(acl, nil); (code == proto.OK) != c.valid {
			t.Errorf("%q: %s", c.expr, code)
		}
		var o Options
		if in := o.Allowed(acl, proto.PermRead, []proto.ID{IPID(c.addr)}); in != c.in {
			t.Errorf("%s in %q: %v", c.addr, c.expr, in)
		}
	}
}

// TestMultiReadIsBounded names a node of a megabyte as often as a request of a megabyte can.
func TestMultiReadIsBounded(t *testing.T) {
	w := newWorld()
	w.write(&proto.CreateRequest{Type: proto.OpCreate, Path: "/large", Data: make([]byte, 1<<20), ACL: proto.OpenACL()}, 1)
	req := &proto.MultiRequest{Type: proto.OpMultiRead}
	for range 60 {
		req.Ops = append(req.Ops, &proto.GetDataRequest{Path: "/large"})
	}
	if reply, _, code := w.tree.Read(NewWatches(), req, Reader{Session: 1}); code != proto.OK || len(reply.(*proto.MultiReply).Parts) != 60 {
		t.Error(code)
	}
	for range 40_000 {
		req.Ops = append(req.Ops, &proto.GetDataRequest{Path: "/large"})
	}
	if _, _, code := w.tree.Read(NewWatches(), req, Reader{Session: 1}); code != proto.MarshallingError {
		t.Error(code)
	}
}
