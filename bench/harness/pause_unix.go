//go:build !windows

package harness

import "syscall"

// pause stops processes where they stand, so that what idles does not take time from what is measured.
func pause(pids []int) {
	for _, pid := range pids {
		_ = syscall.Kill(pid, syscall.SIGSTOP)
	}
}

func resume(pids []int) {
	for _, pid := range pids {
		_ = syscall.Kill(pid, syscall.SIGCONT)
	}
}
