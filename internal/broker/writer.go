package broker

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"time"

	"gregor/internal/wire"
)

// write is the writer goroutine: replies in the order of requests, all that are ready in one system call.
func (c *Conn) write() {
	w := newProgressConn(c.net, func() time.Duration { return c.server.limits.Load().idle })
	var batch []outgoing
	var vectors net.Buffers
	for {
		var ok bool
		if batch, ok = c.replies.take(batch[:0], 256<<10); !ok {
			return
		}
		n := 0
		vectors = vectors[:0]
		for i := range batch {
			n += len(batch[i].buf)
			vectors = append(vectors, batch[i].head)
		}
		err := w.replies(vectors, batch)
		for i := range batch {
			batch[i].free(&c.server.pool)
		}
		if err != nil {
			c.sendFailed(err)
			return
		}
		c.replies.sent(n)
		c.touch()
	}
}

func (c *Conn) sendFailed(err error) {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		c.server.b.log.Warn("closing connection: the peer does not read its replies", "peer", c.net.RemoteAddr().String(),
			"listener", c.listener, "timeout", c.server.limits.Load().idle.String())
		c.close("peer does not read")
		return
	}
	if !isReset(err) && !errors.Is(err, net.ErrClosed) {
		c.server.b.log.Warn("closing connection: reply cannot be written", "peer", c.net.RemoteAddr().String(), "listener", c.listener, "error", err.Error())
	}
	c.close("write failed")
}

// progressConn gives up when the peer takes nothing for the timeout; a slow peer that takes a little each time is
// served for as long as it needs.
type progressConn struct {
	net.Conn
	timeout func() time.Duration
	raw     syscall.RawConn // nil if the connection has no descriptor
}

func newProgressConn(c net.Conn, timeout func() time.Duration) *progressConn {
	w := &progressConn{Conn: c, timeout: timeout}
	if sc, ok := c.(syscall.Conn); ok {
		if raw, err := sc.SyscallConn(); err == nil {
			w.raw = progressRaw{raw, w}
		}
	}
	return w
}

func (w *progressConn) renew() error { return w.SetWriteDeadline(time.Now().Add(w.timeout())) }

// replies writes the heads and then the ranges of the last reply; the others have none.
func (w *progressConn) replies(heads net.Buffers, batch []outgoing) error {
	if len(batch) == 0 {
		return nil
	}
	last := &batch[len(batch)-1]
	if len(last.parts) > 0 {
		if err := w.buffers(heads[:len(heads)-1]); err != nil {
			return err
		}
		if handled, err := w.announce(last.head); err != nil {
			return err
		} else if handled {
			heads = nil
		} else {
			heads = heads[len(heads)-1:]
		}
	}
	if err := w.buffers(heads); err != nil {
		return err
	}
	for i := range last.parts {
		if err := w.part(&last.parts[i]); err != nil {
			return err
		}
	}
	return nil
}

// buffers writes all vectors, with writev where the system has it.
func (w *progressConn) buffers(v net.Buffers) error {
	for len(v) > 0 {
		if err := w.renew(); err != nil {
			return err
		}
		n, err := v.WriteTo(w.Conn)
		if err != nil && (n == 0 || !errors.Is(err, os.ErrDeadlineExceeded)) {
			return err
		}
	}
	return nil
}

// part writes a range of a file and what follows it.
func (w *progressConn) part(p *wire.Part) error {
	n, err := p.Range.WriteTo(w)
	if err == nil && n != int64(p.Range.Len()) {
		err = fmt.Errorf("range of a file gave %d of %d bytes: %w", n, p.Range.Len(), io.ErrUnexpectedEOF)
	}
	if err == nil {
		_, err = w.Write(p.After)
	}
	return err
}

func (w *progressConn) Write(b []byte) (int, error) {
	for done := 0; ; {
		if err := w.renew(); err != nil {
			return done, err
		}
		n, err := w.Conn.Write(b[done:])
		done += n
		if done == len(b) || n == 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			return done, err
		}
	}
}

// SyscallConn lets a range of a file be sent with sendfile. Each time the socket takes more the deadline starts anew.
func (w *progressConn) SyscallConn() (syscall.RawConn, error) {
	if w.raw == nil {
		return nil, errors.ErrUnsupported
	}
	return w.raw, nil
}

type progressRaw struct {
	syscall.RawConn
	w *progressConn
}

func (r progressRaw) Write(f func(fd uintptr) (done bool)) error {
	if err := r.w.renew(); err != nil {
		return err
	}
	return r.RawConn.Write(func(fd uintptr) bool {
		done := f(fd)
		if !done {
			_ = r.w.renew()
		}
		return done
	})
}
