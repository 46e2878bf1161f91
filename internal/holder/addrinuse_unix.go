//go:build !windows

package holder

import (
	"errors"
	"syscall"
)

// IsAddrInUse tells whether listening failed because somebody else listens there.
func IsAddrInUse(err error) bool { return errors.Is(err, syscall.EADDRINUSE) }
