//go:build !linux

package holder

// OfPort cannot tell who listens at a port on this system.
func OfPort(int) (Process, bool) { return Process{}, false }

// CommandOf cannot tell the command line of a process on this system.
func CommandOf(int) string { return "" }
