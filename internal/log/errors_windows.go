package log

import (
	"errors"
	"syscall"
)

// 112 is ERROR_DISK_FULL, 39 ERROR_HANDLE_DISK_FULL.
func isQuota(err error) bool {
	return errors.Is(err, syscall.Errno(112)) || errors.Is(err, syscall.Errno(39))
}
