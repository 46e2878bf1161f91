package sim

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"gregor/internal/config"
	"gregor/internal/controller"
	"gregor/internal/journal/raft"
	"gregor/internal/log"
	"gregor/internal/metadata"
	"gregor/internal/replica"

	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	dataDir   = "/data"
	metaDir   = "/meta"
	clusterID = "AAAAAAAAAAAAAAAAAAAAAA"
)

// node is a machine: its disk stays when its process ends.
type node struct {
	c      *cluster
	id     int32
	disk   *disk
	proc   *process // nil while it is down
	paused bool
	parked []func()      // what happened to it meanwhile
	ahead  time.Duration // its clock
	rate   float64       // how fast its clock runs

	directory [16]byte // id of its metadata directory
	disks     int      // it had so far
	lossy     bool     // it may have lost records that it acknowledged to leaders, and they may not know yet
	starts    int
}

// process is one run of the program: a controller and a broker in one.
type process struct {
	n      *node
	run    int // which process of its node
	engine *raft.Engine
	ctrl   *controller.Controller
	dirs   *log.Dirs
	repl   *replica.Manager
	reg    *registration
	fetch  *replication
	server *fetchServer
	view   *view // what the checkers saw of it

	stepping bool
	lossy    bool // it began on a disk that had lost records
	asked    bool // for a part of a snapshot
	failure  error
}

// newDisk gives the node an empty disk.
func (n *node) newDisk() {
	n.disk = newDisk(n.now)
	n.disks++
	copy(n.directory[:], fmt.Sprintf("node %d disk %d.......", n.id, n.disks))
}

func (n *node) now() time.Time {
	return epoch.Add(n.ahead + time.Duration(float64(n.c.w.now)*n.rate))
}

// exec runs something in a process, if that still runs: at once, or when its pause is over.
func (p *process) exec(what string, do func()) {
	n := p.n
	if n.proc != p {
		return
	}
	if n.paused {
		n.parked = append(n.parked, func() { p.exec(what, do) })
		return
	}
	n.c.w.note(n.id, what, int64(p.run))
	if !n.guard(func() {
		do()
		p.server.wakeUp()
		p.fetch.drive()
	}) {
		return
	}
	if p.failure != nil {
		n.c.w.failf("node %d failed: %v", n.id, p.failure)
		return
	}
	n.c.check.after(p)
	p.poke()
}

// guard runs something that the disk's fuse may end, and reports whether it did not.
func (n *node) guard(do func()) (lives bool) {
	began := n.c.w.seq
	defer func() {
		r := recover()
		if r == nil {
			return
		}
		d, ok := r.(died)
		if !ok || d.d != n.disk {
			panic(r)
		}
		lives = false
		n.c.w.note(n.id, "dies while writing")
		if n.c.w.chance(0.5) {
			n.c.w.forget(began)
			n.c.check.acks = nil
		} else if p := n.proc; p.reg != nil { // what it was about to send went out before
			n.c.check.after(p)
			p.carry()
		}
		n.down(!d.d.kill && n.c.mayLosePower())
	}()
	do()
	return true
}

// after has something run in the process when d has passed on its own clock.
func (p *process) after(d time.Duration, what string, do func()) {
	p.n.c.w.after(time.Duration(float64(d)/p.n.rate), func() { p.exec(what, do) })
}

// every runs something again and again.
func (p *process) every(d time.Duration, what string, do func()) {
	p.after(d, what, func() {
		do()
		p.every(d, what, do)
	})
}

// poke lets the parts that have goroutines take their steps, in an order of chance, until all are idle.
func (p *process) poke() {
	if p.stepping {
		return
	}
	p.stepping = true
	d := p.n.c.w.between(0, 200*time.Microsecond)
	if p.n.c.w.chance(p.n.c.o.SlowSteps) {
		d = p.n.c.w.between(0, 20*time.Millisecond)
	}
	p.n.c.w.after(d, func() {
		p.stepping = false
		if p.n.proc != p {
			return
		}
		if p.n.paused {
			p.n.parked = append(p.n.parked, p.poke)
			return
		}
		did := ""
		lives := p.n.guard(func() {
			first := p.n.c.w.rnd.IntN(3)
			for i := range 3 {
				if did = p.step((first + i) % 3); did != "" {
					return
				}
			}
		})
		if lives && did != "" {
			p.exec(did, func() {})
		}
	})
}

func (p *process) step(part int) string {
	switch part {
	case 0:
		if p.engine.Step() {
			p.carry()
			p.fetchSnapshot()
			return "journal"
		}
	case 1:
		if p.ctrl.StepLoader() {
			return "loader"
		}
	case 2:
		next, did := p.ctrl.Step()
		if next > 0 {
			p.after(next, "tick", p.tick)
		}
		if did {
			return "controller"
		}
	}
	return ""
}

// tick lets the controller see the time, as long as it leads.
func (p *process) tick() {
	if next := p.ctrl.Tick(); next < time.Hour {
		p.after(next, "tick", p.tick)
	}
}

// start begins a process on what the disk has.
func (n *node) start() {
	if n.proc != nil {
		return
	}
	n.starts++
	p := &process{n: n, run: n.starts, lossy: n.lossy}
	n.c.w.note(n.id, "starts", int64(p.run))
	n.proc, n.paused, n.parked = p, false, nil
	p.view = n.c.check.newView()
	if !n.guard(func() {
		if err := p.open(); err != nil {
			n.c.w.failf("node %d cannot start: %v", n.id, err)
		}
	}) {
		return
	}
	p.poke()
}

func (p *process) open() (err error) {
	n, c := p.n, p.n.c
	logger := c.w.logger(n.id)
	values, _, err := config.ParseBroker(c.properties(n.id))
	if err != nil {
		return err
	}
	live := config.NewLive(values)
	topicConfig := func(_ string, overrides map[string]string) (replica.TopicConfig, error) {
		return c.topicConfig(values, overrides)
	}
	if p.dirs, err = log.OpenDirs(log.DirsOptions{
		Paths: []string{dataDir}, ClusterID: clusterID, NodeID: n.id, Stepped: true,
		Clock: n.now, FS: n.disk, Logger: logger, HighWatermarkInterval: time.Second, CheckpointInterval: 3 * time.Second,
		TopicConfig: func(topic string) *log.Config {
			tc, err := topicConfig(topic, nil)
			if err != nil {
				panic(err)
			}
			return tc.Log
		},
	}); err != nil {
		return err
	}
	if p.engine, err = p.openJournal(logger); err != nil {
		return err
	}
	fail := func(err error) { p.failure = err }
	if p.ctrl, err = controller.Open(context.Background(), controller.Options{
		NodeID: n.id, ClusterID: clusterID, Journal: tap{p.engine, p}, Config: live, Logger: logger,
		Now: n.now, Random: c.w.rnd.IntN, Stepped: true, OnFail: fail,
		Bootstrap: c.bootstrap(),
	}); err != nil {
		return err
	}
	p.fetch = &replication{p: p, remotes: map[int32]*remote{}, not: map[int32]time.Duration{}}
	p.server = &fetchServer{p: p, sessions: map[int32]*fetchSession{}}
	p.repl = replica.NewManager(replica.Options{
		NodeID: n.id, Dirs: p.dirs, TopicConfig: topicConfig, Logger: logger, Clock: n.now, Inline: true,
		BrokerEpoch: func() int64 { return p.reg.epoch },
		LagTime:     func() time.Duration { return values.Millis("replica.lag.time.max.ms") },
		Fetching:    func() replica.Fetching { return fetching(values) },
		Alter: func(_ context.Context, req *kmsg.AlterPartitionRequest, done func(*kmsg.AlterPartitionResponse, error)) {
			p.ask(req, func(resp kmsg.Response, err error) {
				answer, _ := resp.(*kmsg.AlterPartitionResponse)
				done(answer, err)
			})
		},
		AssignDirs: func(_ context.Context, req *kmsg.AssignReplicasToDirsRequest, done func(*kmsg.AssignReplicasToDirsResponse, error)) {
			p.ask(req, func(resp kmsg.Response, err error) {
				answer, _ := resp.(*kmsg.AssignReplicasToDirsResponse)
				done(answer, err)
			})
		},
	})
	p.reg = newRegistration(p)
	p.every(100*time.Millisecond, "background", p.dirs.Step)
	p.every(25*time.Millisecond, "fetchers", func() {})
	p.tickReplicas()
	return nil
}

func (p *process) tickReplicas() { p.after(p.repl.Tick(), "replicas", p.tickReplicas) }

func fetching(v *config.Values) replica.Fetching {
	f := replica.DefaultFetching()
	f.Wait, f.PartitionMax, f.Backoff = 300*time.Millisecond, 2<<10, 500*time.Millisecond
	return f
}

// follow lets the replicas follow the metadata. It comes after the registration is part of it.
func (p *process) follow() {
	for _, publisher := range []metadata.Publisher{p.repl} {
		if err := p.ctrl.AddPublisher(context.Background(), publisher); err != nil {
			p.failure = err
		}
	}
}

// down ends the process of a node. Without power, what was not synced is lost, or some of it.
func (n *node) down(power bool) {
	if n.proc == nil {
		return
	}
	n.c.w.note(n.id, "down "+strconv.FormatBool(power))
	n.c.check.gone(n.proc)
	if power && n.c.o.Power == powerLost {
		n.lossy, n.c.lost = true, true
		for _, n := range n.c.nodes {
			n.disk.fuse = 0
		}
	}
	n.disk = n.disk.after(power, n.c.w.rnd)
	n.proc, n.paused, n.parked = nil, false, nil
}

func (n *node) pause() {
	if n.proc != nil {
		n.c.w.note(n.id, "pauses")
		n.paused = true
	}
}

func (n *node) resume() {
	if n.proc == nil || !n.paused {
		return
	}
	n.c.w.note(n.id, "resumes")
	n.paused = false
	parked := n.parked
	n.parked = nil
	for _, do := range parked {
		do()
	}
}

func (n *node) String() string { return fmt.Sprintf("node %d", n.id) }
