package interop

import (
	"testing"

	zk "gregor/test/zookeeper"
)

// TestZooKeeperExpires compares what goes by itself: containers that are empty again and nodes whose time to live is over.
func TestZooKeeperExpires(t *testing.T) {
	// Apache's takes the interval from a system property, ours from the file, too.
	ours, apache := zkPair(t, zk.Options{Extra: []string{"extendedTypesEnabled=true", "znode.container.checkIntervalMs=300"}, Java: []string{"znode.container.checkIntervalMs=300"}})
	compare(t, ours, apache, func(s *side) {
		s.connect("a", 10_000)
		s.connect("b", 10_000)
		s.do("a", create("/expires"))
		s.do("a", zk.Create(zk.OpCreateContainer, "/expires/unused", nil, zk.Open, zk.Container, 0)) // stays
		s.do("a", zk.Create(zk.OpCreateContainer, "/expires/c", nil, zk.Open, zk.Container, 0))
		s.do("a", create("/expires/c/x"))
		s.do("b", zk.Read(zk.OpExists, "/expires/c", true))
		s.do("b", zk.Read(zk.OpGetChildren, "/expires/c", true))
		s.do("a", zk.Delete("/expires/c/x", -1))
		s.await("b") // it is deleted, and both watches fire
		s.do("a", list("/expires"))
		s.do("a", zk.Create(zk.OpCreateTTL, "/expires/t", nil, zk.Open, zk.TTL, 600))
		s.do("b", zk.Read(zk.OpExists, "/expires/t", true))
		s.await("b")
		s.do("a", zk.Create(zk.OpCreateTTL, "/expires/long", nil, zk.Open, zk.TTL, 100_000))
		s.do("a", zk.Create(zk.OpCreateTTL, "/expires/p", nil, zk.Open, zk.TTL, 600)) // lives as long as it has children
		s.do("a", create("/expires/p/child"))
		s.do("a", zk.Create(zk.OpCreateTTL, "/expires/next", nil, zk.Open, zk.TTL, 900))
		s.do("b", zk.Read(zk.OpExists, "/expires/next", true))
		s.await("b")
		s.do("a", list("/expires"))
	})
}
