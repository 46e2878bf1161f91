package plot

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"gregor/bench/harness"
)

// Files are the pictures of a report, by name.
func Files(r harness.Report) map[string]string {
	files := make(map[string]string)
	add := func(name, picture string) {
		if picture != "" {
			files[name] = picture
		}
	}
	for name, b := range charts() {
		add(name, b.draw(r))
	}
	for _, o := range r.Cases {
		switch {
		case strings.HasPrefix(o.Main, harness.Delivered):
			add(o.Name+".svg", latency(r, o, harness.Delivered))
		case o.Main == harness.P50 || o.Main == harness.P99 || o.Main == harness.P999:
			add(o.Name+".svg", latency(r, o, ""))
		}
	}
	return files
}

// Read reads the JSON that the harness wrote.
func Read(r io.Reader) (report harness.Report, err error) {
	if err = json.NewDecoder(r).Decode(&report); err != nil {
		return report, fmt.Errorf("not a report of the bench: %w", err)
	}
	return report, nil
}

// Draw is the command: it reads FILE and writes the pictures to DIR.
func Draw(args []string) error {
	if len(args) != 2 {
		return fmt.Errorf("plot FILE DIR: the JSON that -json wrote, and where pictures go")
	}
	f, err := os.Open(args[0])
	if err != nil {
		return err
	}
	defer f.Close()
	report, err := Read(f)
	if err != nil {
		return fmt.Errorf("%s: %w", args[0], err)
	}
	if err := os.MkdirAll(args[1], 0o755); err != nil {
		return err
	}
	for name, picture := range Files(report) {
		if err := os.WriteFile(filepath.Join(args[1], name), []byte(picture), 0o644); err != nil {
			return err
		}
	}
	return nil
}
