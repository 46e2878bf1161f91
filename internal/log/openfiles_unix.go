//go:build unix

package log

import "golang.org/x/sys/unix"

// maxOpenFiles is how many segment files are kept open: half of what the process may open, the rest is for connections.
func maxOpenFiles() int64 {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 512
	}
	return int64(min(uint64(limit.Cur)/2, 1<<20))
}
