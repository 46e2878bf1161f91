package interop

import (
	"fmt"
	"math/rand/v2"
	"os"
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
		g.s.do(name, zk.SetWatches2(g.s.names.Base+int64(g.r.IntN(100)), g.paths(), g.paths(), g.paths(), g.paths(), g.paths()))
	case n < 20:
		var all []zk.Request
		for range 1 + g.r.IntN(8) {
			all = append(all, g.request())
		}
		g.s.burst(name, all...)
	case n < 40:
		var all []zk.Request
		for range 1 + g.r.IntN(5) {
			all = append(all, g.write())
		}
		g.s.do(name, zk.Multi(zk.OpMulti, all...))
	case n < 45:
		var all []zk.Request
		for range 1 + g.r.IntN(4) {
			all = append(all, zk.Read([]int32{zk.OpGetData, zk.OpGetChildren}[g.r.IntN(2)], g.path(), g.r.IntN(2) == 0))
		}
		g.s.do(name, zk.Multi(zk.OpMultiRead, all...))
	default:
		g.s.do(name, g.request())
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

// write is an operation that a multi may hold, mostly.
func (g *zkRandom) write() zk.Request {
	switch g.r.IntN(10) {
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
	case 7, 8:
		return zk.SetData(g.path(), g.data(), g.version())
	default:
		return zk.Check(g.path(), 50+g.version()) // never right by itself: see scriptOthers
	}
}

func (g *zkRandom) request() zk.Request {
	switch g.r.IntN(20) {
	case 0, 1, 2:
		return zk.Read(zk.OpExists, g.path(), g.r.IntN(2) == 0)
	case 3, 4:
		return zk.Read(zk.OpGetData, g.path(), g.r.IntN(2) == 0)
	case 5:
		return zk.Read(zk.OpGetChildren, g.path(), g.r.IntN(2) == 0)
	case 6:
		return zk.Read(zk.OpGetChildren2, g.path(), g.r.IntN(2) == 0)
	case 7:
		return zk.Numbered(zk.OpAddWatch, g.path(), int32(g.r.IntN(2)))
	case 8:
		return zk.Numbered([]int32{zk.OpRemoveWatches, zk.OpCheckWatches}[g.r.IntN(2)], g.path(), 1+int32(g.r.IntN(3)))
	case 9:
		return zk.SetACL(g.path(), g.acl(), g.version())
	case 10:
		return zk.Named([]int32{zk.OpGetACL, zk.OpSync, zk.OpGetEphemerals, zk.OpGetAllChildrenNumber}[g.r.IntN(4)], g.path())
	default:
		return g.write()
	}
}
