package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gregor/internal/config"
)

func TestScreen(t *testing.T) {
	for _, c := range []struct {
		terminal bool
		want     string
	}{
		// A log has the status once for each change.
		{false, "[1] one\ncontroller 1\n[1] two\ncontroller 2\n[1] three\nend\n"},
		// A terminal has it below, taken back for each line, and cut where it would wrap.
		{true, "[1] one\ncontrolle\r\x1b[K[1] two\ncontrolle\r\x1b[Kcontrolle\r\x1b[K[1] three\ncontrolle\r\x1b[Kend\n"},
	} {
		var out bytes.Buffer
		s := &screen{out: &out, terminal: c.terminal, width: func() int { return 10 }}
		w, end := s.prefixed("[1] ")
		w.Write([]byte("one\n"))
		s.setStatus("controller 1")
		s.setStatus("controller 1")
		w.Write([]byte("tw"))
		w.Write([]byte("o\r\nthr"))
		s.setStatus("controller 2")
		w.Write([]byte("ee"))
		end()
		s.setStatus("")
		s.line("end")
		if out.String() != c.want {
			t.Errorf("terminal %v:\n%q, want\n%q", c.terminal, out.String(), c.want)
		}
	}
}

// A process that writes no line end does not fill the memory.
func TestScreenBoundsALine(t *testing.T) {
	var out bytes.Buffer
	s := &screen{out: &out}
	w, _ := s.prefixed("")
	for range 100 {
		w.Write(bytes.Repeat([]byte("x"), maxHeldLine/10))
	}
	if held := len(w.(*lineWriter).rest); held > maxHeldLine {
		t.Errorf("%d bytes are kept", held)
	}
}

func TestClusterStatusText(t *testing.T) {
	for want, s := range map[string]clusterStatus{
		"controller 2 | brokers 1 2 3 of 3 | topics 4 | under-replicated 0":                {controller: 2, brokers: []int32{1, 2, 3}, of: 3, topics: 4},
		"no controller | no broker serves | topics 0 | under-replicated 0":                 {controller: -1, of: 3},
		"controller 1 | brokers 1 of 3 | topics 1 | under-replicated 5 | without leader 2": {controller: 1, brokers: []int32{1}, of: 3, topics: 1, under: 5, leaderless: 2},
	} {
		if s.String() != want {
			t.Errorf("%q, want %q", s.String(), want)
		}
	}
}

// What up writes for its brokers is a configuration that can be started, for every number of them.
func TestUpLayout(t *testing.T) {
	for n := 2; n <= maxUpBrokers; n++ {
		dir := t.TempDir()
		l, err := layOut(n, 9092, dir)
		if err != nil {
			t.Fatal(err)
		}
		if err := l.write(); err != nil {
			t.Fatal(err)
		}
		controllers := 0
		for id := 1; id <= n; id++ {
			props, err := config.ReadProperties(l.file(id))
			if err != nil {
				t.Fatal(err)
			}
			v, warnings, err := config.ParseBroker(props)
			if err != nil || len(warnings) > 0 {
				t.Fatalf("broker %d of %d: %v, %v", id, n, err, warnings)
			}
			q, err := v.Quorum()
			if err != nil || len(q.Voters) != min(n, maxUpQuorum) || v.Int("min.insync.replicas") > v.Int("default.replication.factor") {
				t.Errorf("broker %d of %d: %v, %v", id, n, q, err)
			}
			if v.Roles().Controller {
				controllers++
			}
		}
		if controllers != min(n, maxUpQuorum) {
			t.Errorf("%d brokers: %d controllers", n, controllers)
		}
	}
}

func TestUpRefuses(t *testing.T) {
	single, cluster := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(single, "meta.properties"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	l, err := layOut(3, 9092, cluster)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.write(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ args, want string }{
		{"--brokers 0", "must be from 1 to 50"},
		{"--brokers 51", "must be from 1 to 50"},
		{"--brokers 3 --port 60000", "must be at most 55533"},
		{"--brokers 3 --data " + single, "holds the data of a single broker"},
		{"--brokers 2 --data " + cluster, "of more than 2 brokers"},
		{"--data " + cluster, "holds the data of a cluster"},
	} {
		var out, errs bytes.Buffer
		if code := runUp(t.Context(), strings.Fields(c.args), IO{In: strings.NewReader(""), Out: &out, Err: &errs}, func() {}); code == 0 || !strings.Contains(errs.String(), c.want) {
			t.Errorf("%s: code %d, %s", c.args, code, errs.String())
		}
	}
}
