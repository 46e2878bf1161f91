// Package holder names the process that is in the way: that listens at a port, or holds a lock, which this one needs.
package holder

import "strconv"

// Process is somebody who holds what this process needs.
type Process struct {
	PID     int
	Command string // "" if it is not known
}

func (p Process) String() string {
	s := "process " + strconv.Itoa(p.PID)
	if p.Command != "" {
		s += " (" + p.Command + ")"
	}
	return s
}
