package zookeeper

import (
	"context"
	"log/slog"
	"net"
	"sync"
)

// Server is a running ZooKeeper server.
type Server struct {
	config   Config
	log      *slog.Logger
	listener net.Listener
	done     chan struct{}
	end      sync.Once
	err      error // why it ended; nil after Close
}

// Start opens the data directory and the client port, and serves until Close. ctx bounds the start alone.
func Start(ctx context.Context, c Config, log *slog.Logger) (*Server, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	s := &Server{config: c.withDefaults(), log: log, done: make(chan struct{})}
	var err error
	if s.listener, err = listen(ctx, s.config); err != nil {
		return nil, err
	}
	return s, nil
}

// Addr is where clients connect.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// Done is closed when the server has ended, by Close or because it cannot go on; Err then says why.
func (s *Server) Done() <-chan struct{} { return s.done }

// Err is why the server ended; nil while it runs, and after Close.
func (s *Server) Err() error {
	select {
	case <-s.done:
		return s.err
	default:
		return nil
	}
}

// Close ends the server: every reply that it gave is on disk. Sessions live on in a server that opens the directory again.
func (s *Server) Close(context.Context) error {
	s.end.Do(func() {
		s.err = s.listener.Close()
		close(s.done)
	})
	<-s.done
	return s.err
}
