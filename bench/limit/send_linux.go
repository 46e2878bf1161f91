package limit

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// sendSpan sends a reply's head and what it heads: one send, which says that more comes, and one sendfile.
func sendSpan(c net.Conn, head []byte, r span) error {
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	at, left := r.at, int(r.bytes)
	from := int(r.segment.file.Fd())
	err = raw.Write(func(fd uintptr) bool {
		for len(head) > 0 {
			n, err := unix.SendmsgN(int(fd), head, nil, nil, unix.MSG_MORE)
			if err == syscall.EAGAIN {
				return false
			}
			if err != nil {
				failed = err
				return true
			}
			head = head[n:]
		}
		for left > 0 {
			n, err := unix.Sendfile(int(fd), from, &at, left)
			if err == syscall.EAGAIN {
				return false
			}
			if err != nil {
				failed = err
				return true
			}
			left -= n
		}
		return true
	})
	if failed != nil {
		return failed
	}
	return err
}
