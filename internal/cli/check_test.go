package cli

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gregor/internal/log"
	"gregor/internal/log/vfs"
	"gregor/internal/record"
)

func TestCheck(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	fill := func(leave bool) *log.Dirs {
		d, err := log.OpenDirs(log.DirsOptions{Paths: []string{dir}, ClusterID: "c", NodeID: 1, FS: vfs.OS{}, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		if leave {
			return d
		}
		l, err := d.Create("orders", [16]byte{1}, 0, [16]byte{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			b := record.NewBuilder(record.BuilderOptions{})
			b.Append(1, nil, []byte("value"))
			if _, err := l.AppendLeader(b.Build(), 0, log.Client); err != nil {
				t.Fatal(err)
			}
		}
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
		return d
	}
	check := func(args ...string) (code int, out string) {
		var o bytes.Buffer
		code = checkCommand().Exec(t.Context(), args, IO{In: strings.NewReader(""), Out: &o, Err: &o})
		return code, o.String()
	}
	fill(false)
	properties := filepath.Join(t.TempDir(), "server.properties")
	if err := os.WriteFile(properties, []byte("node.id=1\nlog.dirs="+dir+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{dir}, {"--config", properties}} {
		if code, out := check(args...); code != 0 || !strings.HasPrefix(out, "Verified 1 partitions, 1 segments, 3 batches, 0.0 MB in ") || !strings.HasSuffix(out, " 0 findings.\n") {
			t.Errorf("check %q of a whole directory: exit code %d\n%s", args, code, out)
		}
	}

	file := filepath.Join(dir, "orders-0", "00000000000000000000.log")
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 1
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	code, out := check(dir)
	if code != 1 || !strings.HasPrefix(out, "damaged: "+file+", offset 1, position ") || !strings.Contains(out, "; intact records follow from offset 2\n") || !strings.Contains(out, "delete the partition's directory") {
		t.Errorf("check of a damaged directory: exit code %d\n%s", code, out)
	}
	code, out = check(dir, "--output", "json")
	var found struct {
		Batches  int
		Findings []struct {
			Severity, Topic string
			Offset          int64
		}
	}
	if err := json.Unmarshal([]byte(out), &found); err != nil || code != 1 || found.Batches != 1 || len(found.Findings) != 1 ||
		found.Findings[0].Severity != "damaged" || found.Findings[0].Topic != "orders" || found.Findings[0].Offset != 1 {
		t.Errorf("check as JSON: exit code %d, %v\n%s", code, err, out)
	}

	if code, out := check(dir + "x"); code != 1 || !strings.Contains(out, "no such directory") {
		t.Errorf("check of a directory that is not there: exit code %d\n%s", code, out)
	}
	if code, out := check("--workers", "1"); code != 1 || !strings.Contains(out, "name the directories") {
		t.Errorf("check of nothing: exit code %d\n%s", code, out)
	}
	d := fill(true)
	defer d.Close()
	if code, out := check(dir); code != 1 || !strings.Contains(out, "stop the broker first") {
		t.Errorf("check of a directory in use: exit code %d\n%s", code, out)
	}
}
