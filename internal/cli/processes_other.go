//go:build !linux

package cli

import (
	"os/exec"
	"strconv"
	"strings"
)

// runningProcesses lists the processes of this machine, as ps tells them: an argument with blanks comes as several.
func runningProcesses() ([]runningProcess, error) {
	text, err := exec.Command("ps", "ax", "-o", "pid=,command=").Output()
	if err != nil {
		return nil, err
	}
	var all []runningProcess
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		if pid, err := strconv.Atoi(f[0]); err == nil {
			all = append(all, runningProcess{pid: pid, args: f[1:]})
		}
	}
	return all, nil
}
