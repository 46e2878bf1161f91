package holder

import (
	"errors"

	"golang.org/x/sys/windows"
)

// IsAddrInUse tells whether listening failed because somebody else listens there.
func IsAddrInUse(err error) bool { return errors.Is(err, windows.WSAEADDRINUSE) }
