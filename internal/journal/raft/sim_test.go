package raft

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/cryptotest"
	"time"

	"gregor/internal/journal"
	"gregor/internal/log/vfs"
	"gregor/test/race"

	"github.com/twmb/franz-go/pkg/kerr"
)

// The simulation runs several engines on one goroutine, with a network that loses, delays, repeats and reorders messages
// and is cut, one way or both, and with disks that lose what was not synced. All chance comes from the seed.

// world is one run.
type world struct {
	t     *testing.T
	rnd   *rand.Rand
	now   int // units of ten milliseconds
	nodes []*simNode
	queue []letter
	cut   map[[2]int32]bool
	loss  float64
	delay int

	committed map[int64]string // by offset of the batch: what every node must have there
	bytes     map[int64][]byte // the same batch on disk
	highest   int64            // end of what was committed anywhere
	leaders   map[int32]int32  // by epoch
	proposals int
	wipes     int
	changes   bool // of the voters
	trace     []string
}

type letter struct {
	at       int
	from, to int32
	data     []byte
}

type simNode struct {
	w      *world
	id     int32
	o      Options
	disk   *vfs.Mem
	e      *Engine // nil: it does not run
	drift  int     // units between its ticks
	joined bool    // its disk is the first, or it was brought up to date since

	left   int // changes of its disk until it fails; negative: it does not
	failed error

	epoch int32 // in which it may append, 0: it may not
	next  int64
	end   int64 // of what was handed over
	state []string
	last  journal.Batch
}

const tickUnits = 10

func newWorld(t *testing.T, seed uint64, voters int) *world {
	cryptotest.SetGlobalRandom(t, seed)
	w := &world{
		t: t, rnd: rand.New(rand.NewPCG(seed, 7)), cut: map[[2]int32]bool{}, delay: 3,
		committed: map[int64]string{}, bytes: map[int64][]byte{}, leaders: map[int32]int32{},
	}
	var set []journal.Voter
	for id := range int32(voters) {
		set = append(set, journal.Voter{ID: id, Endpoints: []journal.Endpoint{{Name: "CONTROLLER", Host: "h", Port: uint16(id)}}})
	}
	for id := range int32(voters) {
		w.add(id, set)
	}
	return w
}

func (w *world) add(id int32, set []journal.Voter) *simNode {
	n := &simNode{w: w, id: id, disk: w.newDisk(), joined: true, left: -1}
	n.o = Options{
		Dir: "/data", NodeID: id, ClusterID: "c", DirectoryID: [16]byte{byte(id), 1}, Voters: set, SegmentBytes: 1500,
		RetentionBytes: 3000, Now: w.time, Stepped: true,
	}
	if os.Getenv("RAFT_TRACE") != "" {
		n.o.Logger = slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{Level: slog.LevelDebug})).With("node", id)
	}
	w.nodes = append(w.nodes, n)
	n.o.Follow = len(set) == 0
	n.start()
	return n
}

// newDisk is one with a formatted directory.
func (w *world) newDisk() *vfs.Mem {
	disk := vfs.NewMem(w.time)
	if err := errors.Join(disk.MkdirAll("/data"), disk.SyncDir("/")); err != nil {
		w.fatal("%v", err)
	}
	return disk
}

func (w *world) time() time.Time { return time.UnixMilli(1_700_000_000_000 + int64(w.now)*10) }

func (w *world) note(format string, args ...any) {
	w.trace = append(w.trace, fmt.Sprintf("%6d ", w.now)+fmt.Sprintf(format, args...))
	if os.Getenv("RAFT_TRACE") != "" {
		fmt.Println(w.trace[len(w.trace)-1])
	}
}

func (w *world) fatal(format string, args ...any) {
	w.t.Helper()
	tail := w.trace[max(0, len(w.trace)-60):]
	w.t.Fatalf("%s\n%s", fmt.Sprintf(format, args...), strings.Join(tail, "\n"))
}

func (n *simNode) start() {
	n.drift = tickUnits - 1 + n.w.rnd.IntN(3)
	n.left, n.failed, n.epoch, n.end, n.state, n.last = -1, nil, 0, 0, nil, journal.Batch{}
	o := n.o
	o.FS = &vfs.Fault{FS: n.disk, Hook: func(op vfs.Op, _ string) error {
		if n.left > 0 && op.Changes() {
			n.left--
		}
		if n.left == 0 {
			return vfs.ErrFault
		}
		return nil
	}}
	e, err := Open(o)
	if err != nil {
		n.w.fatal("node %d: %v", n.id, err)
	}
	n.e = e
	if err := e.Start(n); err != nil {
		n.w.fatal("node %d: %v", n.id, err)
	}
	n.run(func() { e.Campaign() })
}

// run does something with the engine and then all that follows.
func (n *simNode) run(do func()) {
	if n.e == nil {
		return
	}
	do()
	for n.e.Step() {
	}
	if n.failed != nil {
		if !errors.Is(n.failed, vfs.ErrFault) {
			n.w.fatal("node %d failed: %v", n.id, n.failed)
		}
		n.w.note("node %d: its disk ended", n.id)
		n.stop(true)
		return
	}
	n.post()
	n.joined = n.joined || n.e.join == nil
}

func (n *simNode) post() {
	for _, r := range n.e.Outgoing() {
		w := n.w
		for range 1 + w.rnd.IntN(20)/19 {
			if w.rnd.Float64() >= w.loss {
				at := w.now + 1 + w.rnd.IntN(w.delay)
				if w.rnd.IntN(50) == 0 {
					at += w.rnd.IntN(200)
				}
				w.queue = append(w.queue, letter{at, r.From, r.To, r.AppendTo(nil)})
			}
		}
	}
}

// stop ends the process, and the power of its machine, too.
func (n *simNode) stop(power bool) {
	if n.e == nil {
		return
	}
	if n.w.rnd.IntN(2) == 0 {
		n.post() // what went out before
	}
	e := n.e
	n.e, n.epoch = nil, 0
	if power {
		n.disk = n.disk.Crash(n.w.rnd)
	}
	e.log.close()
	for _, p := range n.w.nodes {
		if p.e != nil && p.id != n.id && n.w.rnd.IntN(3) > 0 {
			p.run(func() { p.e.PeerGone(n.id) })
		}
	}
}

func (n *simNode) Load(s journal.Snapshot) error {
	n.state, n.end = nil, s.LastOffset+1
	for v, err := range s.Values {
		if err != nil {
			return err
		}
		n.state = append(n.state, string(v))
	}
	if want := n.w.valuesUpTo(s.LastOffset); !slices.Equal(n.state, want) {
		n.w.fatal("node %d loads snapshot as of %d: %v, committed was %v", n.id, s.LastOffset, n.state, want)
	}
	n.last = journal.Batch{LastOffset: s.LastOffset, Epoch: s.Epoch, TimestampMs: s.TimestampMs}
	return nil
}

func (w *world) valuesUpTo(last int64) (values []string) {
	for at := int64(0); at <= last; {
		b, ok := w.committed[at]
		if !ok {
			w.fatal("nothing was committed at %d", at)
		}
		f := strings.Fields(b)
		values = append(values, f[2:]...)
		next, _ := strconv.ParseInt(f[0], 10, 64)
		at = next
	}
	return values
}

func (n *simNode) Commit(batches []journal.Batch) error {
	for _, b := range batches {
		if b.Offset != n.end {
			n.w.fatal("node %d is handed the batch at %d after %d", n.id, b.Offset, n.end)
		}
		text := fmt.Sprintf("%d e%d", b.LastOffset+1, b.Epoch)
		for _, v := range b.Values {
			text += " " + string(v)
			n.state = append(n.state, string(v))
		}
		if old, ok := n.w.committed[b.Offset]; !ok {
			if b.Offset != n.w.highest {
				n.w.fatal("node %d commits at %d first, the end is %d", n.id, b.Offset, n.w.highest)
			}
			n.w.committed[b.Offset] = text
			n.w.highest = b.LastOffset + 1
		} else if old != text {
			n.w.fatal("node %d commits %q at %d, there was %q", n.id, text, b.Offset, old)
		}
		n.end, n.last = b.LastOffset+1, b
	}
	return nil
}

func (n *simNode) Lead(epoch int32, next int64) {
	if other, ok := n.w.leaders[epoch]; ok && other != n.id {
		n.w.fatal("nodes %d and %d lead epoch %d", other, n.id, epoch)
	}
	n.w.leaders[epoch] = n.id
	if next != n.end {
		n.w.fatal("node %d leads from %d, was handed up to %d", n.id, next, n.end)
	}
	for at, b := range n.w.committed {
		// Who leads a later epoch may have committed more. Nobody of this one or an earlier epoch may.
		var end int64
		var of int32
		if _, err := fmt.Sscanf(b, "%d e%d", &end, &of); err != nil || at >= next && of <= epoch {
			n.w.fatal("node %d leads epoch %d from %d, %q was committed at %d (%v)", n.id, epoch, next, b, at, err)
		}
	}
	n.w.note("node %d leads epoch %d from %d", n.id, epoch, next)
	n.epoch, n.next = epoch, next
}

func (n *simNode) Follow(epoch int32, leader int32) {
	if n.epoch != 0 {
		n.w.note("node %d follows %d in epoch %d", n.id, leader, epoch)
	}
	n.epoch = 0
}

func (n *simNode) Fail(err error) { n.failed = err }

func (n *simNode) append(count int) {
	values := make([][]byte, count)
	for i := range values {
		values[i] = fmt.Appendf(nil, "v%d", n.w.proposals)
		n.w.proposals++
	}
	err := n.e.Append(n.epoch, n.next, n.w.time().UnixMilli(), values)
	switch {
	case err == nil:
		n.next += int64(count)
	case !errors.Is(err, journal.ErrNotLeader):
		n.w.fatal("node %d: %v", n.id, err)
	}
}

func (n *simNode) save() {
	if n.end == 0 || n.last.LastOffset+1 != n.end {
		return
	}
	state := slices.Clone(n.state)
	s := journal.Snapshot{LastOffset: n.last.LastOffset, Epoch: n.last.Epoch, TimestampMs: n.last.TimestampMs,
		Values: func(yield func([]byte, error) bool) {
			for _, v := range state {
				if !yield([]byte(v), nil) {
					return
				}
			}
		}}
	n.run(func() {
		if err := n.e.Save(n.w.t.Context(), s); err != nil {
			n.failed = err // of the disk, or it ended
			if errors.Is(err, journal.ErrClosed) {
				n.failed = vfs.ErrFault
			}
		}
	})
}

// unit lets ten milliseconds pass.
func (w *world) unit() {
	w.now++
	for i := 0; i < len(w.queue); {
		l := w.queue[i]
		if l.at > w.now {
			i++
			continue
		}
		w.queue[i] = w.queue[len(w.queue)-1]
		w.queue = w.queue[:len(w.queue)-1]
		w.deliver(l)
	}
	for _, n := range w.nodes {
		if n.e != nil && w.now%n.drift == 0 {
			n.run(func() { n.e.Tick() })
		}
		if n.e != nil && w.rnd.IntN(4) == 0 {
			w.ship(n)
		}
	}
}

func (w *world) deliver(l letter) {
	n := w.node(l.to)
	if n.e == nil || w.cut[[2]int32{l.from, l.to}] {
		return
	}
	var r MessageRequest
	if err := r.ReadFrom(l.data); err != nil {
		w.fatal("%v", err)
	}
	n.run(func() {
		if err := n.e.Receive(&r); err != nil && !errors.Is(err, kerr.InconsistentVoterSet) {
			w.fatal("node %d: %v", n.id, err)
		}
	})
}

// ship carries a part of a snapshot.
func (w *world) ship(n *simNode) {
	leader, id, pos, ok := n.e.WantedPart()
	if !ok {
		return
	}
	from := w.node(leader)
	if from.e == nil || w.cut[[2]int32{leader, n.id}] || w.cut[[2]int32{n.id, leader}] || w.rnd.Float64() < w.loss {
		if w.rnd.IntN(10) == 0 {
			n.run(func() { n.e.TakePart(id, pos, nil, 0, errors.New("connection lost")) })
		}
		return
	}
	data, size, err := from.e.ReadSnapshot(id, pos, 200)
	n.run(func() { n.e.TakePart(id, pos, data, size, err) })
}

func (w *world) node(id int32) *simNode {
	return w.nodes[slices.IndexFunc(w.nodes, func(n *simNode) bool { return n.id == id })]
}

func (w *world) any() *simNode { return w.nodes[w.rnd.IntN(len(w.nodes))] }

// work is what clients do meanwhile.
func (w *world) work() {
	for _, n := range w.nodes {
		if n.e != nil && n.epoch != 0 && w.rnd.IntN(4) == 0 {
			n.run(func() {
				for range 1 + w.rnd.IntN(3) {
					n.append(1 + w.rnd.IntN(3))
				}
			})
		}
		if n.e != nil && w.rnd.IntN(150) == 0 {
			n.save()
		}
	}
}

// fault is one thing that goes wrong, or right again.
func (w *world) fault() {
	n := w.any()
	switch w.rnd.IntN(12) {
	case 0:
		w.note("node %d loses power", n.id)
		n.stop(true)
	case 1:
		w.note("node %d is killed", n.id)
		n.stop(false)
	case 2, 3, 4:
		if n.e == nil {
			w.note("node %d starts", n.id)
			n.start()
		}
	case 5:
		if n.e != nil {
			n.left = 1 + w.rnd.IntN(40)
		}
	case 6:
		other := w.any()
		w.note("cut %d to %d", n.id, other.id)
		w.cut[[2]int32{n.id, other.id}] = true
	case 7:
		w.note("%d is cut off", n.id)
		for _, o := range w.nodes {
			w.cut[[2]int32{n.id, o.id}], w.cut[[2]int32{o.id, n.id}] = true, true
		}
	case 8, 9:
		w.note("all cuts heal")
		clear(w.cut)
	case 10:
		w.loss, w.delay = w.rnd.Float64()*0.3, 1+w.rnd.IntN(30)
	case 11:
		if n.e != nil && n.epoch != 0 {
			w.note("node %d resigns", n.id)
			n.run(func() { _ = n.e.Resign(w.t.Context()) })
		} else {
			w.wipe(n)
		}
	}
}

// wipe replaces a disk, if no more were replaced and not brought up to date than may be lost at once.
func (w *world) wipe(n *simNode) {
	away, voters, inLog := 0, len(w.nodes), false
	for _, o := range w.nodes {
		if !o.joined {
			away++
		}
	}
	if w.changes {
		leader := w.leader()
		if leader == nil {
			return
		}
		set := leader.e.voters
		away, voters, inLog = w.gone(leader), len(set.voters), set.version > 0
		if set.find(n.id) == nil || !inLog {
			return
		}
	}
	if away >= (voters-1)/2 || !n.joined || w.highest == 0 {
		return
	}
	w.note("node %d gets a new disk", n.id)
	w.wipes++
	n.stop(true)
	n.disk, n.joined = w.newDisk(), inLog
	n.o.Joining, n.o.DirectoryID = !inLog, [16]byte{byte(n.id), byte(2 + w.wipes)}
	if inLog {
		n.o.Voters, n.o.Follow = nil, true // as a Member does
	}
	n.start()
}

// leader is the newest one.
func (w *world) leader() (newest *simNode) {
	for _, o := range w.nodes {
		if o.epoch != 0 && (newest == nil || o.epoch > newest.epoch) {
			newest = o
		}
	}
	return newest
}

// gone counts the voters whose disks were replaced, or that join still.
func (w *world) gone(leader *simNode) (count int) {
	set := leader.e.voters
	for _, v := range set.voters {
		if n := w.node(v.ID); !n.joined || set.version > 0 && v.DirectoryID != n.o.DirectoryID {
			count++
		}
	}
	return count
}

// heal ends all faults and waits until everybody has everything.
func (w *world) heal() {
	clear(w.cut)
	w.loss, w.delay = 0, 3
	for _, n := range w.nodes {
		if n.left > 0 {
			n.left = -1
		}
		if n.e == nil {
			n.start()
		}
	}
	before, goal := w.highest, int64(-1)
	for range 6000 {
		w.unit()
		if goal < 0 && w.rnd.IntN(10) == 0 {
			w.work()
		}
		leader := slices.IndexFunc(w.nodes, func(n *simNode) bool { return n.epoch != 0 && n.end == w.highest })
		if goal < 0 && leader >= 0 && w.highest > before {
			goal = w.highest
		}
		if w.now%20 == 0 && leader >= 0 && w.changes {
			w.mend(w.nodes[leader])
		}
		if goal >= 0 && !slices.ContainsFunc(w.nodes, func(n *simNode) bool { return w.votes(n) && (n.end < w.highest || n.e == nil) }) {
			w.compare()
			return
		}
	}
	var where []string
	for _, n := range w.nodes {
		where = append(where, fmt.Sprintf("node %d: %+v, join %+v, raft %s", n.id, n.e.Status(), n.e.join, n.e.node.Status()))
	}
	w.fatal("healed, but not all have what was committed up to %d (before: %d):\n%s", w.highest, before, strings.Join(where, "\n"))
}

// votes reports whether a node is one of the voters that the newest leader has.
func (w *world) votes(n *simNode) bool {
	newest := w.leader()
	if newest == nil {
		return true
	}
	v := newest.e.voters.find(n.id)
	return v != nil && (newest.e.voters.version == 0 || v.DirectoryID == n.o.DirectoryID)
}

// operate asks the leader for a change of the voters.
func (w *world) operate(leader *simNode) {
	current := leader.e.Voters()
	n := w.any()
	i := slices.IndexFunc(current, func(v journal.Voter) bool { return v.ID == n.id })
	switch {
	case i >= 0 && current[i].DirectoryID == n.o.DirectoryID && w.gone(leader) > 0:
		return // who is there is needed
	case i >= 0 && len(current) > 1:
		key := journal.VoterKey{ID: n.id, DirectoryID: current[i].DirectoryID}
		if key.DirectoryID == (journal.DirectoryID{}) {
			key.DirectoryID = n.o.DirectoryID
		}
		w.change(leader, journal.VoterChange{Remove: &key})
	case i < 0 && n.e != nil:
		w.change(leader, journal.VoterChange{Add: &journal.Voter{ID: n.id, DirectoryID: n.o.DirectoryID, Endpoints: []journal.Endpoint{{Host: "h", Port: 1}}}})
	}
}

// mend takes voters out whose disk is gone.
func (w *world) mend(leader *simNode) {
	for _, v := range leader.e.Voters() {
		if n := w.node(v.ID); v.DirectoryID != (journal.DirectoryID{}) && v.DirectoryID != n.o.DirectoryID {
			w.change(leader, journal.VoterChange{Remove: &journal.VoterKey{ID: v.ID, DirectoryID: v.DirectoryID}})
			return
		}
	}
}

func (w *world) change(leader *simNode, c journal.VoterChange) {
	leader.run(func() {
		if c.Add != nil {
			leader.e.ObserverFetched(c.Add.ID, c.Add.DirectoryID, 1<<40, w.time().UnixMilli())
		}
		err := leader.e.ChangeVoters(w.t.Context(), c)
		w.note("node %d: change %+v: %v", leader.id, c, err)
		for _, expected := range []error{journal.ErrNotLeader, journal.ErrChangePending, journal.ErrInvalidVoter, journal.ErrVoterNotFound, journal.ErrClosed} {
			if errors.Is(err, expected) {
				err = nil
			}
		}
		if err != nil {
			w.fatal("%v", err)
		}
	})
}

// compare looks at the bytes on disk: they are the same everywhere.
func (w *world) compare() {
	for _, n := range w.nodes {
		if n.e == nil {
			continue
		}
		from := n.e.Status().Snapshot
		r, err := n.e.ReadLog(journal.FetchPosition{Offset: from, LastEpoch: -1}, 1<<30)
		if err != nil {
			w.fatal("node %d: %v", n.id, err)
		}
		for rest := r.Records; len(rest) > 0; {
			b := rest[:12+int(uint32(rest[8])<<24|uint32(rest[9])<<16|uint32(rest[10])<<8|uint32(rest[11]))]
			rest = rest[len(b):]
			at := int64(b[4])<<24 | int64(b[5])<<16 | int64(b[6])<<8 | int64(b[7])
			if old, ok := w.bytes[at]; !ok {
				w.bytes[at] = b
			} else if !bytes.Equal(old, b) {
				w.fatal("the batch at %d of node %d differs from that of another node", at, n.id)
			}
		}
	}
}

func (w *world) close() {
	for _, n := range w.nodes {
		if n.e != nil {
			n.e.Close()
		}
	}
}

// seeds are those of n worlds. A world is one goroutine's, so the race detector, which makes it slow, sees an eighth of
// them: make test runs this package without it too.
func seeds(t *testing.T, n int) (list []uint64) {
	if race.Detector {
		n /= 8
	}
	if s := os.Getenv("RAFT_SEED"); s != "" {
		seed, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return []uint64{seed}
	}
	if s := os.Getenv("RAFT_SEEDS"); s != "" {
		many, err := strconv.Atoi(s)
		if err != nil {
			t.Fatal(err)
		}
		n = many
	}
	for i := range n {
		list = append(list, uint64(i))
	}
	return list
}

// Committed batches are the same on all nodes, in order, and none is ever lost. RAFT_SEED repeats a seed, RAFT_SEEDS says
// how many, RAFT_TRACE prints what happens.
func TestSimulation(t *testing.T) {
	for _, seed := range seeds(t, 80) {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			w := newWorld(t, seed, 3+2*int(seed%2))
			defer w.close()
			for range 3 {
				for range 500 {
					w.unit()
					w.work()
					if w.rnd.IntN(25) == 0 {
						w.fault()
					}
				}
				w.heal()
			}
		})
	}
}

// The same while the voters change: they come and go one at a time, leaders are removed, disks are replaced, and a node
// whose disk was replaced is another voter.
func TestSimulationOfVoters(t *testing.T) {
	for _, seed := range seeds(t, 60) {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			w := newWorld(t, seed, 1+2*int(seed%2))
			w.changes = true
			for id := int32(len(w.nodes)); id < 5; id++ {
				w.add(id, nil)
			}
			defer w.close()
			for range 3 {
				for range 500 {
					w.unit()
					w.work()
					if w.rnd.IntN(25) == 0 {
						w.fault()
					}
					for _, n := range w.nodes {
						if n.e != nil && n.epoch != 0 && w.rnd.IntN(30) == 0 {
							w.operate(n)
						}
					}
				}
				w.heal()
			}
		})
	}
}
