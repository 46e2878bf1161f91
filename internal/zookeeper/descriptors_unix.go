//go:build !windows

package zookeeper

import (
	"os"
	"syscall"
)

// descriptors counts the files that this process has open, -1 if that cannot be told, and how many it may.
func descriptors() (open, most int64) {
	open = -1
	if list, err := os.ReadDir("/dev/fd"); err == nil {
		open = int64(len(list))
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return open, -1
	}
	return open, int64(limit.Cur)
}
