package plot

import (
	"encoding/xml"
	"errors"
	"io"
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"gregor/bench/harness"
)

// report has a case of each kind, with two runs of which the median is between them.
func report() harness.Report {
	column := func(server string, figures ...harness.Figures) harness.Column {
		return harness.Column{Server: server, Runs: figures}
	}
	latencies := func(factor float64) harness.Figures {
		f := harness.Figures{harness.CPUperM: 8 * factor}
		for i, q := range harness.Quantiles {
			f[harness.Quantile(q)] = factor * float64(i+1)
		}
		return f
	}
	return harness.Report{Cases: []harness.Outcome{
		{Name: "large", Title: "large <batches>", Main: harness.MBps, Show: []string{harness.CPUperGB, harness.RSS}, Columns: []harness.Column{
			column("apache", harness.Figures{harness.MBps: 100, harness.CPUperGB: 4, harness.RSS: 900}),
			column("gregor", harness.Figures{harness.MBps: 350, harness.CPUperGB: 1, harness.RSS: 45}, harness.Figures{harness.MBps: 450, harness.CPUperGB: 1, harness.RSS: 45}),
			column("nats", harness.Figures{harness.MBps: 50}),
			column("another", harness.Figures{harness.MBps: 0}),
		}},
		{Name: "start", Title: "start to ready", Main: harness.Millis, Columns: []harness.Column{
			column("apache", harness.Figures{harness.Millis: 2000}), column("gregor", harness.Figures{harness.Millis: 50}),
		}},
		{Name: "latency", Title: "at a rate", Main: harness.P99, Show: []string{harness.CPUperM}, Columns: []harness.Column{
			column("apache", latencies(3)), column("gregor", latencies(1)),
		}},
		{Name: "alone", Title: "ours alone", Main: harness.Millis, Columns: []harness.Column{column("gregor", harness.Figures{harness.Millis: 50})}},
	}}
}

// What cannot be drawn is not: no case is there without Apache Kafka, no bar without a length.
func TestPicturesAreXML(t *testing.T) {
	files := Files(report())
	for _, name := range []string{"ratios.svg", "cpu.svg", "memory.svg", "latency.svg"} {
		if files[name] == "" {
			t.Errorf("no %s", name)
		}
	}
	if len(files) != 4 {
		t.Errorf("%d pictures", len(files))
	}
	for name, picture := range files {
		d := xml.NewDecoder(strings.NewReader(picture))
		for {
			_, err := d.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		for _, bad := range []string{"NaN", "Inf", "ours alone", "another", "<batches>"} {
			if strings.Contains(picture, bad) {
				t.Errorf("%s: %s", name, bad)
			}
		}
	}
	if files := Files(harness.Report{}); len(files) != 0 {
		t.Errorf("%d pictures of nothing", len(files))
	}
}

// A bar's length is the logarithm of its ratio, to the right of 1 where it is better, whatever way the figure goes.
func TestBarsAreRatios(t *testing.T) {
	picture := Files(report())["ratios.svg"]
	one := places(t, picture, `<line class="one" x1="([0-9.]+)"`, 1)[0][0]
	length := func(server string, n int) float64 {
		r := places(t, picture, `<rect class="`+server+`" x="([0-9.]+)" y="[0-9.]+" width="([0-9.]+)"`, 3)[n]
		if r[0] >= one-0.1 {
			return r[1]
		}
		return -r[1]
	}
	// 4x in the first case, 40x in the second: less is better there. NATS has half of Apache's.
	four, forty := length("gregor", 0), length("gregor", 1)
	if got, want := forty/four, math.Log(40)/math.Log(4); math.Abs(got-want) > 0.02 {
		t.Errorf("the bar of 40x is %.3f times that of 4x, not %.3f", got, want)
	}
	r := places(t, picture, `<rect class="nats" x="([0-9.]+)" y="[0-9.]+" width="([0-9.]+)"`, 1)[0]
	if math.Abs(r[0]+r[1]-one) > 0.2 || math.Abs(r[1]/four-0.5) > 0.02 {
		t.Errorf("the bar of 0.5x is from %.1f on, %.1f long; 1x is at %.1f, 4x is %.1f long", r[0], r[1], one, four)
	}
	for _, text := range []string{"4x  400 MB/s", "40x  50 ms", "0.5x  50 MB/s"} {
		if !strings.Contains(picture, text) {
			t.Errorf("it does not say %s", text)
		}
	}
}

// A line three times as slow has the same form higher up, and goes on to the last quantile.
func TestLines(t *testing.T) {
	picture := Files(report())["latency.svg"]
	slow, fast := points(t, picture, "apache"), points(t, picture, "gregor")
	if len(slow) != len(harness.Quantiles) || len(fast) != len(slow) {
		t.Fatalf("%d and %d points of %d", len(slow), len(fast), len(harness.Quantiles))
	}
	for i := range slow {
		if slow[i][0] != fast[i][0] || math.Abs(fast[i][1]-slow[i][1]-(fast[0][1]-slow[0][1])) > 0.2 || slow[i][1] >= fast[i][1] {
			t.Errorf("point %d: %v and %v", i, slow[i], fast[i])
		}
		if i > 0 && slow[i][0] <= slow[i-1][0] {
			t.Errorf("point %d does not go on to the right", i)
		}
	}
}

// Axes end at round numbers and hold every value.
func TestAxis(t *testing.T) {
	for _, c := range []struct {
		values []float64
		marks  string
	}{
		{[]float64{1}, "1 2"},
		{[]float64{0.3, 1, 14}, "0.2 0.5 1 2 5 10 20"},
		{[]float64{0.5, 2}, "0.5 1 2"},
		{[]float64{0.02, 900}, "0.1 1 10 100 1000"},
		{[]float64{1, 10}, "1 2 5 10"},
	} {
		a := newAxis(c.values, 100, 200)
		var marks []string
		for _, v := range a.marks() {
			marks = append(marks, strconv.FormatFloat(v, 'g', 3, 64))
		}
		if got := strings.Join(marks, " "); strings.ReplaceAll(got, "1e+03", "1000") != c.marks {
			t.Errorf("%v: marks %s, not %s", c.values, got, c.marks)
		}
		for _, v := range c.values {
			if at := a.at(v); at < 100-1e-6 || at > 200+1e-6 {
				t.Errorf("%v: %v is at %v", c.values, v, at)
			}
		}
	}
}

// Every server of the harness and of package peers has a colour of its own on both pages.
func TestColours(t *testing.T) {
	for _, server := range []string{"gregor", "apache", "limit", "nats", "nats-fast", "rabbitmq-quorum", "rabbitmq-stream", "rabbitmq-stream-batched", "other"} {
		if class(server) != server || strings.Count(style, "."+server+" {") != 2 {
			t.Errorf("%s has not two colours", server)
		}
	}
	if class("before") != "other" {
		t.Error("a server without a colour has none of the others'")
	}
}

// places are the numbers that an expression finds, at least so many times.
func places(t *testing.T, picture, expression string, atLeast int) (all [][2]float64) {
	t.Helper()
	for _, m := range regexp.MustCompile(expression).FindAllStringSubmatch(picture, -1) {
		var p [2]float64
		for i, s := range m[1:] {
			p[i], _ = strconv.ParseFloat(s, 64)
		}
		all = append(all, p)
	}
	if len(all) < atLeast {
		t.Fatalf("%s is there %d times, not %d", expression, len(all), atLeast)
	}
	return all
}

func points(t *testing.T, picture, server string) (all [][2]float64) {
	t.Helper()
	_, rest, ok := strings.Cut(picture, `<polyline class="`+server+`" points="`)
	if !ok {
		t.Fatalf("no line of %s", server)
	}
	list, _, _ := strings.Cut(rest, `"`)
	for pair := range strings.FieldsSeq(list) {
		x, y, _ := strings.Cut(pair, ",")
		var p [2]float64
		p[0], _ = strconv.ParseFloat(x, 64)
		p[1], _ = strconv.ParseFloat(y, 64)
		all = append(all, p)
	}
	return all
}
