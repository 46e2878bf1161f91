package peer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"gregor/internal/wire"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// write is the writer goroutine: all requests that wait in one system call.
func (c *Conn) write() {
	var batch, vectors net.Buffers
	for range c.wake {
		c.mu.Lock()
		if c.err != nil {
			c.mu.Unlock()
			return
		}
		if c.writing || len(c.out) == 0 { // who writes wakes us if there is more
			c.mu.Unlock()
			continue
		}
		batch, c.out = append(batch[:0], c.out...), c.out[:0]
		c.writing = true
		c.mu.Unlock()
		size := 0
		vectors = vectors[:0]
		for _, b := range batch {
			size += len(b)
			vectors = append(vectors, b)
		}
		if err := c.writeAll(vectors); err != nil {
			c.fail(c.explain(err))
			return
		}
		for i, b := range batch {
			c.pool.Put(b)
			batch[i] = nil
		}
		c.mu.Lock()
		c.writing = false
		c.outSize -= size
		c.mu.Unlock()
	}
}

// writeAll gives up when the peer takes nothing for the timeout.
func (c *Conn) writeAll(v net.Buffers) error {
	for len(v) > 0 {
		if err := c.net.SetWriteDeadline(time.Now().Add(c.o.Timeout)); err != nil {
			return err
		}
		n, err := v.WriteTo(c.net)
		if err != nil && (n == 0 || !errors.Is(err, os.ErrDeadlineExceeded)) {
			return err
		}
	}
	_ = c.net.SetWriteDeadline(time.Time{}) // who writes directly never waits; that the connection has ended the reader tells
	return nil
}

// read is the reader goroutine. It alone tells requests of their outcome, so they hear of it in order.
func (c *Conn) read() {
	frames := wire.NewFrameReader(c.net, &c.pool, nil)
	frames.FewSizes = true
	for {
		frame, err := frames.Read(c.o.MaxResponseBytes)
		if err == nil {
			err = c.answer(frame)
		}
		if err != nil {
			c.fail(c.explain(err))
			break
		}
	}
	c.mu.Lock()
	rest, err := c.pending, c.err
	c.pending = nil
	c.mu.Unlock()
	for _, p := range rest {
		p.done(nil, nil, err)
	}
	close(c.done)
}

// answer gives a response to the request that has waited longest, to which it must belong.
func (c *Conn) answer(frame *wire.Frame) error {
	if len(frame.Bytes) < 4 {
		frame.Release()
		return fmt.Errorf("%w: response of %d bytes", ErrProtocol, len(frame.Bytes))
	}
	id := int32(binary.BigEndian.Uint32(frame.Bytes))
	c.mu.Lock()
	if len(c.pending) == 0 || c.pending[0].id != id {
		n := len(c.pending)
		c.mu.Unlock()
		frame.Release()
		return fmt.Errorf("%w: response with correlation id %d to none of %d requests", ErrProtocol, id, n)
	}
	p := c.pending[0]
	c.pending[0] = pending{}
	if c.pending = c.pending[1:]; len(c.pending) == 0 {
		c.pending = nil
		_ = c.net.SetReadDeadline(time.Time{})
	} else {
		_ = c.net.SetReadDeadline(time.Now().Add(c.o.Timeout))
	}
	c.mu.Unlock()
	if err := decode(p, frame.Bytes[4:]); err != nil {
		frame.Release()
		err = fmt.Errorf("%w: response to %s version %d: %w", ErrProtocol, kmsg.NameForKey(p.resp.Key()), p.resp.GetVersion(), err)
		p.done(nil, nil, err)
		return err
	}
	if !p.pooled {
		frame.Abandon() // the response may hold parts of the buffer
	}
	p.done(p.resp, frame, nil)
	return nil
}

// decode reads a response behind its correlation id.
func decode(p pending, body []byte) (err error) {
	if p.resp.IsFlexible() && p.resp.Key() != wire.ApiVersionsKey {
		if body, err = wire.SkipTags(body); err != nil {
			return err
		}
	}
	if r, ok := p.resp.(versionsResponse); ok {
		r.look(body)
	}
	if p.resp.Key() < FirstPrivateKey {
		// kmsg takes memory on the word of a count.
		if _, err := wire.ResponseShapes().Check(p.resp.Key(), p.resp.GetVersion(), body); err != nil {
			return err
		}
	}
	if unsafe, ok := p.resp.(kmsg.UnsafeReadFrom); ok && p.pooled {
		return unsafe.UnsafeReadFrom(body)
	}
	return p.resp.ReadFrom(body)
}

// explain says in our words why a connection ended.
func (c *Conn) explain(err error) error {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("%w: %s, nothing for %s", ErrTimeout, c.o.Addr, c.o.Timeout)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, wire.ErrFrameTruncated), isReset(err):
		return fmt.Errorf("%w: %s: %w", ErrPeerClosed, c.o.Addr, err)
	case errors.Is(err, wire.ErrFrameSize):
		return fmt.Errorf("%w: %s: %w", ErrProtocol, c.o.Addr, err)
	}
	return fmt.Errorf("connection to %s: %w", c.o.Addr, err)
}
