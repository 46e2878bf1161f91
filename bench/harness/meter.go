package harness

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// Usage is what processes used in a while.
type Usage struct {
	Elapsed time.Duration
	Server  time.Duration // processor time of all of the server's processes
	Client  time.Duration // and of this one, which makes the load
	Machine time.Duration // and of everything on the machine, with interrupts and the kernel's own threads
	RSSAnon int64         // bytes at the end, of all of the server's processes: memory of their own
	RSSFile int64         // and mapped files: programs, indexes
	RSSMost int64         // of the process that had most, both together
}

type meter struct {
	pids                    []int
	started                 time.Time
	server, client, machine time.Duration
}

func newMeter(pids []int) *meter {
	m := &meter{pids: pids}
	m.server, m.client, m.machine = m.used(), CPU(os.Getpid()), machineCPU()
	m.started = time.Now()
	return m
}

func (m *meter) used() (sum time.Duration) {
	for _, pid := range m.pids {
		sum += CPU(pid)
	}
	return sum
}

func (m *meter) stop() Usage {
	u := Usage{Elapsed: time.Since(m.started), Server: m.used() - m.server, Client: CPU(os.Getpid()) - m.client, Machine: machineCPU() - m.machine}
	for _, pid := range m.pids {
		anon, file := Resident(pid)
		u.RSSAnon += anon
		u.RSSFile += file
		u.RSSMost = max(u.RSSMost, anon+file)
	}
	return u
}

const tick = time.Second / 100 // of the times in /proc, on every Linux that Go runs on

// CPU is the processor time that a process has used; zero where the system does not tell.
func CPU(pid int) time.Duration {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	f := strings.Fields(rest)
	if len(f) < 13 {
		return 0
	}
	user, _ := strconv.ParseInt(f[11], 10, 64)
	system, _ := strconv.ParseInt(f[12], 10, 64)
	return time.Duration(user+system) * tick
}

// machineCPU is what all processors have done since the start: not idle, not waiting for a disk, not taken by the host.
func machineCPU() (sum time.Duration) {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0
	}
	line, _, _ := strings.Cut(string(b), "\n")
	for i, f := range strings.Fields(line) {
		if i == 4 || i == 5 || i > 7 || i == 0 {
			continue // "cpu", idle, iowait; guest is in user
		}
		n, _ := strconv.ParseInt(f, 10, 64)
		sum += time.Duration(n) * tick
	}
	return sum
}

// Resident is the memory that a process holds, in bytes: its own, and mapped files (shared memory counts as these).
func Resident(pid int) (anon, file int64) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, 0
	}
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		kb, _ := strconv.ParseInt(f[1], 10, 64)
		switch f[0] {
		case "RssAnon:":
			anon += kb << 10
		case "RssFile:", "RssShmem:":
			file += kb << 10
		}
	}
	return anon, file
}
