package broker

import (
	"context"
	"errors"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// close stops accepting and reading, lets replies leave until ctx ends, then closes what is left and waits for every
// goroutine.
func (s *server) close(ctx context.Context) error {
	s.mu.Lock()
	s.closing = true
	for l := range s.listeners {
		_ = l.Close()
	}
	conns := make([]*Conn, 0, len(s.conns))
	for c := range s.conns {
		conns = append(conns, c)
	}
	s.mu.Unlock()

	// All at the same time: one that takes long does not hold up the others.
	stop := context.AfterFunc(ctx, func() {
		for _, c := range conns {
			c.close("shutting down")
		}
	})
	var drained sync.WaitGroup
	for _, c := range conns {
		drained.Go(c.drain)
	}
	drained.Wait()
	stop()
	s.unsubscribe()
	s.mu.Lock()
	s.cancel() // nothing is started from here on
	s.mu.Unlock()
	s.wg.Wait()
	return nil
}

// janitor closes connections on which nothing has moved for connections.max.idle.ms. A connection that waits for a
// reply is not idle.
func (s *server) janitor() {
	for {
		idle := s.limits.Load().idle
		t := time.NewTimer(min(max(idle/4, 10*time.Millisecond), 10*time.Second))
		select {
		case <-t.C:
		case <-s.ctx.Done():
			t.Stop()
			return
		}
		if idle <= 0 {
			continue
		}
		before := time.Now().Add(-idle).UnixNano()
		s.mu.Lock()
		var expired []*Conn
		for c := range s.conns {
			if c.active.Load() < before && c.replies.pending() == 0 {
				expired = append(expired, c)
			}
		}
		s.mu.Unlock()
		for _, c := range expired {
			c.close("idle")
		}
	}
}

func isReset(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, io.ErrClosedPipe) || errors.Is(err, syscall.ECONNABORTED)
}

// isTemporary tells the errors of Accept that pass.
func isTemporary(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) || errors.Is(err, syscall.ENOBUFS) ||
		errors.Is(err, syscall.ENOMEM) || errors.Is(err, syscall.ECONNABORTED) || errors.Is(err, syscall.EINTR)
}

// perIPOverrides reads max.connections.per.ip.overrides: "host:count,...". Hosts are resolved when the configuration is
// read.
func perIPOverrides(s string) map[string]int {
	m := make(map[string]int)
	for _, part := range strings.Split(s, ",") {
		i := strings.LastIndexByte(part, ':')
		if i < 0 {
			continue
		}
		host, count := strings.TrimSpace(part[:i]), strings.TrimSpace(part[i+1:])
		n, err := strconv.Atoi(count)
		if err != nil {
			continue
		}
		m[strings.Trim(host, "[]")] = n
		if addrs, err := net.LookupHost(host); err == nil {
			for _, a := range addrs {
				m[a] = n
			}
		}
	}
	return m
}
