//go:build !linux && !darwin

package cli

import "os"

// isTerminal tells whether a person sits at the other end of a reader or writer.
func isTerminal(v any) bool {
	f, ok := v.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// columns is the width of a terminal: what most have at least.
func columns(any) int { return 80 }

// survivePipe does nothing: without SIGPIPE a write to a pipe that nobody reads is an error anyway.
func survivePipe() (stop func()) { return func() {} }
