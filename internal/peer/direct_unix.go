//go:build unix

package peer

import (
	"net"
	"syscall"
)

// direct writes to a socket without ever waiting for it.
type direct struct {
	raw  syscall.RawConn
	step func(fd uintptr) bool // write, made once
	b    []byte
	n    int
}

// newDirect returns nil if the connection is not a socket.
func newDirect(c net.Conn) *direct {
	sc, ok := c.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return nil
	}
	d := &direct{raw: raw}
	d.step = d.write
	return d
}

// try gives the socket as much of b as it takes at once. Whoever writes the rest, or tries again, meets the error that
// there may be.
func (d *direct) try(b []byte) (n int) {
	d.b, d.n = b, 0
	_ = d.raw.Write(d.step)
	d.b = nil
	return d.n
}

func (d *direct) write(fd uintptr) bool {
	for d.n < len(d.b) {
		n, err := syscall.Write(int(fd), d.b[d.n:])
		if err == nil {
			d.n += n
		} else if err != syscall.EINTR {
			break
		}
	}
	return true
}
