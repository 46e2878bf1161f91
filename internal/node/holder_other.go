//go:build !linux

package node

// portHolder cannot tell who listens at a port on this system.
func portHolder(int) (process, bool) { return process{}, false }

// commandOf cannot tell the command line of a process on this system.
func commandOf(int) string { return "" }
