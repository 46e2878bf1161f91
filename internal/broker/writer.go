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

// What is written at once: replies, those that were joined counted as one, and bytes of heads.
const (
	maxReplies    = 16
	maxReplyBytes = 256 << 10
)

// write writes replies in the order of requests, all that are ready in one system call, until there are none. The caller
// has the right to write, and may have to wait for the peer.
func (c *Conn) write() {
	var some [maxReplies]outgoing
	for {
		batch, ok := c.replies.take(some[:0], maxReplyBytes)
		if !ok {
			return
		}
		err := c.out.replies(batch)
		for i := range batch {
			batch[i].free(&c.server.pool)
		}
		if err != nil {
			c.sendFailed(err)
			continue
		}
		c.touch()
	}
}

// run implements [task].
func (c *Conn) run() { c.write() }

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
// served for as long as it needs. Where it can it sets a deadline only when the peer does not take everything at once.
type progressConn struct {
	net.Conn
	timeout func() time.Duration
	raw     syscall.RawConn // nil if the connection has no descriptor
	timed   bool            // a deadline is set
	vectors net.Buffers
	rawWriter

	attempt func(fd uintptr) bool // one of progressRaw, made once
	current func(fd uintptr) bool // what it attempts
}

func newProgressConn(c net.Conn, timeout func() time.Duration) *progressConn {
	w := &progressConn{Conn: c, timeout: timeout}
	if sc, ok := c.(syscall.Conn); ok {
		if raw, err := sc.SyscallConn(); err == nil {
			w.raw = progressRaw{raw, w}
			w.attempt = func(fd uintptr) bool {
				done := w.current(fd)
				if !done {
					_ = w.renew()
				}
				return done
			}
		}
	}
	return w
}

func (w *progressConn) renew() error {
	w.timed = true
	return w.SetWriteDeadline(time.Now().Add(w.timeout()))
}

// replies writes the heads and then the ranges of the last reply; the others have none.
func (w *progressConn) replies(batch []outgoing) error {
	if len(batch) == 0 {
		return nil
	}
	last := &batch[len(batch)-1]
	if len(last.parts) > 0 {
		if err := w.heads(batch[:len(batch)-1]); err != nil {
			return err
		}
		if handled, err := w.announce(last.head); err != nil {
			return err
		} else if handled {
			batch = nil
		} else {
			batch = batch[len(batch)-1:]
		}
	}
	if err := w.heads(batch); err != nil {
		return err
	}
	for i := range last.parts {
		if err := w.part(&last.parts[i]); err != nil {
			return err
		}
	}
	return nil
}

// heads writes the heads of all, with writev where the system has it.
func (w *progressConn) heads(batch []outgoing) error {
	switch len(batch) {
	case 0:
		return nil
	case 1:
		_, err := w.Write(batch[0].head)
		return err
	}
	v := w.vectors[:0]
	for i := range batch {
		v = append(v, batch[i].head)
	}
	w.vectors = v
	defer clear(v)
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
	if w.raw != nil && canWriteRaw {
		return w.writeRaw(w.raw, b)
	}
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

// Write calls f, which is to write without waiting, until it is done, and has as long for each wait as the timeout says.
func (r progressRaw) Write(f func(fd uintptr) (done bool)) error {
	if r.w.timed { // by the wait before, which may be long ago
		if err := r.w.SetWriteDeadline(time.Time{}); err != nil {
			return err
		}
		r.w.timed = false
	}
	r.w.current = f
	defer func() { r.w.current = nil }()
	return r.RawConn.Write(r.w.attempt)
}
