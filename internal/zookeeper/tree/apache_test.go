package tree

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"os"
	"slices"
	"strings"
	"testing"

	"gregor/internal/zookeeper/proto"
)

// apacheDid are the requests of two sessions that Apache ZooKeeper 3.8.4 wrote testdata/apache-3.8.4.log.1 for, as in
// the scenarios; the zeros after the last entry are cut off. extendedTypesEnabled was set.
const apacheDid = `
1 connect
2 connect
1 create /a x
1 create /a x
1 create2 /a/b yy
1 setData /a zz
1 setData / root
1 create /a/s- mode=2
1 create /a/e mode=1
2 create /e- mode=3
2 create /a/e2 mode=1
1 createContainer /c mode=4
1 createTTL /t mode=5 ttl=100000
1 setACL /a acl=ip:127.0.0.0/8:cdrwa,world:anyone:cdrwa
1 delete /a/b
1 delete /a/b
1 multi create /m x | setData /m y | check /m version=1 | create2 /m/k | delete /m/k | createTTL /m/t mode=5 ttl=100000
1 multi create /n | delete /no | create /o
1 create /zookeeper/quota/q
1 create "/umläut"
1 create a
2 close
1 setData /zookeeper/quota/q x
1 setData /a
`

// TestApachesLog decides the same requests and comes to the same transactions, byte for byte, with the same digests;
// and what was decoded of them encodes to them again.
func TestApachesLog(t *testing.T) {
	file, err := os.ReadFile("testdata/apache-3.8.4.log.1")
	if err != nil {
		t.Fatal(err)
	}
	decided, replayed := New(Options{TTLNodes: true}), New(Options{})
	s := &scenario{t: t}
	file = file[16:] // magic, version, database id
	for _, line := range strings.Split(strings.TrimSpace(apacheDid), "\n") {
		size := binary.BigEndian.Uint32(file[8:])
		entry := file[12 : 12+size]
		file = file[12+size+1:]
		h, txn, digest, err := proto.DecodeTxn(entry)
		if err != nil {
			t.Fatal(err)
		}
		if again := proto.AppendTxn(nil, h, txn, digest); !bytes.Equal(again, entry) {
			t.Errorf("%s: %x became %x", line, entry, again)
		}
		replayed.Replay(h, txn)
		if got := replayed.Digest(); digest != nil && *got != *digest {
			t.Errorf("%s: replayed, the digest is %x, not %x", line, got.Tree, digest.Tree)
		}

		if c, ok := txn.(*proto.CloseSessionTxn); ok { // a hash table's order
			slices.Sort(c.Paths)
			entry = proto.AppendTxn(nil, h, txn, digest)
		}

		var req proto.Request
		switch f := words(t, line); f[1] {
		case "connect":
			req = &proto.CreateSessionRequest{TimeoutMs: 30000}
		case "close":
			req = &proto.CloseSessionRequest{}
		default:
			req = s.request(f[1:])
		}
		gotH, gotTxn := decided.Decide(req, Origin{Session: h.Session, Cxid: h.Cxid, TimeMs: h.TimeMs})
		decided.Apply(gotH, gotTxn)
		gotDigest := decided.Digest()
		if h.Type == proto.OpError { // Apache leaves it out where nothing has changed
			gotDigest = nil
		}
		if got := proto.AppendTxn(nil, gotH, gotTxn, gotDigest); !bytes.Equal(got, entry) {
			t.Errorf("%s: decided\n%x, not\n%x", line, got, entry)
		}
	}
	if len(file) != 0 {
		t.Errorf("%d bytes are left", len(file))
	}
	same(t, replayed, decided)
}

// TestDigestOfLargeData is the same sum, whichever way it is made.
func TestDigestOfLargeData(t *testing.T) {
	for _, size := range []int{0, 1, 4096, 4097, 1 << 20} {
		tree := New(Options{})
		n := &node{data: bytes.Repeat([]byte("data"), size)[:size], czxid: 1, mzxid: 2, pzxid: 3, ctimeMs: 4, mtimeMs: 5, version: 6, cversion: 7, aversion: 8, owner: 9}
		s := n.persisted()
		stat := s.Append(nil) // with the two last fields the other way round
		order := append(append(append([]byte{}, stat[:16]...), stat[52:]...), stat[16:52]...)
		want := crc32.ChecksumIEEE(append(append([]byte("/path"), n.data...), order...))
		if got := tree.digestOf("/path", n); got != want {
			t.Errorf("%d bytes: %x, want %x", size, got, want)
		}
	}
}
