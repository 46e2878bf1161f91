package holder

import "os"

// OfLock names the process that holds a lock, by the id that it left there; 0 if it left none.
func OfLock(pid int) string {
	switch {
	case pid == os.Getpid():
		return "this process"
	case pid > 0:
		return Process{PID: pid, Command: CommandOf(pid)}.String()
	}
	return "another process"
}
