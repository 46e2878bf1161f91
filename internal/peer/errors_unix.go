//go:build !windows

package peer

import (
	"errors"
	"syscall"
)

// IsRefused reports whether nobody listens at the address although its host answers: the process there has ended. A
// timeout or an unreachable host says nothing about the process.
func IsRefused(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }

func isReset(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNABORTED)
}
