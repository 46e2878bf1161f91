package interop

import (
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	zk "gregor/test/zookeeper"
)

// zkScripts are histories that go through what the protocol can say, one subject each. Each has its own part of the tree.
var zkScripts = []struct {
	name string
	play func(*side)
}{
	{"creates", scriptCreates},
	{"paths", scriptPaths},
	{"deletes", scriptDeletes},
	{"data", scriptData},
	{"ttl", scriptTTL},
	{"acl", scriptACL},
	{"acl that is none", scriptBadACL},
	{"multi", scriptMulti},
	{"multi that fails", scriptMultiFails},
	{"multiRead", scriptMultiRead},
	{"watches", scriptWatches},
	{"persistent watches", scriptPersistentWatches},
	{"removed watches", scriptRemovedWatches},
	{"set watches", scriptSetWatches},
	{"sessions", scriptSessions},
	{"session that expires", scriptExpiry},
	{"pipeline", scriptPipeline},
	{"other operations", scriptOthers},
	{"system nodes", scriptSystem},
}

// TestZooKeeperSays sends the same operations to our server and to Apache's, and compares every reply, error code, stat,
// zxid and watch event, and their order.
func TestZooKeeperSays(t *testing.T) {
	ours, apache := zkPair(t, zk.Options{Extra: []string{"extendedTypesEnabled=true"}})
	for _, script := range zkScripts {
		t.Run(strings.ReplaceAll(script.name, " ", "_"), func(t *testing.T) { compare(t, ours, apache, script.play) })
	}
}

func create(path string) zk.Request { return createOf(path, zk.Persistent) }

func createOf(path string, flags int32) zk.Request {
	return zk.Create(zk.OpCreate2, path, []byte("data"), zk.Open, flags, 0)
}

func entry(perms int32, scheme, id string) zk.ACL {
	return zk.ACL{Perms: perms, Scheme: scheme, ID: id}
}

func get(path string) zk.Request   { return zk.Read(zk.OpGetData, path, false) }
func watch(path string) zk.Request { return zk.Read(zk.OpGetData, path, true) }
func list(path string) zk.Request  { return zk.Read(zk.OpGetChildren2, path, false) }

func scriptCreates(s *side) {
	s.connect("a", 10_000)
	s.connect("b", 10_000)
	root := func(p string) string { return "/creates" + p }
	s.do("a", create(root("")))
	for _, op := range []int32{zk.OpCreate, zk.OpCreate2, zk.OpCreateContainer, zk.OpCreateTTL} {
		for flags := int32(-1); flags <= 8; flags++ {
			s.do("a", zk.Create(op, root(fmt.Sprintf("/n%d-%d", op, flags)), []byte("x"), zk.Open, flags, 100_000))
		}
		s.do("a", list(root("")))
	}
	for _, data := range [][]byte{nil, {}, {0}, []byte(strings.Repeat("long", 1000))} {
		s.do("a", zk.Create(zk.OpCreate, root("/data"), data, zk.Open, 0, 0))
		s.do("a", get(root("/data")))
		s.do("a", zk.Delete(root("/data"), -1))
	}
	s.do("a", create(root("/n15-0")))
	s.do("a", create(root("/missing/child")))
	s.do("a", createOf(root("/e"), zk.Ephemeral))
	s.do("a", create(root("/e/child")))
	s.do("a", createOf(root("/e"), zk.Ephemeral))
	s.do("b", createOf(root("/e"), zk.Ephemeral))
	s.do("b", get(root("/e")))
	// Numbers come from the parent's count of changes; a deletion is one, too.
	s.do("a", create(root("/seq")))
	for range 3 {
		s.do("a", createOf(root("/seq/n-"), zk.Sequential))
		s.do("b", createOf(root("/seq/n-"), zk.EphemeralSequential))
		s.do("a", createOf(root("/seq/"), zk.Sequential))
		s.do("a", create(root("/seq/between")))
		s.do("a", zk.Delete(root("/seq/between"), -1))
	}
	s.do("a", createOf(root("/seq/missing/n-"), zk.Sequential))
	s.do("a", createOf("/creates-", zk.Sequential))
	s.do("a", list(root("/seq")))
	s.do("a", list(root("")))
	s.bye("b")
	s.do("a", list(root("/seq")))
}

func scriptPaths(s *side) {
	s.connect("a", 10_000)
	s.do("a", create("/paths"))
	for _, path := range []string{"", "relative", "/", "//", "/paths/", "/paths//x", "//paths", "/paths/./x", "/paths/.", "/./paths", "/paths/..", "/paths/../x",
		"/paths/...", "/paths/.x", "/paths/x.", "/paths/a\x00b", "/paths/\x01", "/paths/\x1f", "/paths/\x7f", "/paths/\u0085", "/paths/ü", "/paths/\ue000", "/paths/\uf8ff", "/paths/\ufff0",
		"/paths/\uffff", "/paths/\U0001f600", "/paths/ ", "/paths/\xff\xfe", "/paths/" + strings.Repeat("long", 300)} {
		s.do("a", zk.Create(zk.OpCreate, path, nil, zk.Open, 0, 0))
		s.do("a", createOf(path, zk.Sequential))
		s.do("a", createOf(path, zk.Ephemeral))
		s.do("a", zk.Create(zk.OpCreateContainer, path, nil, zk.Open, zk.Container, 0))
		for _, op := range []int32{zk.OpExists, zk.OpGetData, zk.OpGetChildren, zk.OpGetChildren2} {
			s.do("a", zk.Read(op, path, false))
		}
		for _, op := range []int32{zk.OpGetACL, zk.OpGetEphemerals, zk.OpGetAllChildrenNumber} {
			s.do("a", zk.Named(op, path))
		}
		if utf8.ValidString(path) && !strings.ContainsFunc(path, func(r rune) bool { return r > 0xffff }) { // Apache's does not give such a path back as it was
			s.do("a", zk.Named(zk.OpSync, path))
		}
		s.do("a", zk.SetData(path, []byte("set"), 99))
		s.do("a", zk.SetACL(path, zk.Open, 99))
		s.do("a", zk.Delete(path, 99))
		s.do("a", zk.Multi(zk.OpMulti, zk.Check(path, 99)))
		s.do("a", zk.Multi(zk.OpMultiRead, get(path)))
		s.do("a", zk.Numbered(zk.OpRemoveWatches, path, zk.WatchAny))
	}
	s.do("a", list("/paths"))
}

func scriptDeletes(s *side) {
	s.connect("a", 10_000)
	s.do("a", create("/deletes"))
	s.do("a", create("/deletes/a"))
	s.do("a", create("/deletes/a/b"))
	s.do("a", zk.Delete("/deletes/a", -1))
	s.do("a", zk.Delete("/deletes/a/b", 1))
	s.do("a", zk.Delete("/deletes/a/b", -2))
	s.do("a", zk.Delete("/deletes/a/b", 0))
	s.do("a", zk.Delete("/deletes/a/b", 0))
	s.do("a", get("/deletes/a"))
	s.do("a", zk.Delete("/deletes/missing/x", -1))
	s.do("a", zk.Delete("/", -1))
	s.do("a", zk.Delete("/zookeeper", -1))
	s.do("a", zk.Delete("/zookeeper/quota", -1))
	s.do("a", list("/deletes"))
}

func scriptData(s *side) {
	s.connect("a", 10_000)
	s.do("a", create("/data"))
	for _, version := range []int32{0, 0, 1, -1, -2, 5, 3} {
		s.do("a", zk.SetData("/data", []byte(fmt.Sprint("v", version)), version))
		s.do("a", get("/data"))
	}
	s.do("a", zk.SetData("/data", nil, -1))
	s.do("a", get("/data"))
	s.do("a", zk.SetData("/data", []byte{}, -1))
	s.do("a", get("/data"))
	s.do("a", zk.SetData("/data/missing", nil, -1))
	s.do("a", zk.Read(zk.OpExists, "/data/missing", false))
	s.do("a", zk.Read(zk.OpExists, "/data", false))
	s.do("a", zk.Read(zk.OpGetChildren, "/data/missing", false))
	s.do("a", zk.Named(zk.OpGetAllChildrenNumber, "/data/missing"))
	s.do("a", create("/data/x"))
	s.do("a", create("/data/x/y"))
	s.do("a", zk.Named(zk.OpGetAllChildrenNumber, "/data"))
	s.do("a", zk.SetData("/", []byte("root"), -1))
	s.do("a", get("/"))
	s.do("a", zk.SetData("/", []byte{}, -1))
}

func scriptTTL(s *side) {
	s.connect("a", 10_000)
	s.do("a", create("/ttl"))
	for i, ms := range []int64{1, 0, -1, 100_000, 0xffffffffff - 1, 0xffffffffff, 0xffffffffff + 1, 1 << 62} {
		path := fmt.Sprintf("/ttl/n%d", i)
		s.do("a", zk.Create(zk.OpCreateTTL, path, nil, zk.Open, zk.TTL, ms))
		s.do("a", zk.Create(zk.OpCreateTTL, path+"-", nil, zk.Open, zk.SequentialTTL, ms))
		s.do("a", zk.Read(zk.OpExists, "/ttl/n3", false))
	}
	s.do("a", zk.Create(zk.OpCreateTTL, "/ttl/n3/child", nil, zk.Open, zk.TTL, 100_000))
	s.do("a", zk.Multi(zk.OpMulti, zk.Create(zk.OpCreateTTL, "/ttl/m", nil, zk.Open, zk.TTL, 100_000), zk.Create(zk.OpCreateContainer, "/ttl/c", nil, zk.Open, zk.Container, 0)))
	s.do("a", get("/ttl/m"))
	s.do("a", get("/ttl/c"))
}

func digest(user, password string) string {
	sum := sha1.Sum([]byte(user + ":" + password))
	return user + ":" + base64.StdEncoding.EncodeToString(sum[:])
}

func scriptACL(s *side) {
	s.connect("a", 10_000)
	s.connect("b", 10_000)
	s.do("a", zk.Bare(zk.OpWhoAmI))
	s.do("a", zk.Auth("digest", []byte("ann:secret")))
	s.do("a", zk.Auth("digest", []byte("ann:secret")))
	s.do("a", zk.Bare(zk.OpWhoAmI))
	s.do("a", create("/acl"))
	all := func(perms int32) []zk.ACL {
		return []zk.ACL{entry(perms, "digest", digest("ann", "secret"))}
	}
	s.do("a", zk.Create(zk.OpCreate, "/acl/mine", []byte("x"), []zk.ACL{entry(zk.PermAll, "auth", "")}, 0, 0))
	s.do("a", zk.Named(zk.OpGetACL, "/acl/mine"))
	s.do("b", zk.Create(zk.OpCreate, "/acl/nobodys", []byte("x"), []zk.ACL{entry(zk.PermAll, "auth", "")}, 0, 0))
	s.do("a", zk.Create(zk.OpCreate, "/acl/ip", []byte("x"), []zk.ACL{entry(zk.PermAll, "ip", "127.0.0.1")}, 0, 0))
	s.do("a", zk.Create(zk.OpCreate, "/acl/net", []byte("x"), []zk.ACL{entry(zk.PermAll, "ip", "127.0.0.0/8")}, 0, 0))
	s.do("a", zk.Create(zk.OpCreate, "/acl/far", []byte("x"), []zk.ACL{entry(zk.PermAll, "ip", "10.0.0.0/8")}, 0, 0))
	for _, path := range []string{"/acl/ip", "/acl/net", "/acl/far"} {
		s.do("b", get(path))
		s.do("b", zk.Named(zk.OpGetACL, path))
	}
	for perms := int32(0); perms <= zk.PermAll; perms++ {
		path := fmt.Sprintf("/acl/p%d", perms)
		s.do("a", zk.Create(zk.OpCreate, path, []byte("x"), []zk.ACL{entry(perms, "world", "anyone")}, 0, 0))
		s.do("b", get(path))
		s.do("b", zk.Read(zk.OpExists, path, false))
		s.do("b", zk.Read(zk.OpGetChildren, path, false))
		s.do("b", list(path))
		s.do("b", zk.Named(zk.OpGetAllChildrenNumber, path))
		s.do("b", zk.Named(zk.OpGetACL, path))
		s.do("b", zk.SetData(path, []byte("y"), -1))
		s.do("b", create(path+"/child"))
		s.do("b", zk.Multi(zk.OpMulti, zk.Check(path, -1)))
		s.do("b", zk.Multi(zk.OpMultiRead, get(path), zk.Read(zk.OpGetChildren, path, false)))
		s.do("b", zk.Delete(path+"/child", -1))
		s.do("b", zk.SetACL(path, zk.Open, -1))
	}
	// One who may read sees whose it is, but not the hash; one who may administer sees it.
	s.do("a", zk.Create(zk.OpCreate, "/acl/hash", []byte("x"), append(all(zk.PermAll), entry(zk.PermRead, "world", "anyone")), 0, 0))
	s.do("a", zk.Named(zk.OpGetACL, "/acl/hash"))
	s.do("b", zk.Named(zk.OpGetACL, "/acl/hash"))
	s.do("b", zk.SetData("/acl/hash", nil, -1))
	s.do("b", zk.Auth("digest", []byte("ann:secret")))
	s.do("b", zk.SetData("/acl/hash", nil, -1))
	s.do("b", zk.Named(zk.OpGetACL, "/acl/hash"))
	for _, version := range []int32{0, 0, 1, -1, 7} {
		s.do("a", zk.SetACL("/acl/hash", all(zk.PermAll), version))
	}
	s.do("a", zk.SetACL("/acl/missing", zk.Open, -1))
	s.do("a", zk.Named(zk.OpGetACL, "/acl/missing"))
	s.connect("c", 10_000)
	s.do("c", zk.Auth("digest", []byte("ann:wrong")))
	s.do("c", get("/acl/hash"))
	s.do("c", zk.Read(zk.OpExists, "/acl/hash", true))
	s.do("c", zk.Delete("/acl/hash", -1)) // the parent's permission counts
	s.connect("d", 10_000)
	s.do("d", zk.Auth("digest", []byte("nocolon")))
	s.do("d", zk.Bare(zk.OpWhoAmI))
	s.connect("e", 10_000)
	s.last("e", zk.Auth("unheard", []byte("x")))
	s.connect("f", 10_000)
	s.do("f", zk.Auth("ip", []byte("x")))
	s.do("f", zk.Bare(zk.OpWhoAmI))
	s.connect("g", 10_000)
	s.last("g", zk.Auth("world", []byte("anyone")))
	s.connect("h", 10_000)
	s.do("h", zk.Auth("digest", []byte("super:secret")))
	s.do("h", zk.SetData("/acl/mine", nil, -1))
	s.do("h", zk.Auth("digest", []byte("other:secret")))
	s.do("h", zk.Bare(zk.OpWhoAmI))
}

func scriptBadACL(s *side) {
	s.connect("a", 10_000)
	s.do("a", create("/bad-acl"))
	s.do("a", zk.Auth("digest", []byte("ann:secret")))
	s.do("a", zk.Create(zk.OpCreate, "/bad-acl/x", nil, nil, 0, 0))
	s.do("a", zk.SetACL("/bad-acl", nil, -1))
	for _, acl := range [][]zk.ACL{
		{}, {entry(zk.PermAll, "", "")}, {entry(zk.PermAll, "world", "someone")}, {entry(zk.PermAll, "world", "")}, {entry(zk.PermAll, "unheard", "x")},
		{entry(zk.PermAll, "digest", "nocolon")}, {entry(zk.PermAll, "digest", "a:b:c")}, {entry(zk.PermAll, "digest", "")}, {entry(zk.PermAll, "ip", "not an address")}, {entry(zk.PermAll, "ip", "127.0.0.1/33")},
		{entry(zk.PermAll, "ip", "127.0.0.1/-1")}, {entry(zk.PermAll, "ip", "::1")}, {entry(zk.PermAll, "ip", "1.2.3")}, {entry(zk.PermAll, "ip", "300.1.1.1")}, {entry(zk.PermAll, "auth", "ignored")},
		{entry(-1, "world", "anyone")}, {entry(32, "world", "anyone")}, {entry(0, "world", "anyone")}, {entry(zk.PermAll, "x509", "CN=x")}, {entry(zk.PermAll, "sasl", "x")}, {entry(zk.PermAll, "super", "")},
		{zk.Open[0], zk.Open[0]}, {zk.Open[0], entry(zk.PermRead, "ip", "nonsense")}, {entry(zk.PermAll, "auth", ""), zk.Open[0], entry(zk.PermRead, "digest", digest("ann", "secret"))},
	} {
		s.do("a", zk.Create(zk.OpCreate, "/bad-acl/x", nil, acl, 0, 0))
		s.do("a", zk.Named(zk.OpGetACL, "/bad-acl/x"))
		s.do("a", zk.Delete("/bad-acl/x", -1))
		s.do("a", zk.SetACL("/bad-acl", acl, -1))
		s.do("a", zk.Named(zk.OpGetACL, "/bad-acl"))
		s.do("a", zk.SetACL("/bad-acl", zk.Open, -1))
		s.do("a", zk.Multi(zk.OpMulti, zk.Create(zk.OpCreate, "/bad-acl/x", nil, acl, 0, 0), zk.Delete("/bad-acl/x", -1)))
	}
	s.do("a", zk.Named(zk.OpGetACL, "/bad-acl"))
}

func scriptMulti(s *side) {
	s.connect("a", 10_000)
	s.connect("b", 10_000)
	s.do("a", zk.Multi(zk.OpMulti))
	s.do("a", zk.Multi(zk.OpMulti, create("/multi"), create("/multi/a"), zk.Create(zk.OpCreate, "/multi/b", nil, zk.Open, 0, 0),
		zk.SetData("/multi/a", []byte("new"), 0), zk.Check("/multi/a", 1), zk.SetData("/multi/a", []byte("newer"), 1), zk.Delete("/multi/b", 0)))
	s.do("a", get("/multi"))
	s.do("a", get("/multi/a"))
	s.do("a", zk.Multi(zk.OpMulti, createOf("/multi/s-", zk.Sequential), createOf("/multi/s-", zk.Sequential), createOf("/multi/e", zk.Ephemeral),
		zk.Create(zk.OpCreateContainer, "/multi/c", nil, zk.Open, zk.Container, 0), create("/multi/c/x"), zk.Delete("/multi/c/x", -1)))
	s.do("a", list("/multi"))
	s.do("b", zk.Read(zk.OpGetChildren, "/multi", true))
	s.do("b", watch("/multi/a"))
	s.do("b", zk.Read(zk.OpExists, "/multi/new", true))
	s.do("a", zk.Multi(zk.OpMulti, create("/multi/new"), zk.SetData("/multi/a", nil, -1), zk.Delete("/multi/a", -1), create("/multi/a"), zk.SetData("/multi/new", nil, -1)))
	s.do("a", get("/multi/a"))
	s.do("a", zk.Multi(zk.OpMulti, zk.Check("/multi", -1)))
	s.do("a", zk.Multi(zk.OpMulti, create("/multi/gone"), zk.Delete("/multi/gone", 0), create("/multi/gone"), zk.Delete("/multi/gone", 0)))
	s.do("a", zk.Multi(zk.OpMulti, createOf("/multi/s2-", zk.EphemeralSequential), zk.Check("/multi", 0)))
	s.do("a", zk.Named(zk.OpGetEphemerals, "/multi"))
	s.do("a", list("/multi"))
	s.bye("a")
	s.do("b", list("/multi"))
}

func scriptMultiFails(s *side) {
	s.connect("a", 10_000)
	s.connect("b", 10_000)
	s.do("a", create("/fails"))
	s.do("a", createOf("/fails/e", zk.Ephemeral))
	s.do("b", zk.Read(zk.OpGetChildren, "/fails", true))
	for _, wrong := range []zk.Request{
		create("/fails"), create("/fails/no/parent"), create("relative"), create("/fails/e/child"), createOf("/fails/x", 9), zk.Create(zk.OpCreate, "/fails/x", nil, []zk.ACL{}, 0, 0),
		zk.Delete("/fails/none", -1), zk.Delete("/fails", -1), zk.Delete("/fails/e", 5), zk.Delete("/", -1), zk.SetData("/fails/none", nil, -1), zk.SetData("/fails/e", nil, 5),
		zk.Check("/fails/none", -1), zk.Check("/fails", 5), get("/fails"), zk.Read(zk.OpGetChildren, "/fails", false), zk.SetACL("/fails", zk.Open, -1),
		zk.Create(zk.OpCreateTTL, "/fails/t", nil, zk.Open, zk.TTL, -5), zk.Multi(zk.OpMulti), zk.Raw(77, nil),
	} {
		s.connect("c", 10_000) // some end the connection
		s.do("c", zk.Multi(zk.OpMulti, create("/fails/1"), create("/fails/1/2"), wrong, create("/fails/3"), zk.Delete("/fails/none", -1)))
		s.do("c", zk.Multi(zk.OpMulti, wrong))
		s.do("a", list("/fails"))
		s.bye("c")
	}
	s.do("a", createOf("/fails/s-", zk.Sequential)) // the counts are those of before
	s.do("a", get("/fails"))
}

func scriptMultiRead(s *side) {
	s.connect("a", 10_000)
	s.do("a", create("/read"))
	s.do("a", create("/read/a"))
	s.do("a", zk.Multi(zk.OpMultiRead, get("/read"), zk.Read(zk.OpGetChildren, "/read", false), get("/read/none"), zk.Read(zk.OpGetChildren, "/read/none", false), get("/read/a")))
	s.do("a", zk.Multi(zk.OpMultiRead))
	s.do("a", zk.Multi(zk.OpMultiRead, watch("/read"), zk.Read(zk.OpGetChildren, "/read", true)))
	s.do("a", zk.SetData("/read", nil, -1))
	s.do("a", create("/read/b"))
	s.do("a", zk.Multi(zk.OpMultiRead, zk.Read(zk.OpExists, "/read", false)))
	s.do("a", zk.Multi(zk.OpMultiRead, list("/read")))
	s.do("a", list("/read"))
}

func scriptWatches(s *side) {
	for _, name := range []string{"a", "b", "c"} {
		s.connect(name, 10_000)
	}
	s.do("a", create("/watches"))
	s.do("b", watch("/watches"))
	s.do("b", watch("/watches")) // once is enough
	s.do("b", zk.Read(zk.OpExists, "/watches", true))
	s.do("b", zk.Read(zk.OpGetChildren, "/watches", true))
	s.do("c", zk.Read(zk.OpGetChildren2, "/watches", true))
	s.do("a", zk.SetData("/watches", []byte("1"), -1))
	s.do("a", zk.SetData("/watches", []byte("2"), -1)) // fired once
	s.do("a", create("/watches/x"))
	s.do("a", create("/watches/y"))
	s.do("b", zk.Read(zk.OpExists, "/watches/z", true))
	s.do("b", watch("/watches/none")) // a read that fails leaves no watch
	s.do("b", zk.Read(zk.OpGetChildren, "/watches/none", true))
	s.do("a", create("/watches/none"))
	s.do("a", create("/watches/z"))
	s.do("a", zk.SetData("/watches/z", nil, -1))
	for _, name := range []string{"a", "b", "c"} {
		s.do(name, watch("/watches/z"))
		s.do(name, zk.Read(zk.OpGetChildren, "/watches/z", true))
		s.do(name, zk.Read(zk.OpGetChildren, "/watches", true))
	}
	s.do("a", zk.Delete("/watches/z", -1)) // data, then children, then the parent's children
	s.do("b", zk.Read(zk.OpExists, "/watches/z", true))
	s.do("c", createOf("/watches/z", zk.Ephemeral))
	s.do("b", watch("/watches/z"))
	s.do("b", zk.Read(zk.OpGetChildren, "/watches", true))
	s.bye("c") // its node goes with it
	s.do("b", watch("/watches/x"))
	s.do("b", zk.Read(zk.OpGetChildren, "/watches/x", true))
	s.do("a", zk.SetACL("/watches/x", zk.Open, -1)) // no event
	s.do("a", zk.SetData("/watches/x", nil, 99))    // nor for what fails
	s.do("a", zk.Delete("/watches/x", -1))
	s.do("b", zk.Read(zk.OpExists, "/watches/x", true))
	s.drop("b")
	s.resume("b", nil)
	s.do("a", create("/watches/x")) // a watch is the connection's
}

// No client has two kinds of watches at the same path: in ZooKeeper 3.8 the one takes the other's
// place (ZOOKEEPER-4466, mended in 3.9), in ours both are there.
func scriptPersistentWatches(s *side) {
	for _, name := range []string{"a", "b", "c"} {
		s.connect(name, 10_000)
	}
	s.do("a", create("/persistent"))
	s.do("b", zk.Numbered(zk.OpAddWatch, "/persistent", zk.WatchPersistent))
	s.do("c", zk.Numbered(zk.OpAddWatch, "/persistent", zk.WatchPersistentRecur))
	change := func() {
		s.do("a", zk.SetData("/persistent", []byte("1"), -1))
		s.do("a", create("/persistent/x"))
		s.do("a", create("/persistent/x/y"))
		s.do("a", zk.SetData("/persistent/x", nil, -1))
		s.do("a", zk.SetData("/persistent/x/y", nil, -1))
		s.do("a", zk.Delete("/persistent/x/y", -1))
		s.do("a", zk.Delete("/persistent/x", -1))
	}
	change()
	change()
	s.do("b", zk.Numbered(zk.OpAddWatch, "/persistent-none", zk.WatchPersistent))
	s.do("c", zk.Numbered(zk.OpAddWatch, "/persistent-none", zk.WatchPersistentRecur))
	s.do("a", create("/persistent-none"))
	s.do("a", zk.Delete("/persistent-none", -1))
	s.do("a", create("/persistent-none"))
	s.do("a", zk.Delete("/persistent", -1))
	s.do("a", create("/persistent"))
	s.do("a", createOf("/persistent/e", zk.Ephemeral))
	s.do("c", zk.Numbered(zk.OpAddWatch, "/", zk.WatchPersistentRecur))
	s.do("a", create("/persistent/deep"))
	s.do("a", zk.Multi(zk.OpMulti, create("/persistent/deep/1"), create("/persistent/deep/1/2"), zk.SetData("/persistent/deep", nil, -1)))
	s.do("c", zk.Numbered(zk.OpAddWatch, "/persistent", 2))
	s.do("c", zk.Numbered(zk.OpAddWatch, "/persistent", -1))
	s.bye("a")
}

func scriptRemovedWatches(s *side) {
	s.connect("a", 10_000)
	s.connect("b", 10_000)
	s.do("a", create("/removed"))
	s.do("a", create("/removed/x"))
	set := func() {
		s.do("b", watch("/removed"))
		s.do("b", zk.Read(zk.OpGetChildren, "/removed", true))
	}
	for _, kind := range []int32{zk.WatchChildren, zk.WatchData, zk.WatchAny, 0, 4, 5, 6, 7, -1} {
		s.connect("b", 10_000)
		s.do("b", zk.Numbered(zk.OpRemoveWatches, "/removed", kind))
		set()
		s.do("b", zk.Numbered(zk.OpCheckWatches, "/removed", kind))
		s.do("b", zk.Numbered(zk.OpRemoveWatches, "/removed", kind))
		s.do("b", zk.Numbered(zk.OpCheckWatches, "/removed", kind))
		s.do("b", zk.Numbered(zk.OpRemoveWatches, "/removed", kind))
		s.do("a", zk.SetData("/removed", nil, -1))
		s.do("a", zk.Delete("/removed/x", -1))
		s.do("a", create("/removed/x"))
		s.do("b", zk.Numbered(zk.OpAddWatch, "/removed", zk.WatchPersistent))
		s.do("b", zk.Numbered(zk.OpAddWatch, "/removed/x", zk.WatchPersistentRecur))
		for _, path := range []string{"/removed", "/removed/x", "/removed/none"} {
			s.do("b", zk.Numbered(zk.OpCheckWatches, path, kind))
			s.do("b", zk.Numbered(zk.OpRemoveWatches, path, kind))
		}
		s.do("a", zk.SetData("/removed", nil, -1))
		s.do("a", zk.SetData("/removed/x", nil, -1))
		s.bye("b")
	}
}

func scriptSetWatches(s *side) {
	s.connect("a", 10_000)
	s.connect("b", 10_000)
	for _, n := range []string{"", "/same", "/changed", "/deleted", "/children", "/again"} {
		s.do("a", create("/set"+n))
	}
	paths := []string{"/set", "/set/same", "/set/changed", "/set/deleted", "/set/children", "/set/again", "/set/created", "/set/never"}
	for round := range 3 {
		m, err := s.conns["b"].Do(get("/set/same"))
		if err != nil {
			s.t.Fatal(err)
		}
		s.drop("b")
		s.do("a", zk.SetData("/set/changed", nil, -1))
		s.do("a", zk.Delete("/set/deleted", -1))
		s.do("a", create(fmt.Sprint("/set/children/", round)))
		s.do("a", zk.Delete("/set/again", -1))
		s.do("a", create("/set/again"))
		s.do("a", create("/set/created"))
		s.resume("b", nil)
		switch round {
		case 0:
			s.do("b", zk.SetWatches(m.Zxid, paths, nil, nil))
			s.do("b", zk.SetWatches(m.Zxid, nil, paths, nil))
			s.do("b", zk.SetWatches(m.Zxid, nil, nil, paths))
		case 1:
			s.do("b", zk.SetWatches(m.Zxid, paths, paths, paths))
		case 2:
			s.do("b", zk.SetWatches2(m.Zxid, paths[1:3], nil, paths[1:3], paths[3:], []string{"/set"}))
		}
		for _, p := range paths[1:] {
			s.do("a", zk.SetData(p, []byte("after"), -1))
		}
		s.do("a", create("/set/never"))
		s.do("a", zk.Delete("/set/never", -1))
		s.do("a", create("/set/deleted"))
		s.do("a", zk.Delete("/set/created", -1))
	}
	s.do("b", zk.SetWatches(0, []string{"relative"}, nil, nil))
	s.do("b", zk.SetWatches(1<<60, paths, paths, paths)) // a zxid that is still to come
	s.do("a", zk.SetData("/set/same", nil, -1))
}

func scriptSessions(s *side) {
	for i, timeout := range []int32{-1, 0, 1, 999, 1000, 5000, 10_000, 10_001, 1 << 30} {
		s.connect(fmt.Sprint("t", i), timeout) // between 2 and 20 ticks of 500 ms
		s.bye(fmt.Sprint("t", i))
	}
	s.connect("a", 10_000)
	s.connect("b", 10_000)
	s.do("a", create("/sessions"))
	s.do("a", createOf("/sessions/e", zk.Ephemeral))
	s.drop("a")
	s.do("b", zk.Read(zk.OpExists, "/sessions/e", true))
	s.resume("a", make([]byte, 16))
	s.resume("a", []byte("short"))
	s.do("b", zk.Read(zk.OpExists, "/sessions/e", false))
	s.resume("a", nil)
	s.do("a", zk.Named(zk.OpGetEphemerals, "/"))
	s.resume("a", nil) // moves to another connection while the first is there
	s.do("a", zk.Named(zk.OpGetEphemerals, "/sessions/e"))
	s.do("a", zk.Bare(zk.OpPing))
	s.bye("a")
	s.resume("a", nil) // it has ended
	s.do("b", zk.Delete("/sessions", -1))
	s.do("b", createOf("/e-of-b", zk.Ephemeral))
	s.do("b", createOf("/e2-of-b", zk.Ephemeral))
	s.do("b", zk.Delete("/e2-of-b", -1))
	for _, prefix := range []string{"", " ", "/", "/e", "/e-of-b", "/e-of-b/", "e", "/none"} {
		s.do("b", zk.Named(zk.OpGetEphemerals, prefix))
	}
}

func scriptExpiry(s *side) {
	s.connect("a", 10_000)
	s.connect("b", 1000)
	s.do("a", create("/expiry"))
	s.do("b", createOf("/expiry/e", zk.Ephemeral))
	s.do("a", zk.Read(zk.OpExists, "/expiry/e", true))
	s.drop("b")
	s.await("a") // nobody is heard of for a second
	s.do("a", list("/expiry"))
	s.resume("b", nil)
	s.do("a", create("/expiry/e")) // the end of the session took one zxid
	// A connection whose client is silent ends as well.
	s.connect("c", 1000)
	s.do("c", createOf("/expiry/c", zk.Ephemeral))
	s.do("a", zk.Read(zk.OpExists, "/expiry/c", true))
	silent := s.conns["c"]
	s.order = s.order[:len(s.order)-1] // else it would be asked, and not be silent
	s.await("a")
	_, err := silent.Receive()
	s.say("  c ended: %v", err != nil)
}

func scriptPipeline(s *side) {
	s.connect("a", 10_000)
	s.connect("b", 10_000)
	s.burst("a", create("/pipe"), zk.Read(zk.OpGetChildren, "/pipe", true), watch("/pipe"), create("/pipe/1"), list("/pipe"), zk.SetData("/pipe", nil, 0), get("/pipe"),
		zk.SetData("/pipe", nil, 0), zk.Bare(zk.OpPing), zk.Named(zk.OpSync, "/pipe"), zk.Delete("/pipe/none", -1), zk.Delete("/pipe/1", -1), zk.Read(zk.OpExists, "/pipe/1", true),
		create("/pipe/1"), zk.Multi(zk.OpMulti, zk.Delete("/pipe/1", -1), zk.Check("/pipe", 9)), zk.Multi(zk.OpMulti, zk.Delete("/pipe/1", -1), create("/pipe/2")), get("/pipe"),
		zk.Bare(zk.OpWhoAmI), createOf("/pipe/e", zk.Ephemeral), zk.Named(zk.OpGetEphemerals, "/"))
	var many []zk.Request
	for range 100 {
		many = append(many, createOf("/pipe/s-", zk.Sequential), zk.Bare(zk.OpPing))
	}
	s.burst("b", many...)
	s.burst("b", create("/pipe/last"), zk.Bare(zk.OpCloseSession))
	s.do("a", list("/pipe"))
}

func scriptOthers(s *side) {
	s.connect("a", 10_000)
	s.do("a", create("/others"))
	s.do("a", zk.Named(zk.OpSync, "/others"))
	s.do("a", zk.Named(zk.OpSync, "/not/there"))
	s.do("a", zk.Bare(zk.OpPing))
	cut := func(op int32) zk.Request { return zk.Raw(op, *new(zk.Builder).Str("/others")) }
	multi := func(op int32) *zk.Builder { return new(zk.Builder).Int(op).Bool(false).Int(-1) }
	for i, r := range []zk.Request{
		// A check by itself is left out: if it is right, it ends the thread of Apache's server that everybody needs.
		zk.Reconfig("server.2=localhost:1:2;3"), zk.Bare(zk.OpReconfig),
		zk.Raw(zk.OpSASL, *new(zk.Builder).Bytes([]byte("x"))), zk.Raw(zk.OpCreate, nil), cut(zk.OpCreate), zk.Raw(zk.OpCreate2, *new(zk.Builder).Int(-5)),
		zk.Raw(zk.OpCreate, *new(zk.Builder).Str("/others/x").Bytes(nil).Int(1 << 30)), zk.Raw(zk.OpGetData, *new(zk.Builder).Int(1 << 30)), zk.Raw(zk.OpGetData, nil),
		zk.Raw(zk.OpExists, []byte{0}), cut(zk.OpSetData), cut(zk.OpDelete), cut(zk.OpGetChildren), cut(zk.OpAddWatch), zk.Raw(zk.OpRemoveWatches, nil),
		zk.Raw(zk.OpMulti, nil), zk.Raw(zk.OpMulti, *multi(1)), zk.Raw(zk.OpMulti, *multi(1).Str("/others/m")), zk.Raw(zk.OpMultiRead, *multi(4)),
		zk.Raw(zk.OpSetWatches, *new(zk.Builder).Long(0).Int(1 << 30)), zk.Raw(zk.OpGetACL, *new(zk.Builder).Int(-1)), zk.Raw(zk.OpGetData, *new(zk.Builder).Int(-1).Bool(false)),
		zk.Raw(zk.OpCreate, *new(zk.Builder).Int(-1).Bytes(nil).ACLs(zk.Open).Int(0)), zk.Raw(zk.OpDelete, *new(zk.Builder).Int(-1).Int(-1)),
		zk.Raw(zk.OpGetData, *new(zk.Builder).Str("/others").Bool(false).Long(7)), zk.Raw(zk.OpPing, []byte("more")),
	} {
		name := fmt.Sprint("o", i)
		s.connect(name, 10_000)
		s.do(name, r)
		s.do(name, zk.Read(zk.OpExists, "/others", false))
		s.bye(name)
	}
	// These end the connection.
	for i, op := range []int32{-1, 0, 10, 23, 99, 108, 1 << 30, -1 << 31} {
		name := fmt.Sprint("u", i)
		s.connect(name, 10_000)
		s.last(name, zk.Raw(op, []byte("x")))
	}
}

func scriptSystem(s *side) {
	s.connect("a", 10_000)
	for _, path := range []string{"/zookeeper", "/zookeeper/quota", "/zookeeper/config"} {
		s.do("a", get(path))
		s.do("a", zk.Named(zk.OpGetACL, path))
		s.do("a", list(path))
		s.do("a", zk.SetData(path, []byte("x"), 99))
		s.do("a", create(path+"/x"))
		s.do("a", createOf(path+"/e", zk.Ephemeral))
		s.do("a", zk.Delete(path+"/x", -1))
		s.do("a", zk.Delete(path, -1))
	}
	s.do("a", zk.Named(zk.OpGetACL, "/"))
	s.do("a", list("/"))
}
