package zk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"gregor/internal/journal"
	"gregor/internal/zookeeper"

	gozk "github.com/go-zookeeper/zk"
)

// world is a ZooKeeper with members of a log. The ZooKeeper is that of GREGOR_ZOOKEEPER (host:port, or several of an
// ensemble), or our own one in this process.
type world struct {
	t        *testing.T
	servers  string
	chroot   string
	plain    *gozk.Conn // without faults, to look
	history  history
	session  time.Duration
	inFlight int // zookeeper.max.in.flight.requests; 0: its default

	config zookeeper.Config  // of our own server
	server *zookeeper.Server // nil: another one
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, servers: os.Getenv("GREGOR_ZOOKEEPER"), session: 30 * time.Second, history: history{at: map[int64]string{}, writers: map[int32]int32{}}}
	if w.servers == "" {
		w.config = zookeeper.Config{DataDir: t.TempDir(), ClientPortAddress: "127.0.0.1", TickTime: time.Second, MaxSessionTimeout: time.Minute, PreAllocBytes: -1}
		w.startServer()
		t.Cleanup(w.stopServer)
	}
	w.chroot = "/test-" + strings.ToLower(strings.NewReplacer("/", "-", "#", "-").Replace(t.Name())) + "-" + randomID()
	conn, _, err := gozk.Connect(strings.Split(w.servers, ","), w.session, gozk.WithLogInfo(false), gozk.WithLogger(silent{}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	w.plain = conn
	t.Cleanup(func() { deleteTree(conn, w.chroot) })
	return w
}

func (w *world) startServer() {
	w.t.Helper()
	s, err := zookeeper.Start(w.t.Context(), w.config, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	w.server, w.servers = s, s.Addr().String()
	w.config.ClientPort = s.Addr().(*net.TCPAddr).Port
}

func (w *world) stopServer() {
	if err := w.server.Close(context.Background()); err != nil {
		w.t.Error(err)
	}
}

type silent struct{}

func (silent) Printf(string, ...any) {}

// sync has what is read next be as new as what was written before: the servers of an ensemble may lag behind.
func (w *world) sync() {
	w.t.Helper()
	if _, err := w.plain.Sync("/"); err != nil {
		w.t.Fatal(err)
	}
}

// deleteTree deletes a znode and what is below it.
func deleteTree(conn *gozk.Conn, p string) {
	var all []any
	var gather func(p string)
	gather = func(p string) {
		names, _, err := conn.Children(p)
		if err != nil {
			return
		}
		for _, n := range names {
			gather(p + "/" + n)
		}
		all = append(all, &gozk.DeleteRequest{Path: p, Version: -1})
	}
	gather(p)
	for some := range slices.Chunk(all, 1000) {
		_, _ = conn.Multi(some...)
	}
}

func (w *world) path(p string) string { return w.chroot + p }

// member is a client and an engine with a handler that keeps what it is told.
type member struct {
	*world
	id        int32
	directory string
	client    *Client
	engine    *Engine
	link      *link
	told      *told
}

// told is what a handler was told.
type told struct {
	h       *history
	id      int32
	mu      sync.Mutex
	values  map[int64]string // by offset
	end     int64
	epoch   int32
	loaded  []journal.Snapshot
	state   []string // of the newest snapshot
	lead    int32    // epoch of the newest Lead while it counts, else -1
	next    int64
	leads   int
	follows int
	leader  int32
	failed  error
}

func (d *told) Load(s journal.Snapshot) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.state = nil
	for v, err := range s.Values {
		if err != nil {
			return err
		}
		d.state = append(d.state, string(v))
	}
	if s.LastOffset < d.end {
		d.h.bad("node %d: a snapshot as of offset %d after offset %d", d.id, s.LastOffset, d.end)
	}
	d.loaded, d.end, d.epoch = append(d.loaded, s), s.LastOffset+1, s.Epoch
	return nil
}

func (d *told) Commit(batches []journal.Batch) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, b := range batches {
		if b.Offset != d.end || b.Epoch < d.epoch || b.LastOffset != b.Offset+int64(len(b.Values))-1 || b.SizeBytes <= 0 {
			d.h.bad("node %d: batch %d to %d (%d values) of epoch %d after offset %d of epoch %d", d.id, b.Offset, b.LastOffset, len(b.Values), b.Epoch, d.end, d.epoch)
		}
		for i, v := range b.Values {
			text := summary(b.Epoch, v)
			d.values[b.Offset+int64(i)] = text
			d.h.see(d.id, b.Offset+int64(i), text)
		}
		d.end, d.epoch = b.LastOffset+1, b.Epoch
	}
	return nil
}

// summary is a record of the log in a few bytes.
func summary(epoch int32, v []byte) string {
	head := v
	if len(head) > 40 {
		head = head[:40]
	}
	return fmt.Sprintf("%d:%d:%s", epoch, len(v), head)
}

func (d *told) Lead(epoch int32, next int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if next != d.end {
		d.h.bad("node %d leads from offset %d, it was told of those up to %d", d.id, next, d.end)
	}
	d.h.leads(epoch, d.id)
	d.lead, d.next, d.leader = epoch, next, d.id
	d.leads++
}

func (d *told) Follow(epoch, leader int32) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if leader == d.id {
		d.h.bad("node %d follows itself", d.id)
	}
	d.lead, d.leader = -1, leader
	d.follows++
}

func (d *told) Fail(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.failed = err
	d.lead = -1
}

// history is what is the same for all members.
type history struct {
	mu      sync.Mutex
	at      map[int64]string // by offset
	writers map[int32]int32  // by epoch
	faults  []string
}

func (h *history) bad(format string, args ...any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.faults = append(h.faults, fmt.Sprintf(format, args...))
}

func (h *history) see(id int32, offset int64, text string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if was, ok := h.at[offset]; ok && was != text {
		h.faults = append(h.faults, fmt.Sprintf("node %d: offset %d is %s, elsewhere %s", id, offset, text, was))
	}
	h.at[offset] = text
}

func (h *history) leads(epoch, id int32) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if was, ok := h.writers[epoch]; ok {
		h.faults = append(h.faults, fmt.Sprintf("epoch %d has two leaders, %d and %d", epoch, was, id))
	}
	h.writers[epoch] = id
}

func (w *world) check() {
	w.t.Helper()
	w.history.mu.Lock()
	defer w.history.mu.Unlock()
	for _, f := range w.history.faults {
		w.t.Error(f)
	}
}

func (w *world) options(l *link) Options {
	logger := slog.New(slog.NewTextHandler(testWriter{w.t}, &slog.HandlerOptions{Level: logLevel()}))
	return Options{Connect: w.servers + w.chroot, SessionTimeout: w.session, ConnectionTimeout: 20 * time.Second, MaxInFlight: w.inFlight, Dial: l.dial, Logger: logger}
}

func logLevel() slog.Level {
	if os.Getenv("GREGOR_ZOOKEEPER_DEBUG") != "" {
		return slog.LevelDebug
	}
	return slog.LevelInfo
}

type testWriter struct{ t *testing.T }

func (w testWriter) Write(b []byte) (int, error) {
	if os.Getenv("GREGOR_ZOOKEEPER_DEBUG") == "" {
		return io.Discard.Write(b)
	}
	fmt.Fprintf(os.Stderr, "%s %s", w.t.Name(), b)
	return len(b), nil
}

// join starts a member.
func (w *world) join(id int32) *member {
	w.t.Helper()
	m := w.connect(id)
	m.open()
	return m
}

func (w *world) connect(id int32) *member {
	w.t.Helper()
	m := &member{world: w, id: id, link: newLink(), directory: fmt.Sprint("directory of ", id)}
	o := w.options(m.link)
	o.Logger = o.Logger.With("node", id)
	c, err := Connect(w.t.Context(), o)
	if err != nil {
		w.t.Fatal(err)
	}
	m.client = c
	w.t.Cleanup(m.close)
	return m
}

func (m *member) open() {
	m.t.Helper()
	m.told = &told{h: &m.history, id: m.id, values: map[int64]string{}, lead: -1, leader: -1, epoch: -1}
	e, err := Open(m.client, EngineOptions{NodeID: m.id, Endpoint: fmt.Sprintf("host%d:9092", m.id), Directory: m.directory, Logger: m.client.log})
	if err == nil {
		err = e.Start(m.told)
	}
	if err != nil {
		m.t.Fatal(err)
	}
	m.engine = e
}

func (m *member) close() {
	m.link.set(false, false)
	if m.engine != nil {
		_ = m.engine.Close()
	}
	m.client.Close()
}

// kill ends a member without a word to ZooKeeper, as the end of its process does: its session goes on.
func (m *member) kill() {
	m.link.set(true, false)
	_ = m.engine.Close()
	m.client.Close()
}

const patience = 30 * time.Second

// until waits for a condition.
func (w *world) until(what string, holds func() bool) {
	w.t.Helper()
	deadline := time.Now().Add(patience)
	for !holds() {
		if time.Now().After(deadline) {
			w.t.Fatalf("in %v not: %s", patience, what)
		}
		wait(w.t.Context(), time.Millisecond)
	}
}

// wait lets others run.
func wait(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// leader waits until one of some members leads.
func (w *world) leader(members ...*member) *member {
	w.t.Helper()
	var found *member
	w.until("a leader", func() bool {
		i := slices.IndexFunc(members, (*member).leads)
		if i >= 0 {
			found = members[i]
		}
		return i >= 0
	})
	return found
}

// settled waits until one of some members leads, can write, and all of them know.
func (w *world) settled(members ...*member) *member {
	w.t.Helper()
	var l *member
	w.until("one leader that all know and that writes", func() bool {
		l = w.leader(members...)
		last, err := l.append("settled?")
		if err != nil {
			return false
		}
		w.until("an outcome", func() bool { return l.has(last) || !l.leads() })
		return l.has(last) && !slices.ContainsFunc(members, func(m *member) bool { return m.engine.Status().Leader != l.id || !m.has(last) })
	})
	return l
}

func (m *member) leads() bool {
	m.told.mu.Lock()
	defer m.told.mu.Unlock()
	return m.told.lead >= 0
}

// leaderless is all members but one.
func without(m *member, members ...*member) []*member {
	return slices.DeleteFunc(slices.Clone(members), func(o *member) bool { return o == m })
}

// append appends a batch where the newest Lead or append says, and returns its last offset.
func (m *member) append(values ...string) (last int64, err error) {
	m.told.mu.Lock()
	epoch, next := m.told.lead, m.told.next
	m.told.mu.Unlock()
	bytes := make([][]byte, len(values))
	for i, v := range values {
		bytes[i] = []byte(v)
	}
	if err := m.engine.Append(epoch, next, time.Now().UnixMilli(), bytes); err != nil {
		return -1, err
	}
	m.told.mu.Lock()
	defer m.told.mu.Unlock()
	m.told.next = next + int64(len(values))
	return m.told.next - 1, nil
}

func (m *member) mustAppend(values ...string) int64 {
	m.t.Helper()
	last, err := m.append(values...)
	if err != nil {
		m.t.Fatalf("node %d: %v", m.id, err)
	}
	return last
}

// has reports whether a member was told of everything up to an offset.
func (m *member) has(offset int64) bool {
	m.told.mu.Lock()
	defer m.told.mu.Unlock()
	return m.told.end > offset
}

func (m *member) value(offset int64) string {
	m.told.mu.Lock()
	defer m.told.mu.Unlock()
	return m.told.values[offset]
}

func (w *world) all(offset int64, members ...*member) {
	w.t.Helper()
	for _, m := range members {
		w.until(fmt.Sprintf("offset %d on node %d", offset, m.id), func() bool { return m.has(offset) })
	}
}

func (m *member) failure() error {
	m.told.mu.Lock()
	defer m.told.mu.Unlock()
	return m.told.failed
}

// expire ends a member's session at ZooKeeper.
func (m *member) expire() {
	m.t.Helper()
	addr, _, _ := strings.Cut(m.servers, ",")
	if err := m.link.expire(addr); err != nil {
		m.t.Fatal(err)
	}
}

func isNotLeader(err error) bool { return errors.Is(err, journal.ErrNotLeader) }

func is(err, target error) bool { return errors.Is(err, target) }

func firstServer(w *world) string {
	addr, _, _ := strings.Cut(w.servers, ",")
	return addr
}

// testSeed is the seed of a run to be seen again.
func testSeed() uint64 {
	seed, _ := strconv.ParseUint(os.Getenv("GREGOR_ZOOKEEPER_SEED"), 10, 64)
	return seed
}
