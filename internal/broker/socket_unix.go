//go:build unix

package broker

import (
	"io"
	"net"
	"os"
	"syscall"

	"gregor/internal/wire"
)

// frameSource is what a connection's frames are read from: the socket itself, if it is one.
func frameSource(c net.Conn) io.Reader {
	sc, ok := c.(syscall.Conn)
	if !ok {
		return c
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return c
	}
	r := &rawReader{raw: raw}
	r.step = r.read
	return r
}

// rawReader reads a socket. It implements [wire.PooledReader]: memory is taken when there is something to read.
type rawReader struct {
	raw  syscall.RawConn
	step func(fd uintptr) bool // read, made once

	buf  []byte
	n    int
	err  error
	pool *wire.Pool // nil: buf is the caller's
	size int
}

func (r *rawReader) Read(p []byte) (int, error) {
	r.pool, r.buf = nil, p
	err := r.once()
	r.buf = nil
	return r.n, err
}

func (r *rawReader) ReadPooled(pool *wire.Pool, size int) ([]byte, int, error) {
	r.pool, r.size = pool, size
	err := r.once()
	buf := r.buf
	r.buf = nil
	return buf, r.n, err
}

func (r *rawReader) once() error {
	r.n, r.err = 0, nil
	if err := r.raw.Read(r.step); err != nil {
		return err
	}
	return r.err
}

// read tries once; it reports false if there is nothing to read yet.
func (r *rawReader) read(fd uintptr) bool {
	if r.pool != nil {
		r.buf = r.pool.Get(r.size)
	}
	n, err := syscall.Read(int(fd), r.buf)
	for err == syscall.EINTR {
		n, err = syscall.Read(int(fd), r.buf)
	}
	switch {
	case n > 0:
		r.n = n
		return true
	case err == nil && len(r.buf) > 0:
		r.err = io.EOF
	case err != nil && err != syscall.EAGAIN:
		r.err = os.NewSyscallError("read", err)
	}
	if r.pool != nil {
		r.pool.Put(r.buf)
		r.buf = nil
	}
	return err != syscall.EAGAIN
}

// rawWriter is what writeRaw needs, made once.
type rawWriter struct {
	step func(fd uintptr) bool
	rest []byte
	err  error
}

const canWriteRaw = true

// writeRaw writes all of b.
func (w *rawWriter) writeRaw(raw syscall.RawConn, b []byte) (int, error) {
	if w.step == nil {
		w.step = w.write
	}
	w.rest, w.err = b, nil
	err := raw.Write(w.step)
	if err == nil {
		err = w.err
	}
	n := len(b) - len(w.rest)
	w.rest = nil
	return n, err
}

func (w *rawWriter) write(fd uintptr) bool {
	for len(w.rest) > 0 {
		n, err := syscall.Write(int(fd), w.rest)
		switch err {
		case nil:
			w.rest = w.rest[n:]
		case syscall.EINTR:
		case syscall.EAGAIN:
			return false
		default:
			w.err = os.NewSyscallError("write", err)
			return true
		}
	}
	return true
}
