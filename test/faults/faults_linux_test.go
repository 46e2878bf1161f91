package faults

import (
	"math/rand/v2"
	"syscall"
	"testing"
	"time"
)

// fault is something that happens to a cluster. It returns when it is over, or, with heal, when it has begun.
type fault struct {
	name string
	play func(*scene)
}

// scene is one round.
type scene struct {
	*cluster
	load   workload
	random *rand.Rand
}

// workload is what goes on while faults happen, and is checked.
type workload interface {
	done() int64                                     // how many of its records are acknowledged
	progress(n int64, d time.Duration) time.Duration // waits for n more
	groupMoves(d time.Duration)                      // waits until its group commits
	check()                                          // what can be checked while it runs
	finish()                                         // ends it, and checks everything
}

// A little longer than the session: what is silent for so long is fenced.
const silence = 4 * time.Second

var faults = []fault{
	{"kill a leader", func(s *scene) { s.killed(s.leader(s.partition())) }},
	{"kill the controller", func(s *scene) { s.killed(s.controller()) }},
	{"kill a follower", func(s *scene) { s.killed(s.other(s.leader(s.partition()))) }},
	{"kill everybody", func(s *scene) {
		for _, n := range s.nodes[1:] {
			n.signal(syscall.SIGKILL)
		}
		for _, n := range s.nodes[1:] {
			<-n.done
			n.start(s.t)
		}
	}},
	{"pause a leader", func(s *scene) { s.paused(s.leader(s.partition())) }},
	{"pause the controller", func(s *scene) { s.paused(s.controller()) }},
	{"pause everybody", func(s *scene) {
		for _, n := range s.nodes[1:] {
			n.signal(syscall.SIGSTOP)
		}
		s.wait(silence)
		for _, n := range s.nodes[1:] {
			n.signal(syscall.SIGCONT)
		}
	}},
	{"cut off a leader", func(s *scene) { s.cutOff(s.leader(s.partition())) }},
	{"cut off the controller", func(s *scene) { s.cutOff(s.controller()) }},
	{"cut one direction", func(s *scene) {
		// It hears everybody and nobody hears it, or the other way round; clients reach it.
		id := s.any()
		for other := 1; other <= brokers; other++ {
			if other == id {
				continue
			}
			l := link{id, other}
			if s.random.IntN(2) == 0 {
				l = link{other, id}
			}
			s.net.set(condition{cut: true}, l)
		}
		s.wait(silence)
		s.net.heal()
	}},
	{"cut between two", func(s *scene) {
		a := s.any()
		b := s.other(a)
		s.net.set(condition{cut: true}, link{a, b}, link{b, a})
		s.wait(silence)
		s.net.heal()
	}},
	{"delay", func(s *scene) {
		id := s.any()
		d := time.Duration(20+s.random.IntN(150)) * time.Millisecond
		for other := 0; other <= brokers; other++ {
			s.net.set(condition{delay: d}, link{id, other}, link{other, id})
		}
		s.wait(silence)
		s.net.heal()
	}},
	{"rolling restart", func(s *scene) {
		for _, n := range s.nodes[1:] {
			n.stop(s.t)
			n.start(s.t)
			s.awaitWhole(time.Minute)
		}
	}},
}

// TestFaults plays the faults in random order, each of them before any a second time.
func TestFaults(t *testing.T) {
	needNamespaces(t)
	playRounds(t, *rounds, faults, startCluster, func(t testing.TB, c *cluster) workload { return startLoad(t, c) })
}

func playRounds(t *testing.T, rounds int, faults []fault, start func(testing.TB) *cluster, work func(testing.TB, *cluster) workload) {
	used := *seed
	if used == 0 {
		used = uint64(time.Now().UnixNano())
	}
	t.Logf("-seed %d", used)
	c := start(t)
	s := &scene{cluster: c, load: work(t, c), random: rand.New(rand.NewPCG(used, 0))}
	s.load.progress(500, time.Minute)
	var order []int
	for round := range rounds {
		if len(order) == 0 {
			order = s.random.Perm(len(faults))
		}
		f := faults[order[0]]
		order = order[1:]
		if *only != "" && f.name != *only {
			for _, other := range faults {
				if other.name == *only {
					f = other
				}
			}
		}
		before, began := s.load.done(), time.Now()
		f.play(s)
		during, took := s.load.done()-before, time.Since(began)
		next := s.load.progress(100, time.Minute)
		whole := s.awaitWhole(time.Minute)
		s.load.groupMoves(time.Minute)
		t.Logf("%3d %-34s %5d acknowledged in %5.1fs; after it the next 100 in %v, whole in %v", round+1, f.name, during, took.Seconds(), next.Round(time.Millisecond), whole.Round(time.Millisecond))
		if round%10 == 9 {
			s.load.check()
		}
	}
	s.load.finish()
	t.Logf("%d records acknowledged", s.load.done())
}

func (s *scene) partition() int32 { return int32(s.random.IntN(partitions)) }

func (s *scene) any() int { return 1 + s.random.IntN(brokers) }

// other is a node, but not the given one.
func (s *scene) other(id int) int {
	for {
		if n := s.any(); n != id {
			return n
		}
	}
}

// wait lets time pass with the fault in place.
func (s *scene) wait(d time.Duration) { <-time.After(d) }

// killed kills a node, waits until the others have gone on, and starts it again.
func (s *scene) killed(id int) {
	if id == 0 {
		id = s.any()
	}
	s.nodes[id].kill()
	s.load.progress(50, time.Minute)
	s.nodes[id].start(s.t)
}

func (s *scene) paused(id int) {
	if id == 0 {
		id = s.any()
	}
	s.nodes[id].signal(syscall.SIGSTOP)
	s.wait(silence)
	s.nodes[id].signal(syscall.SIGCONT)
}

// cutOff takes a node away from everybody, or from the others while clients still reach it.
func (s *scene) cutOff(id int) {
	if id == 0 {
		id = s.any()
	}
	first := s.random.IntN(2)
	for other := first; other <= brokers; other++ {
		s.net.set(condition{cut: true}, link{id, other}, link{other, id})
	}
	s.wait(silence)
	s.net.heal()
}
