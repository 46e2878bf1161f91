package interop

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	zk "gregor/test/zookeeper"
)

// TestZooKeeperRandom sends both servers the same random operations of three clients, and compares all that they say.
// GREGOR_SEED plays one history again, GREGOR_OPS says how long it is.
func TestZooKeeperRandom(t *testing.T) {
	seed, ops := uint64(time.Now().UnixNano()), 3000
	if s := os.Getenv("GREGOR_SEED"); s != "" {
		seed, _ = strconv.ParseUint(s, 10, 64)
	}
	if s := os.Getenv("GREGOR_OPS"); s != "" {
		ops, _ = strconv.Atoi(s)
	}
	t.Logf("GREGOR_SEED=%d GREGOR_OPS=%d", seed, ops)
	ours, apache := zkPair(t, zk.Options{Extra: []string{"extendedTypesEnabled=true"}})
	compare(t, ours, apache, func(s *side) {
		g := &zkRandom{s, rand.New(rand.NewPCG(seed, 0)), []string{"a", "b", "c"}}
		for _, name := range g.names {
			s.connect(name, 10_000)
		}
		for range ops {
			g.step()
		}
	})
}

// zkRandom draws what a client does from its numbers alone, so that both sides are asked the same.
type zkRandom struct {
	s     *side
	r     *rand.Rand
	names []string
}

func (g *zkRandom) step() {
	name := g.names[g.r.IntN(len(g.names))]
	switch n := g.r.IntN(200); {
	case n == 0: // the session ends, and another begins
		g.s.bye(name)
		g.s.connect(name, 10_000)
	case n < 4:
		g.s.drop(name)
		g.s.resume(name, nil)
		if name == "c" {
			g.s.do(name, zk.SetWatches2(g.s.names.Base+int64(g.r.IntN(100)), nil, nil, nil, g.staying(0), g.staying(1)))
		} else {
			g.s.do(name, zk.SetWatches(g.s.names.Base+int64(g.r.IntN(100)), g.paths(), g.paths(), g.paths()))
		}
	case n < 20:
		var all []zk.Request
		for range 1 + g.r.IntN(8) {
			all = append(all, g.request(name))
		}
		g.s.burst(name, all...)
	case n < 40:
		var all []zk.Request
		for range 1 + g.r.IntN(5) {
			if g.r.IntN(10) == 0 {
				all = append(all, zk.Check(g.path(), g.version()))
			} else {
				all = append(all, g.write())
			}
		}
		g.s.do(name, zk.Multi(zk.OpMulti, all...))
	case n < 45:
		var all []zk.Request
		for range 1 + g.r.IntN(4) {
			all = append(all, zk.Read([]int32{zk.OpGetData, zk.OpGetChildren}[g.r.IntN(2)], g.path(), g.r.IntN(2) == 0))
		}
		g.s.do(name, zk.Multi(zk.OpMultiRead, all...))
	default:
		g.s.do(name, g.request(name))
	}
}

// path is one of few, so that operations meet.
func (g *zkRandom) path() string {
	path := ""
	for range 1 + g.r.IntN(3) {
		path += fmt.Sprint("/", string(rune('p'+g.r.IntN(4))))
	}
	if g.r.IntN(60) == 0 {
		return []string{"", "/", "relative", "/p/", "/p//q", "/p/../q", "/p/\x00"}[g.r.IntN(7)]
	}
	return path
}

func (g *zkRandom) paths() (all []string) {
	for range g.r.IntN(4) {
		all = append(all, g.path())
	}
	return all
}

// zkMode is the mode of the watch that stays at a path.
func zkMode(path string) int32 { return int32(len(path) / 2 % 2) }

func (g *zkRandom) staying(mode int32) []string {
	return slices.DeleteFunc(g.paths(), func(path string) bool { return zkMode(path) != mode })
}

func (g *zkRandom) version() int32 { return int32(g.r.IntN(5)) - 1 }

func (g *zkRandom) data() []byte {
	if g.r.IntN(10) == 0 {
		return nil
	}
	return []byte(strconv.Itoa(g.r.IntN(1000)))
}

func (g *zkRandom) acl() []zk.ACL {
	switch g.r.IntN(12) {
	case 0:
		return []zk.ACL{entry(int32(g.r.IntN(32)), "world", "anyone")}
	case 1:
		return []zk.ACL{entry(zk.PermAll, "ip", "127.0.0.1")}
	default:
		return zk.Open
	}
}

func (g *zkRandom) write() zk.Request {
	switch g.r.IntN(9) {
	case 0, 1, 2, 3:
		op := []int32{zk.OpCreate, zk.OpCreate2, zk.OpCreateContainer, zk.OpCreateTTL}[g.r.IntN(4)]
		flags := int32(g.r.IntN(4))
		switch op {
		case zk.OpCreateContainer:
			flags = zk.Container
		case zk.OpCreateTTL:
			flags = zk.TTL + int32(g.r.IntN(2))
		}
		return zk.Create(op, g.path(), g.data(), g.acl(), flags, 3_600_000)
	case 4, 5, 6:
		return zk.Delete(g.path(), g.version())
	default:
		return zk.SetData(g.path(), g.data(), g.version())
	}
}

// request is any operation. Client c has the watches that stay, the others those that fire once: see
// scriptPersistentWatches.
func (g *zkRandom) request(name string) zk.Request {
	watch := name != "c" && g.r.IntN(2) == 0
	switch g.r.IntN(20) {
	case 0, 1, 2:
		return zk.Read(zk.OpExists, g.path(), watch)
	case 3, 4:
		return zk.Read(zk.OpGetData, g.path(), watch)
	case 5:
		return zk.Read(zk.OpGetChildren, g.path(), watch)
	case 6:
		return zk.Read(zk.OpGetChildren2, g.path(), watch)
	case 7:
		if name != "c" {
			return g.write()
		}
		path := g.path()
		return zk.Numbered(zk.OpAddWatch, path, zkMode(path))
	case 8:
		// Not checkWatches: in ZooKeeper 3.8 it says yes if anybody watches.
		return zk.Numbered(zk.OpRemoveWatches, g.path(), 1+int32(g.r.IntN(3)))
	case 9:
		return zk.SetACL(g.path(), g.acl(), g.version())
	case 10:
		return zk.Named([]int32{zk.OpGetACL, zk.OpSync, zk.OpGetEphemerals, zk.OpGetAllChildrenNumber}[g.r.IntN(4)], g.path())
	default:
		return g.write()
	}
}
