package faults

import (
	"syscall"
	"testing"
	"time"
)

// onZooKeeper is what happens to a cluster whose metadata is in ZooKeeper, beside what happens to any.
var onZooKeeper = []fault{
	{"kill ZooKeeper", func(s *scene) {
		s.zooKeeper.kill()
		s.load.progress(100, time.Minute) // brokers go on with what they lead
		s.zooKeeper.start(s.t)
	}},
	{"kill the controller", func(s *scene) { s.killed(s.controller()) }},
	{"kill ZooKeeper and the controller", func(s *scene) {
		id := s.controller()
		if id == 0 {
			id = s.any()
		}
		s.zooKeeper.signal(syscall.SIGKILL)
		s.nodes[id].kill()
		<-s.zooKeeper.done
		s.zooKeeper.start(s.t)
		s.load.progress(50, time.Minute)
		s.nodes[id].start(s.t)
	}},
	{"kill a leader while ZooKeeper is away", func(s *scene) {
		// Nobody can take over before ZooKeeper is back.
		id := s.leader(s.partition())
		if id == 0 {
			id = s.any()
		}
		s.zooKeeper.kill()
		s.nodes[id].kill()
		s.wait(time.Second)
		s.zooKeeper.start(s.t)
		s.load.progress(50, time.Minute)
		s.nodes[id].start(s.t)
	}},
	{"kill everybody", func(s *scene) {
		all := append([]*node{s.zooKeeper}, s.nodes[1:]...)
		for _, n := range all {
			n.signal(syscall.SIGKILL)
		}
		s.random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		for _, n := range all {
			<-n.done
			n.start(s.t)
		}
	}},
	{"pause ZooKeeper", func(s *scene) {
		s.zooKeeper.signal(syscall.SIGSTOP)
		s.wait(silence)
		s.zooKeeper.signal(syscall.SIGCONT)
	}},
	{"pause the controller", func(s *scene) { s.paused(s.controller()) }}, // its session expires, and it wakes up as one that was deposed
	{"pause a leader", func(s *scene) { s.paused(s.leader(s.partition())) }},
	{"cut the controller off from ZooKeeper", func(s *scene) { s.cutFromZooKeeper(s.controller()) }},
	{"cut a broker off from ZooKeeper", func(s *scene) { s.cutFromZooKeeper(s.any()) }},
	{"cut everybody off from ZooKeeper", func(s *scene) {
		for id := 1; id <= brokers; id++ {
			s.net.set(condition{cut: true}, link{id, zooKeeperHost}, link{zooKeeperHost, id})
		}
		s.wait(silence)
		s.net.heal()
	}},
	{"cut the controller off from brokers", func(s *scene) { s.cutFromBrokers(s.controller()) }},
	{"cut a leader off from brokers", func(s *scene) { s.cutFromBrokers(s.leader(s.partition())) }},
	{"cut off the controller", func(s *scene) {
		id := s.controller()
		s.net.set(condition{cut: true}, link{id, zooKeeperHost}, link{zooKeeperHost, id})
		s.cutFromBrokers(id)
	}},
	{"slow ZooKeeper", func(s *scene) {
		for id := 1; id <= brokers; id++ {
			s.net.set(condition{delay: 100 * time.Millisecond}, link{id, zooKeeperHost}, link{zooKeeperHost, id})
		}
		s.wait(silence)
		s.net.heal()
	}},
	{"restart ZooKeeper in order", func(s *scene) {
		s.zooKeeper.stop(s.t)
		s.zooKeeper.start(s.t)
	}},
	{"rolling restart", func(s *scene) {
		for _, n := range s.nodes[1:] {
			n.stop(s.t)
			n.start(s.t)
			s.awaitWhole(time.Minute)
		}
	}},
}

// cutFromZooKeeper takes ZooKeeper away from one broker until its session has expired.
func (s *scene) cutFromZooKeeper(id int) {
	if id == 0 {
		id = s.any()
	}
	s.net.set(condition{cut: true}, link{id, zooKeeperHost}, link{zooKeeperHost, id})
	s.wait(silence)
	s.net.heal()
}

// cutFromBrokers takes the other brokers away from one, while it reaches ZooKeeper and clients reach it.
func (s *scene) cutFromBrokers(id int) {
	if id == 0 {
		id = s.any()
	}
	for other := 1; other <= brokers; other++ {
		s.net.set(condition{cut: true}, link{id, other}, link{other, id})
	}
	s.wait(silence)
	s.net.heal()
}

// TestFaultsOnZooKeeper plays a cluster on a ZooKeeper server of ours, and takes away the server, brokers, and links.
func TestFaultsOnZooKeeper(t *testing.T) {
	needNamespaces(t)
	n := *zkRounds
	if n < 0 {
		n = *rounds
	}
	playRounds(t, n, onZooKeeper, startClusterOnZooKeeper, func(t testing.TB, c *cluster) workload { return startLoad(t, c) })
}
