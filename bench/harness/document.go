package harness

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
)

// ReadReport reads what WriteFile wrote; a file that is not there is an empty report.
func ReadReport(path string) (r Report, err error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return r, nil
	}
	if err != nil {
		return r, err
	}
	if err := json.Unmarshal(b, &r); err != nil {
		return r, fmt.Errorf("%s: %w", path, err)
	}
	return r, nil
}

// Merge puts the cases of a newer report in the place of those of the same name; order is that of names.
func (r Report) Merge(newer Report, names []string) Report {
	for _, o := range r.Cases {
		if !slices.ContainsFunc(newer.Cases, func(n Outcome) bool { return n.Name == o.Name }) {
			newer.Cases = append(newer.Cases, o)
		}
	}
	slices.SortStableFunc(newer.Cases, func(a, b Outcome) int { return slices.Index(names, a.Name) - slices.Index(names, b.Name) })
	return newer
}

// Figures writes all tables, with what made them.
func (r Report) Figures() string {
	var b strings.Builder
	m := r.Machine
	fmt.Fprintf(&b, "%s, %d processors, %d MB of memory, Linux %s, %s.\n", m.CPU, m.Cores, m.MemMB, m.Kernel, m.Go)
	command := ""
	for _, o := range r.Cases {
		if o.Command != command {
			command = o.Command
			fmt.Fprintf(&b, "\n    %s\n", command)
		}
		fmt.Fprintf(&b, "\n### %s\n\n%s", o.Name, o.Table())
	}
	return b.String()
}

// Document puts text between a document's markers: <!-- bench NAME --> and <!-- /bench -->.
func Document(text, name, body string) (string, error) {
	begin, end := "<!-- bench "+name+" -->\n", "<!-- /bench -->"
	before, rest, ok := strings.Cut(text, begin)
	if !ok {
		return "", fmt.Errorf("no line %q", strings.TrimSpace(begin))
	}
	_, after, ok := strings.Cut(rest, end)
	if !ok {
		return "", fmt.Errorf("no line %q after %q", end, strings.TrimSpace(begin))
	}
	return before + begin + "\n" + strings.TrimSpace(body) + "\n\n" + end + after, nil
}
