package log

import (
	"io"
	"os"
	"syscall"
)

// maxSendfile is the most that one call moves (see sendfile(2)).
const maxSendfile = 0x7ffff000

// sendfile sends n bytes of a file from an explicit offset to a socket. handled is false if the kernel cannot do it for
// this pair of descriptors, and nothing was sent.
func sendfile(conn syscall.Conn, file int, offset int64, n int) (sent int64, handled bool, err error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, false, nil
	}
	var failure error
	err = raw.Write(func(fd uintptr) (done bool) {
		for sent < int64(n) {
			at := offset + sent
			m, err := syscall.Sendfile(int(fd), file, &at, int(min(int64(n)-sent, maxSendfile)))
			if m > 0 {
				sent += int64(m)
			}
			switch {
			case err == syscall.EINTR:
			case err == syscall.EAGAIN:
				return false // wait until the socket takes more
			case err != nil:
				failure = err
				return true
			case m == 0:
				failure = io.ErrUnexpectedEOF
				return true
			}
		}
		return true
	})
	if err == nil {
		err = failure
	}
	if sent == 0 && (err == syscall.EINVAL || err == syscall.ENOSYS || err == syscall.EOPNOTSUPP) {
		return 0, false, nil
	}
	if errno, ok := err.(syscall.Errno); ok {
		err = os.NewSyscallError("sendfile", errno)
	}
	return sent, true, err
}
