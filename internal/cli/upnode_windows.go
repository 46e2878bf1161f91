package cli

import (
	"os/exec"
	"syscall"
)

// apart gives a process a group of its own: Ctrl-C reaches up alone, which ends its brokers itself.
func apart(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{CreationFlags: syscall.CREATE_NEW_PROCESS_GROUP}
}
