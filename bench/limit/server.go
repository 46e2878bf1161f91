package limit

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"strconv"
	"sync"
)

// socketBytes is the size of the buffers of a socket whose client reads, as Kafka sets it by default: measured, a fetch then
// takes a third less than with those that the system chooses, and a produce request takes a third more.
const socketBytes = 102400

// Options says how the server runs.
type Options struct {
	Dir          string
	Addr         string // host:port to listen on
	Partitions   int    // of every topic: a topic is there as soon as it is named
	Flush        bool   // acknowledge what is on disk
	SegmentBytes int64  // of a file; 0: 64 MiB
	RetainBytes  int64  // of full files of a partition; 0: everything
}

// Server is a running one.
type Server struct {
	options  Options
	listener net.Listener
	host     string
	port     int32
	wg       sync.WaitGroup
	cancel   context.CancelFunc

	mu         sync.Mutex
	partitions map[string][]*partition // by topic
	conns      map[net.Conn]struct{}
}

// Start listens, and serves until Close.
func Start(ctx context.Context, o Options) (*Server, error) {
	if o.SegmentBytes == 0 {
		o.SegmentBytes = 64 << 20
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", o.Addr)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	s := &Server{options: o, listener: l, cancel: cancel, partitions: map[string][]*partition{}, conns: map[net.Conn]struct{}{}}
	host, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		return nil, err
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		return nil, err
	}
	s.host, s.port = host, int32(n)
	s.wg.Go(func() { s.accept(ctx) })
	return s, nil
}

// Addr is the address that it listens on.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// Close ends every connection. The files stay.
func (s *Server) Close() error {
	s.cancel()
	err := s.listener.Close()
	s.mu.Lock()
	for c := range s.conns {
		c.Close()
	}
	s.mu.Unlock()
	s.wg.Wait()
	for _, topic := range s.partitions {
		for _, p := range topic {
			for _, g := range p.segments {
				err = errors.Join(err, g.file.Close())
			}
		}
	}
	return err
}

func (s *Server) accept(ctx context.Context) {
	for {
		c, err := s.listener.Accept()
		if err != nil {
			return // closed
		}
		s.mu.Lock()
		s.conns[c] = struct{}{}
		s.mu.Unlock()
		s.wg.Go(func() {
			defer c.Close()
			// What ends a connection is the client, or a request that the client should not have sent: it sees the end.
			_ = (&conn{server: s, c: c}).serve(ctx)
			s.mu.Lock()
			delete(s.conns, c)
			s.mu.Unlock()
		})
	}
}

// partition returns a partition of a topic, which there is from now on.
func (s *Server) partition(topic []byte, index int32) *partition {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.partitions[string(topic)]
	if all == nil {
		all = make([]*partition, s.options.Partitions)
		for i := range all {
			all[i] = newPartition(&s.options, filepath.Join(s.options.Dir, string(topic)+"-"+strconv.Itoa(i)))
		}
		s.partitions[string(topic)] = all
	}
	if index < 0 || int(index) >= len(all) {
		return nil
	}
	return all[index]
}
