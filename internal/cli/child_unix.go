//go:build !windows

package cli

import (
	"os/exec"
	"syscall"
)

// apart gives a process a group of its own: Ctrl-C reaches its parent alone, which ends its children itself.
func apart(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }
