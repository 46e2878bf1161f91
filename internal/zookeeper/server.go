package zookeeper

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"gregor/internal/log/vfs"
	"gregor/internal/zookeeper/storage"
	"gregor/internal/zookeeper/tree"
)

const (
	// waitingBytes of all requests that wait for an answer are the most; a connection without one may still come in
	// (ZooKeeper's largeRequestMaxBytes).
	waitingBytes = 100 << 20

	// quickTxns is how many transactions a clean stop leaves to be replayed; with more it saves a snapshot.
	quickTxns = 1000

	acceptPause = 10 * time.Millisecond
)

// Server is a running ZooKeeper server.
type Server struct {
	config   Config
	log      *slog.Logger
	listener net.Listener
	gate     *gate
	inbox    chan event
	durable  atomic.Int64  // the last transaction on disk
	synced   chan struct{} // one element: durable has grown
	quit     chan struct{} // closed when the server is to end
	done     chan struct{} // closed when it has
	counters counters
	started  time.Time
	goes     sync.WaitGroup // all goroutines but the one that ends the server

	mu      sync.Mutex
	err     error              // why it ends; nil if it was asked to
	ending  bool               // quit is closed
	clients map[netip.Addr]int // connections by address
	open    map[*conn]struct{} // all of them
	number  uint64             // of the connection made last
}

// Start opens the data directory and the client port, and serves until Close. ctx bounds the start alone. Errors say
// which key of the configuration is concerned; a directory or port that somebody has wraps ErrDirInUse or ErrPortInUse.
func Start(ctx context.Context, c Config, log *slog.Logger) (*Server, error) {
	return start(ctx, c, log, vfs.OS{})
}

func start(ctx context.Context, c Config, log *slog.Logger, fsys vfs.FS) (_ *Server, err error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	s := &Server{
		config: c.withDefaults(), log: log, inbox: make(chan event, 1024), synced: make(chan struct{}, 1),
		quit: make(chan struct{}), done: make(chan struct{}), started: time.Now(), clients: map[netip.Addr]int{}, open: map[*conn]struct{}{},
	}
	if s.config.DataDir == "" {
		return nil, fmt.Errorf("%w: dataDir is not set", ErrConfig)
	}
	s.gate = newGate(s.config.OutstandingLimit, waitingBytes)
	for _, w := range c.Warnings {
		log.Warn(w)
	}
	store, err := storage.Open(storage.Options{
		Dir: s.config.DataDir, LogDir: s.config.DataLogDir, FS: fsys, PreAllocBytes: s.config.PreAllocBytes, Gzip: s.config.SnapshotGzip,
		Durable: s.onDisk, Failed: s.fail, Logger: log,
	})
	if err != nil {
		return nil, explainDir(err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, store.Close())
		}
	}()
	if s.listener, err = listen(ctx, s.config); err != nil {
		return nil, err
	}
	l, err := s.newLoop(ctx, store)
	if err != nil {
		return nil, errors.Join(err, s.listener.Close())
	}
	accepting := make(chan struct{})
	go func() {
		defer close(accepting)
		s.accept()
	}()
	if s.config.PurgeInterval > 0 {
		s.goes.Go(func() { s.purge(store) })
	}
	go s.serve(l, accepting)
	return s, nil
}

// newLoop reads the directory.
func (s *Server) newLoop(ctx context.Context, store *storage.Store) (*loop, error) {
	opts := tree.Options{SuperDigest: s.config.SuperDigest, SkipACL: s.config.SkipACL, TTLNodes: s.config.ExtendedTypes, ReconfigEnabled: s.config.ReconfigEnabled}
	loaded, replayed, err := load(ctx, store, opts, s.log)
	if err != nil {
		return nil, err
	}
	l := &loop{
		s: s, opts: opts, tree: loaded.tree, watches: tree.NewWatches(), store: store, conns: map[tree.Watcher]*conn{},
		sessions: map[int64]*conn{}, start: s.started, nextSession: firstSession(s.started), durable: loaded.tree.Zxid(),
		latency: newLatency(), sizes: newSizes(), sinceSnapshot: replayed,
	}
	s.durable.Store(l.durable)
	s.counters.digestMismatches.Store(loaded.mismatches)
	l.expiry = newExpiry(max(s.config.TickTime.Milliseconds(), 1), l.nowMs())
	for id, timeoutMs := range l.tree.Sessions {
		l.expiry.touch(id, l.nowMs(), int64(timeoutMs))
	}
	for _, id := range l.tree.Orphans() {
		l.closeSession(id, 0)
	}
	counts := l.tree.Counts()
	s.log.Info("ZooKeeper server serves", "address", s.listener.Addr().String(), "dataDir", s.config.DataDir, "zxid", hexOf(l.tree.Zxid()),
		"nodes", counts.Nodes, "sessions", counts.Sessions, "replayed", replayed, "took", time.Since(s.started).Round(time.Microsecond))
	return l, nil
}

// serve runs the loop, and ends the server when that has ended.
func (s *Server) serve(l *loop, accepting <-chan struct{}) {
	l.run()
	closing := s.listener.Close()
	<-accepting
	for _, c := range s.connections() {
		c.close()
	}
	s.goes.Wait()
	err := s.reason()
	if err == nil && l.sinceSnapshot > quickTxns {
		err = saveAll(l.store, l.tree)
	}
	if closeErr := l.store.Close(); err == nil {
		err = errors.Join(closing, closeErr)
	}
	s.mu.Lock()
	s.err = err
	s.mu.Unlock()
	if err != nil {
		s.log.Error("ZooKeeper server ends", "error", err.Error())
	} else {
		s.log.Info("ZooKeeper server ends", "zxid", hexOf(l.tree.Zxid()))
	}
	close(s.done)
}

// connections gives all that are open.
func (s *Server) connections() []*conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Keys(s.open))
}

// accept takes connections.
func (s *Server) accept() {
	for {
		nc, err := s.listener.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			s.log.Warn("cannot take a connection", "error", err.Error())
			select { // there are no descriptors left, perhaps: some may come free
			case <-time.After(acceptPause):
			case <-s.quit:
				return
			}
			continue
		}
		s.welcome(nc)
	}
}

// welcome gives the loop a new connection, unless its address has too many.
func (s *Server) welcome(nc net.Conn) {
	s.mu.Lock()
	s.number++
	c := newConn(s, nc, s.number)
	n := s.clients[c.remote.Addr()]
	limit := s.config.MaxClientCnxns
	if limit > 0 && n >= limit {
		s.mu.Unlock()
		s.counters.rejected.Add(1)
		s.log.Warn("too many connections", "from", c.remote.Addr().String(), "maxClientCnxns", limit)
		_ = nc.Close()
		return
	}
	s.clients[c.remote.Addr()] = n + 1
	s.open[c] = struct{}{}
	s.mu.Unlock()
	s.post(event{kind: evOpened, c: c})
	s.goes.Go(c.read)
}

// dropped forgets a connection that is closed.
func (s *Server) dropped(c *conn) {
	s.counters.dropped.Add(1)
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, c)
	addr := c.remote.Addr()
	if s.clients[addr]--; s.clients[addr] <= 0 {
		delete(s.clients, addr)
	}
}

// post tells the loop something; false if it has ended.
func (s *Server) post(e event) bool {
	select {
	case s.inbox <- e:
		return true
	case <-s.quit:
		return false
	}
}

// onDisk is called by the storage's goroutine.
func (s *Server) onDisk(zxid int64) {
	s.durable.Store(zxid)
	select {
	case s.synced <- struct{}{}:
	default:
	}
}

// fail ends the server: nothing that it has not acknowledged is acknowledged any more.
func (s *Server) fail(err error) {
	s.stop(fmt.Errorf("the server cannot go on, since a write to its disk failed; every change that was acknowledged is there. Start it again when the disk is in order: %w", err))
}

func (s *Server) stop(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.ending {
		s.ending, s.err = true, err
		close(s.quit)
	}
}

func (s *Server) reason() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// purge removes old snapshots and logs, at the start and then time after time.
func (s *Server) purge(store *storage.Store) {
	t := time.NewTicker(s.config.PurgeInterval)
	defer t.Stop()
	for {
		removed, err := store.Purge(s.config.SnapRetainCount)
		if err != nil {
			s.log.Error("cannot remove old files", "error", err.Error())
		}
		if len(removed) > 0 {
			s.log.Info("removed old files", "files", removed)
		}
		select {
		case <-t.C:
		case <-s.quit:
			return
		}
	}
}

// Addr is where clients connect.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// Done is closed when the server has ended, by Close or because it cannot go on; Err then says why.
func (s *Server) Done() <-chan struct{} { return s.done }

// Err is why the server ended; nil while it runs, and after Close.
func (s *Server) Err() error {
	select {
	case <-s.done:
		return s.reason()
	default:
		return nil
	}
}

// Close ends the server; every reply that it gave is on disk. Sessions live on in a server that opens the directory
// again. It waits until the server has ended, or ctx has: then the server is still ending, see Done.
func (s *Server) Close(ctx context.Context) error {
	s.stop(nil)
	select {
	case <-s.done:
		return s.reason()
	case <-ctx.Done():
		return fmt.Errorf("the ZooKeeper server is still ending: %w", ctx.Err())
	}
}

func (s *Server) port() int {
	if a, ok := s.listener.Addr().(*net.TCPAddr); ok {
		return a.Port
	}
	return s.config.ClientPort
}
