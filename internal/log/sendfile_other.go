//go:build !linux

package log

import "syscall"

// sendfile is not used here: the caller copies.
func sendfile(syscall.Conn, int, int64, int) (sent int64, handled bool, err error) {
	return 0, false, nil
}
