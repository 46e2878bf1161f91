package broker

import (
	"os"
	"syscall"
)

// announce writes bytes that a range of a file follows at once, and tells the kernel so: the head of the response then
// leaves in one packet with the first records. handled is false if that cannot be said of this connection.
func (w *progressConn) announce(b []byte) (handled bool, err error) {
	raw, err := w.SyscallConn()
	if err != nil {
		return false, nil
	}
	var failure error
	err = raw.Write(func(fd uintptr) (done bool) {
		for len(b) > 0 {
			n, err := syscall.SendmsgN(int(fd), b, nil, nil, syscall.MSG_MORE|syscall.MSG_NOSIGNAL)
			switch err {
			case nil:
				b = b[n:]
			case syscall.EINTR:
			case syscall.EAGAIN:
				return false
			default:
				failure = os.NewSyscallError("sendmsg", err)
				return true
			}
		}
		return true
	})
	if err == nil {
		err = failure
	}
	return true, err
}
