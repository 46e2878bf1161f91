package cli

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// runningProcesses lists the processes of this machine.
func runningProcesses() ([]runningProcess, error) {
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		return nil, err
	}
	var all []runningProcess
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil || len(text) == 0 {
			continue // ended, or a thread of the kernel
		}
		proc := filepath.Dir(file)
		pid, err := strconv.Atoi(filepath.Base(proc))
		if err != nil {
			continue
		}
		dir, _ := os.Readlink(filepath.Join(proc, "cwd"))
		all = append(all, runningProcess{pid, strings.Split(strings.TrimRight(string(text), "\x00"), "\x00"), dir})
	}
	return all, nil
}
