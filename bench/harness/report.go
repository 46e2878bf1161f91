package harness

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"runtime"
	"strings"
)

// Report is what was measured.
type Report struct {
	Machine Machine   `json:"machine"`
	Cases   []Outcome `json:"cases"`
}

// Machine is where.
type Machine struct {
	CPU    string `json:"cpu"`
	Cores  int    `json:"cores"`
	Kernel string `json:"kernel"`
	MemMB  int64  `json:"memory_mb"`
	Go     string `json:"go"`
}

// ThisMachine looks.
func ThisMachine() Machine {
	m := Machine{Cores: runtime.NumCPU(), Go: runtime.Version()}
	field := func(path, key string) string {
		b, _ := os.ReadFile(path)
		for line := range strings.Lines(string(b)) {
			if k, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(k) == key {
				return strings.TrimSpace(v)
			}
		}
		return ""
	}
	m.CPU = field("/proc/cpuinfo", "model name")
	release, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	m.Kernel, _, _ = strings.Cut(strings.TrimSpace(string(release)), "-")
	fmt.Sscan(field("/proc/meminfo", "MemTotal"), &m.MemMB)
	m.MemMB >>= 10
	return m
}

// WriteFile writes all of it, run by run.
func (r Report) WriteFile(path string) error {
	b, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(b, '\n'), 0o644)
}

// Peers are the servers that others are compared with.
const (
	ApacheName = "apache"
	LimitName  = "limit"
)

// Table writes the case: a line for each server.
func (o Outcome) Table() string {
	var b strings.Builder
	main := describe(o.Main)
	fmt.Fprintf(&b, "| %s | %s (least-most) |", o.Title, o.Main)
	line := "|---|---:|"
	peers := []string{}
	for _, p := range []string{ApacheName, LimitName} {
		if o.Column(p) != nil && len(o.Columns) > 1 {
			peers = append(peers, p)
			fmt.Fprintf(&b, " to %s |", p)
			line += "---:|"
		}
	}
	for _, name := range o.Show {
		fmt.Fprintf(&b, " %s |", name)
		line += "---:|"
	}
	b.WriteString("\n" + line + "\n")
	for _, c := range o.Columns {
		s := c.Spread(o.Main)
		fmt.Fprintf(&b, "| %s | %s (%s-%s) |", c.Server, main.show(s.Median), main.show(s.Least), main.show(s.Most))
		for _, p := range peers {
			fmt.Fprintf(&b, " %s |", ratio(s.Median, o.Column(p).Spread(o.Main).Median))
		}
		for _, name := range o.Show {
			m := c.Spread(name).Median
			b.WriteString(" " + describe(name).show(m))
			var to []string
			for _, p := range peers {
				if p != c.Server {
					to = append(to, ratio(m, o.Column(p).Spread(name).Median))
				}
			}
			if !math.IsNaN(m) && len(to) > 0 {
				fmt.Fprintf(&b, " (%s)", strings.Join(to, ", "))
			}
			b.WriteString(" |")
		}
		b.WriteString("\n")
	}
	return b.String()
}

// ratio is empty where there is none.
func ratio(a, b float64) string {
	r := a / b
	switch {
	case math.IsNaN(r) || math.IsInf(r, 0):
		return ""
	case r >= 100:
		return fmt.Sprintf("%.0fx", r)
	case r >= 10:
		return fmt.Sprintf("%.1fx", r)
	}
	return fmt.Sprintf("%.2fx", r)
}
