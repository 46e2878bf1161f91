package peer

import (
	"errors"
	"syscall"

	"golang.org/x/sys/windows"
)

// IsRefused reports whether nobody listens at the address although its host answers: the process there has ended. A
// timeout or an unreachable host says nothing about the process.
func IsRefused(err error) bool {
	return errors.Is(err, windows.WSAECONNREFUSED) || errors.Is(err, syscall.ECONNREFUSED)
}

func isReset(err error) bool {
	return errors.Is(err, windows.WSAECONNRESET) || errors.Is(err, windows.WSAECONNABORTED) || errors.Is(err, syscall.ECONNRESET)
}
