package replica

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"gregor/internal/log"
	"gregor/internal/log/vfs"
	"gregor/internal/metadata"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// manyDirs is a broker with the log directories /a, /b and /c in memory, any of which may fail, and a controller that
// notes what it is told of them.
type manyDirs struct {
	t     *testing.T
	mem   *vfs.Mem
	fault *vfs.Fault
	fails atomic.Pointer[string] // the directory that does
	dirs  *log.Dirs
	m     *Manager
	image *metadata.Image

	mu     sync.Mutex
	told   map[partitionKey]metadata.UUID
	asked  int
	refuse *kerr.Error
}

// withDirs runs a test with fake time, and ends what it started.
func withDirs(t *testing.T, do func(d *manyDirs)) {
	synctest.Test(t, func(t *testing.T) {
		d := &manyDirs{t: t, mem: vfs.NewMem(nil), told: make(map[partitionKey]metadata.UUID)}
		d.fault = &vfs.Fault{FS: d.mem, Hook: func(op vfs.Op, name string) error {
			if dir := d.fails.Load(); dir != nil && strings.HasPrefix(name, *dir) {
				return syscall.EIO
			}
			return nil
		}}
		d.image = metadata.NewImage("c")
		d.open()
		defer func() { d.close() }()
		level := int16(30)
		d.publish(&metadata.FeatureLevelRecord{Name: "metadata.version", FeatureLevel: level})
		do(d)
	})
}

func (d *manyDirs) open() {
	d.t.Helper()
	var err error
	d.dirs, err = log.OpenDirs(log.DirsOptions{Paths: []string{"/a", "/b", "/c"}, ClusterID: "c", NodeID: node, FS: d.fault,
		Offline: func(log.Dir, error) { d.m.DirsFailed() }})
	if err != nil {
		d.t.Fatal(err)
	}
	d.m = NewManager(Options{
		NodeID: node, Dirs: d.dirs, Logger: slog.New(slog.DiscardHandler),
		TopicConfig: func(string, map[string]string) (TopicConfig, error) {
			c := log.DefaultConfig()
			c.SegmentBytes, c.FileDeleteDelayMs = 400, 0
			return TopicConfig{Log: c, MinInSyncReplicas: 1}, nil
		},
		Alter:      func(context.Context, *kmsg.AlterPartitionRequest, func(*kmsg.AlterPartitionResponse, error)) {},
		AssignDirs: d.assign,
	})
}

func (d *manyDirs) close() {
	d.m.Close()
	_ = d.dirs.Close()
}

func (d *manyDirs) assign(_ context.Context, req *kmsg.AssignReplicasToDirsRequest, done func(*kmsg.AssignReplicasToDirsResponse, error)) {
	resp := req.ResponseKind().(*kmsg.AssignReplicasToDirsResponse)
	d.mu.Lock()
	d.asked++
	if d.refuse != nil {
		resp.ErrorCode = d.refuse.Code
	} else {
		for _, dir := range req.Directories {
			rd := kmsg.NewAssignReplicasToDirsResponseDirectory()
			rd.ID = dir.ID
			for _, t := range dir.Topics {
				rt := kmsg.NewAssignReplicasToDirsResponseDirectoryTopic()
				rt.TopicID = t.TopicID
				for _, p := range t.Partitions {
					d.told[partitionKey{t.TopicID, p.Partition}] = dir.ID
					rp := kmsg.NewAssignReplicasToDirsResponseDirectoryTopicPartition()
					rp.Partition = p.Partition
					rt.Partitions = append(rt.Partitions, rp)
				}
				rd.Topics = append(rd.Topics, rt)
			}
			resp.Directories = append(resp.Directories, rd)
		}
	}
	d.mu.Unlock()
	go done(resp, nil)
}

func (d *manyDirs) requests() (asked, told int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.asked, len(d.told)
}

func (d *manyDirs) publish(records ...metadata.Record) {
	d.t.Helper()
	delta := metadata.NewDelta(d.image)
	for _, r := range records {
		if err := delta.Apply(r); err != nil {
			d.t.Fatal(err)
		}
	}
	d.image = delta.Image(d.image.Offset()+int64(len(records)), 1)
	d.m.Publish(delta, d.image)
}

// topic makes a topic with n partitions that this broker leads.
func (d *manyDirs) topic(name string, n int32) {
	d.t.Helper()
	records := []metadata.Record{&metadata.TopicRecord{Name: name, TopicID: id(name)}}
	for i := range n {
		records = append(records, place(name, i, node, node, 2))
	}
	d.publish(records...)
}

func (d *manyDirs) partition(name string, index int32) *Partition {
	d.t.Helper()
	p, err := d.m.Partition(name, index)
	if err != nil {
		d.t.Fatal(err)
	}
	return p
}

func (d *manyDirs) dirID(path string) metadata.UUID {
	for _, dir := range d.dirs.Dirs() {
		if dir.Path == path {
			return dir.ID
		}
	}
	d.t.Fatal(path)
	return metadata.UUID{}
}

// pathOf is the directory that a partition's log is in.
func (d *manyDirs) pathOf(p *Partition) string {
	want := d.dirs.DirOf(p.Log())
	for _, dir := range d.dirs.Dirs() {
		if dir.ID == want {
			return dir.Path
		}
	}
	return ""
}

func (d *manyDirs) wantTold(name string, index int32) {
	d.t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	p := d.partition(name, index)
	if got, want := d.told[p.key()], metadata.UUID(d.dirs.DirOf(p.Log())); got != want || want.IsZero() {
		d.t.Errorf("the controller has heard that %s-%d is in %v, want %v", name, index, got, want)
	}
}

// The controller hears where replicas are, in one request for many, again after a failure, and not of what it knows.
func TestControllerHearsOfDirectories(t *testing.T) {
	withDirs(t, func(d *manyDirs) {
		d.refuse = kerr.NotController
		d.topic("t", 9)
		time.Sleep(time.Second) // fake time: pauses end
		if asked, told := d.requests(); asked < 2 || told != 0 {
			t.Errorf("asked %d times, told of %d", asked, told)
		}
		d.mu.Lock()
		d.refuse, d.asked = nil, 0
		d.mu.Unlock()
		time.Sleep(maxPlacePause)
		for i := range int32(9) {
			d.wantTold("t", i)
		}
		if asked, _ := d.requests(); asked != 1 {
			t.Errorf("%d requests, want 1", asked)
		}
		p := d.partition("t", 3)
		known := place("t", 3, node, node, 2)
		known.Directories = []metadata.UUID{d.dirs.DirOf(p.Log()), {9}}
		d.publish(known)
		time.Sleep(maxPlacePause)
		if asked, _ := d.requests(); asked != 1 {
			t.Error("the controller was told what it says itself")
		}
	})
}

// A directory that fails takes its own replicas offline: their waiters are told, appends are refused, and they stay
// offline whatever the metadata makes of them. The others go on, and new ones are made in the other directories.
func TestFailedDirectory(t *testing.T) {
	withDirs(t, func(d *manyDirs) {
		d.topic("t", 9)
		bad := d.pathOf(d.partition("t", 0))
		var waited error
		d.partition("t", 0).AwaitCommit(7, NoEpoch, func(err error) { waited = err })
		d.fails.Store(&bad)
		_, err := d.partition("t", 0).Append(batch("a"), AcksLeader, NoEpoch, log.Coordinator)
		wantErr(t, "append to a failed directory", err, log.ErrDirOffline)
		synctest.Wait()
		wantErr(t, "the wait for a commit", waited, ErrNotLeader)
		_, err = d.partition("t", 0).Append(batch("a"), AcksLeader, NoEpoch, log.Coordinator)
		wantErr(t, "append to an offline replica", err, ErrStorage)
		offline := 0
		for i := range int32(9) {
			p := d.partition("t", i)
			_, err := p.Read(ReadOptions{LeaderEpoch: NoEpoch, LastFetchedEpoch: NoEpoch, MaxBytes: 100})
			if p.Log() == nil {
				offline++
				wantErr(t, fmt.Sprint("read of ", i), err, ErrStorage)
			} else if err != nil {
				t.Errorf("read of %d: %v", i, err)
			}
		}
		if offline != 3 {
			t.Errorf("%d replicas are offline, want 3", offline)
		}
		if got := d.dirs.Offline(); len(got) != 1 || got[0] != [16]byte(d.dirID(bad)) {
			t.Errorf("offline directories %v", got)
		}
		// The controller gives the leadership away; the replica does not begin to follow with another log.
		moved := place("t", 0, 2, node, 2)
		moved.LeaderEpoch, moved.PartitionEpoch = 1, 1
		d.publish(moved)
		if p := d.partition("t", 0); p.Log() != nil {
			t.Error("an offline replica has a log again, in", p.Log().Dir())
		}
		d.topic("u", 6)
		for i := range int32(6) {
			if dir := d.pathOf(d.partition("u", i)); dir == bad || dir == "" {
				t.Errorf("u-%d is in %q", i, dir)
			}
		}
	})
}

// A directory whose files vanish is noticed without an error of a write: what is written to open files of it goes nowhere.
func TestVanishedDirectory(t *testing.T) {
	withDirs(t, func(d *manyDirs) {
		d.topic("t", 3)
		p := d.partition("t", 0)
		bad := d.pathOf(p)
		if err := d.mem.RemoveAll(bad); err != nil {
			t.Fatal(err)
		}
		time.Sleep(6 * time.Second)
		synctest.Wait()
		if got := d.dirs.Offline(); len(got) != 1 || p.Log() != nil {
			t.Errorf("offline directories %v, log %v", got, p.Log())
		}
	})
}

// While a directory is offline nobody makes another log for a replica that may have its records there.
func TestReplicaMayBeInFailedDirectory(t *testing.T) {
	withDirs(t, func(d *manyDirs) {
		d.topic("t", 1)
		bad := d.pathOf(d.partition("t", 0))
		d.close()
		d.fails.Store(&bad)
		d.open()
		whole := metadata.NewDelta(metadata.NewImage("c"))
		for _, r := range []metadata.Record{&metadata.FeatureLevelRecord{Name: "metadata.version", FeatureLevel: 30},
			&metadata.TopicRecord{Name: "t", TopicID: id("t")}} {
			if err := whole.Apply(r); err != nil {
				t.Fatal(err)
			}
		}
		was := place("t", 0, node, node, 2)
		was.PartitionEpoch = 3
		if err := whole.Apply(was); err != nil {
			t.Fatal(err)
		}
		d.image = whole.Image(9, 1)
		d.m.Publish(whole, d.image)
		if l := d.partition("t", 0).Log(); l != nil {
			t.Error("made anew in", l.Dir())
		}
		d.topic("new", 1)
		if d.partition("new", 0).Log() == nil {
			t.Error("a new partition has no log")
		}
	})
}

// fill appends n batches.
func (d *manyDirs) fill(p *Partition, from, n int) {
	d.t.Helper()
	for i := range n {
		if _, err := p.Append(batch(fmt.Sprint(from+i)), AcksLeader, NoEpoch, log.Coordinator); err != nil {
			d.t.Fatal(err)
		}
	}
}

// other is a directory that a partition's log is not in.
func (d *manyDirs) other(p *Partition) string {
	for _, path := range []string{"/a", "/b", "/c"} {
		if path != d.pathOf(p) {
			return path
		}
	}
	return ""
}

func (d *manyDirs) wantValues(p *Partition, n int) {
	d.t.Helper()
	got := logValues(d.t, p.Log())
	if len(got) != n {
		d.t.Fatalf("%d records, want %d", len(got), n)
	}
	for i, v := range got {
		if v != fmt.Sprintf("%d@0", i) {
			d.t.Fatalf("record %d is %s", i, v)
		}
	}
}

// A replica moves while it is written to: it has everything in the end, those who wait are told, and the controller hears.
func TestMoveReplica(t *testing.T) {
	withDirs(t, func(d *manyDirs) {
		d.topic("t", 2)
		p := d.partition("t", 0)
		d.fill(p, 0, 20)
		was, to := p.Log(), d.other(p)
		var waited error = context.Canceled
		p.AwaitCommit(30, NoEpoch, func(err error) { waited = err })
		if err := d.m.MoveReplica("t", 0, d.dirID(to)); err != nil {
			t.Fatal(err)
		}
		d.fill(p, 20, 20)
		synctest.Wait()
		time.Sleep(time.Second)
		if d.pathOf(p) != to || d.dirs.Future("t", 0) != nil || p.Log() == was {
			t.Fatalf("the replica is in %s, want %s", d.pathOf(p), to)
		}
		d.fill(p, 40, 5)
		d.wantValues(p, 45)
		d.wantTold("t", 0)
		ld := p.role.Load().leader
		ld.follow(2, 45)
		if waited != nil {
			t.Error("the wait for a commit:", waited)
		}
		res, err := p.Read(ReadOptions{Offset: 3, MaxBytes: 100, AtLeastOne: true, LeaderEpoch: NoEpoch, LastFetchedEpoch: NoEpoch})
		if err != nil || res.HighWatermark != 45 || res.Slice.Len() == 0 {
			t.Error(res, err)
		}
		res.Slice.Close()
		// There and back, and not at all.
		if err := d.m.MoveReplica("t", 0, d.dirID(to)); err != nil || d.dirs.Future("t", 0) != nil {
			t.Error(err)
		}
		wantErr(t, "a replica of others", d.m.MoveReplica("t", 7, d.dirID(to)), ErrReplicaNotHere)
		wantErr(t, "an unknown directory", d.m.MoveReplica("t", 0, metadata.UUID{5}), log.ErrDirOffline)
	})
}

// The limit of bytes a second slows the copying, not the replica; a move can be taken back and sent elsewhere.
func TestMoveIsThrottled(t *testing.T) {
	withDirs(t, func(d *manyDirs) {
		d.topic("t", 1)
		p := d.partition("t", 0)
		r := DefaultRates()
		r.MoveDirs = 1000
		d.m.o.Rates = func() Rates { return r }
		d.m.Reconfigure()
		d.fill(p, 0, 300) // about 70 bytes each
		from := d.pathOf(p)
		to := d.other(p)
		if err := d.m.MoveReplica("t", 0, d.dirID(to)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		f := d.dirs.Future("t", 0)
		if f == nil || f.EndOffset() == 0 || f.Size() > 12_000 || d.pathOf(p) != from {
			t.Fatalf("after 5 s: %v", f)
		}
		d.fill(p, 300, 1)
		if err := d.m.MoveReplica("t", 0, d.dirID(from)); err != nil || d.dirs.Future("t", 0) != nil {
			t.Fatal("taken back:", err)
		}
		time.Sleep(20 * time.Second)
		for _, path := range []string{"/a", "/b", "/c"} {
			if path == from || path == to {
				continue
			}
			if err := d.m.MoveReplica("t", 0, d.dirID(path)); err != nil {
				t.Fatal(err)
			}
			to = path
		}
		r.MoveDirs = unlimited
		d.m.Reconfigure()
		time.Sleep(2 * time.Second)
		if d.pathOf(p) != to {
			t.Errorf("in %s, want %s", d.pathOf(p), to)
		}
		d.wantValues(p, 301)
	})
}

// The copy follows whatever the log goes through: truncation, another leader's records, a moved start.
func TestMoveFollowsTheLog(t *testing.T) {
	withDirs(t, func(d *manyDirs) {
		d.topic("t", 1)
		p := d.partition("t", 0)
		d.fill(p, 0, 20)
		l := p.Log()
		f, err := d.dirs.CreateFuture("t", 0, d.dirID(d.other(p)))
		if err != nil {
			t.Fatal(err)
		}
		same := func(what string) {
			t.Helper()
			for range 100 {
				if err := follow(l, f); err != nil {
					t.Fatal(what, err)
				}
				if f.EndOffset() == l.EndOffset() {
					break
				}
				if _, err := copyOnce(l, f); err != nil {
					t.Fatal(what, err)
				}
			}
			if got, want := logValues(t, f), logValues(t, l); fmt.Sprint(got) != fmt.Sprint(want) || f.StartOffset() != l.StartOffset() || f.EndOffset() != l.EndOffset() || f.LatestEpoch() != l.LatestEpoch() {
				t.Fatalf("%s: copy has %v from %d to %d, want %v from %d to %d", what, got, f.StartOffset(), f.EndOffset(), want, l.StartOffset(), l.EndOffset())
			}
		}
		put := func(epoch int32, n int) {
			t.Helper()
			for range n {
				if _, err := l.AppendLeader(batch("e", "f", "g"), epoch, log.Coordinator); err != nil {
					t.Fatal(err)
				}
			}
		}
		same("at first")
		put(3, 3)
		same("a new epoch")
		if err := l.TruncateTo(20); err != nil {
			t.Fatal(err)
		}
		put(5, 4)
		same("truncated, and another leader's records")
		if err := l.TruncateTo(10); err != nil {
			t.Fatal(err)
		}
		same("truncated")
		if err := l.TruncateTo(5); err != nil {
			t.Fatal(err)
		}
		put(7, 6)
		same("truncated once more")
		l.SetHighWatermark(l.EndOffset())
		if _, err := l.DeleteRecordsBefore(9); err != nil { // inside a batch
			t.Fatal(err)
		}
		same("the start has moved")
		if err := l.TruncateFullyAndStartAt(100); err != nil {
			t.Fatal(err)
		}
		put(9, 2)
		same("started anew")
		l.SetHighWatermark(l.EndOffset())
		if _, err := l.DeleteRecordsBefore(104); err != nil {
			t.Fatal(err)
		}
		if err := f.TruncateFullyAndStartAt(0); err != nil {
			t.Fatal(err)
		}
		same("a copy of a log that starts inside a batch")
	})
}

// A move goes on after a restart; the copy of a replica that is here no more goes with it.
func TestMoveAfterRestart(t *testing.T) {
	withDirs(t, func(d *manyDirs) {
		d.topic("t", 1)
		p := d.partition("t", 0)
		d.fill(p, 0, 50)
		to := d.other(p)
		r := DefaultRates()
		r.MoveDirs = 1
		d.m.o.Rates = func() Rates { return r }
		d.m.Reconfigure()
		if err := d.m.MoveReplica("t", 0, d.dirID(to)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		d.close()
		image := d.image
		d.open()
		if d.dirs.Future("t", 0) == nil {
			t.Fatal("the copy is gone")
		}
		d.image = metadata.NewImage("c")
		d.m.Publish(metadata.DeltaBetween(d.image, image), image)
		d.image = image
		time.Sleep(2 * time.Second)
		p = d.partition("t", 0)
		if d.pathOf(p) != to {
			t.Errorf("in %s, want %s", d.pathOf(p), to)
		}
		d.wantValues(p, 50)
	})
}

// Where a replica is to be made can be said before it comes.
func TestPreferredDirectory(t *testing.T) {
	withDirs(t, func(d *manyDirs) {
		for i, path := range []string{"/c", "/c", "/b"} {
			wantErr(t, "not here yet", d.m.MoveReplica("t", int32(i), d.dirID(path)), ErrReplicaNotHere)
		}
		d.topic("t", 3)
		for i, path := range []string{"/c", "/c", "/b"} {
			if got := d.pathOf(d.partition("t", int32(i))); got != path {
				t.Errorf("t-%d is in %s, want %s", i, got, path)
			}
		}
	})
}
