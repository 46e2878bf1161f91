package harness

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// outcome has three rounds on three servers.
func outcome() Outcome {
	column := func(server string, rates, cpu [3]float64) Column {
		c := Column{Server: server}
		for i := range rates {
			c.Runs = append(c.Runs, Figures{Requests: rates[i], CPUperM: cpu[i]})
		}
		return c
	}
	return Outcome{Name: "small", Title: "small requests", Command: "build/bench", Main: Requests, Show: []string{CPUperM, P99}, Columns: []Column{
		column("apache", [3]float64{100, 90, 120}, [3]float64{40, 44, 36}),
		column("gregor", [3]float64{300, 250, 310}, [3]float64{10, 9, 11}),
		column("limit", [3]float64{600, 500, 650}, [3]float64{5, 6, 5}),
	}}
}

func TestTable(t *testing.T) {
	const want = `| small requests | requests/s (least-most) | to apache | to limit | server CPU s/million | p99 ms |
|---|---:|---:|---:|---:|---:|
| apache | 100 (90-120) | 1.00x | 0.17x | 40.0 (8.00x) |  |
| gregor | 300 (250-310) | 3.00x | 0.50x | 10.0 (0.25x, 2.00x) |  |
| limit | 600 (500-650) | 6.00x | 1.00x | 5.0 (0.12x) |  |
`
	if got := outcome().Table(); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestGoals(t *testing.T) {
	goals := []Goal{
		{Case: "small", What: "small", Figure: Requests, Against: "apache", Bound: 2, Says: "2x"},
		{Case: "small", What: "small", Figure: Requests, Against: "apache", Bound: 5, Says: "5x"},
		{Case: "small", What: "small", Figure: Requests, Against: "apache", Bound: 7, Says: "7x"},
		{Case: "small", What: "small", Figure: CPUperM, Against: "limit", Bound: 1.5, Says: "1.5x"},
		{Case: "small", What: "small", Figure: CPUperM, Bound: 10, Says: "10"},
		{Case: "large", What: "large", Figure: MBps, Against: "apache", Bound: 3, Says: "3x"},
	}
	const want = `| case | figure | goal | gregor | limit | |
|---|---|---:|---:|---:|---|
| small | requests/s of apache's | at least 2x | 3.00x | 6.00x | reached |
| small | requests/s of apache's | at least 5x | 3.00x | 6.00x | not reached |
| small | requests/s of apache's | at least 7x | 3.00x | 6.00x | not reached, nor by the limit |
| small | server CPU s/million of limit's | at most 1.5x | 2.00x |  | not reached |
| small | server CPU s/million | at most 10 | 10.0 | 5.0 | reached |
| large | MB/s of apache's | at least 3x | not measured |  |  |
`
	if got := Goals(goals, []Outcome{outcome()}, "gregor"); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestSummary(t *testing.T) {
	const want = `| case | | gregor | of apache's | of nats's | of limit's |
|---|---|---:|---:|---:|---:|
| small | requests/s | 300 | 3.00x |  | 0.50x |
`
	without := outcome()
	without.Columns = without.Columns[:1]
	if got := Summary([]Outcome{outcome(), without}, "gregor", []string{"apache", "nats", "limit"}); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

// What is a quarter worse against the limit in the same round is found, whichever way the figure goes.
func TestExpectation(t *testing.T) {
	for _, c := range []struct {
		figure string
		want   float64
		bad    bool
	}{{CPUperM, 2, false}, {CPUperM, 1.55, false}, {CPUperM, 1.45, true}, {Requests, 0.6, false}, {Requests, 0.7, true}} {
		lines := 0
		bad, err := Expectation{"small": {c.figure: c.want}}.Check([]Outcome{outcome()}, "gregor", func(string) { lines++ })
		if err != nil || (len(bad) == 1) != c.bad || lines != 1 {
			t.Errorf("%s expected %v: %v, %v, %d lines", c.figure, c.want, bad, err, lines)
		}
	}
	if _, err := (Expectation{"small": {MBps: 1}}).Check([]Outcome{outcome()}, "gregor", func(string) {}); err == nil {
		t.Error("a figure that was not measured is as expected")
	}
}

// Cases of an older report stay, in the order of names, and come back from the file as they were.
func TestReportFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "figures.json")
	if r, err := ReadReport(path); err != nil || len(r.Cases) != 0 {
		t.Errorf("a file that is not there: %+v, %v", r, err)
	}
	older := Report{Cases: []Outcome{{Name: "small", Title: "old"}, {Name: "tail"}}}
	if err := older.WriteFile(path); err != nil {
		t.Fatal(err)
	}
	read, err := ReadReport(path)
	if err != nil {
		t.Fatal(err)
	}
	merged := read.Merge(Report{Cases: []Outcome{{Name: "large"}, outcome()}}, []string{"large", "small", "tail"})
	var names []string
	for _, o := range merged.Cases {
		names = append(names, o.Name+" "+o.Title)
	}
	if got := strings.Join(names, ","); got != "large ,small small requests,tail " {
		t.Errorf("cases %q", got)
	}
	if err := os.WriteFile(path, []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadReport(path); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("a broken file: %v", err)
	}
}

func TestDocument(t *testing.T) {
	const text = "above\n<!-- bench goals -->\nold\n<!-- /bench -->\nbetween\n<!-- bench figures -->\n<!-- /bench -->\n"
	got, err := Document(text, "goals", "new\n")
	if want := strings.Replace(text, "old", "\nnew\n", 1); err != nil || got != want {
		t.Errorf("%v, got\n%q\n%q", err, got, want)
	}
	again, err := Document(got, "goals", "new")
	if err != nil || again != got {
		t.Errorf("the second time it is not the same: %v\n%s", err, again)
	}
	if _, err := Document(text, "absent", ""); err == nil {
		t.Error("a marker that is not there was found")
	}
}
