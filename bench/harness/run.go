package harness

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"time"
)

// Options says what is measured and how.
type Options struct {
	Cases   *regexp.Regexp
	Servers *regexp.Regexp
	Rounds  int           // that count, on each server
	Time    time.Duration // of what is measured in a run
	Warmup  time.Duration // before it, in every run
	Discard int           // rounds before those that count
	Settle  time.Duration // of the load in such a round on a Settler, if that is longer than Time
	Touch   int           // MB of memory before each run
	Dir     string        // for the servers' data; empty: a new one below the system's
	Port    int           // the first that servers get
	Binary  string        // gregor's program, whose tools are clients of any server
	Out     io.Writer     // progress
}

// Column is what a case measured on one server, run by run.
type Column struct {
	Server string    `json:"server"`
	Runs   []Figures `json:"runs"`
}

// Outcome is a case that was measured.
type Outcome struct {
	Name    string   `json:"name"`
	Title   string   `json:"title"`
	Command string   `json:"command"` // that measured it
	Main    string   `json:"main"`
	Show    []string `json:"show"`
	Columns []Column `json:"servers"`
}

// Column returns a server's, or nil.
func (o Outcome) Column(server string) *Column {
	if i := slices.IndexFunc(o.Columns, func(c Column) bool { return c.Server == server }); i >= 0 {
		return &o.Columns[i]
	}
	return nil
}

// Spread is that of one figure on a server.
func (c Column) Spread(name string) Spread {
	var values []float64
	for _, r := range c.Runs {
		if v, ok := r[name]; ok {
			values = append(values, v)
		}
	}
	return spread(values)
}

// Run measures every chosen case on every chosen server.
func Run(ctx context.Context, o Options, servers []Server, cases []Case) ([]Outcome, error) {
	if o.Dir == "" {
		dir, err := os.MkdirTemp("", "gregor-bench-")
		if err != nil {
			return nil, err
		}
		defer os.RemoveAll(dir)
		o.Dir = dir
	}
	defer os.RemoveAll(o.old())
	var outcomes []Outcome
	for _, c := range cases {
		if !o.Cases.MatchString(c.Name) {
			continue
		}
		out, err := o.measure(ctx, c, servers)
		if err != nil {
			return outcomes, fmt.Errorf("%s: %w", c.Name, err)
		}
		if len(out.Columns) > 0 {
			outcomes = append(outcomes, out)
		}
	}
	return outcomes, nil
}

// started is a server that runs for a case.
type started struct {
	Server
	Instance // nil while it does not run
	column   Column
}

func (o *Options) measure(ctx context.Context, c Case, servers []Server) (out Outcome, err error) {
	out = Outcome{Name: c.Name, Title: c.Title, Main: c.Main, Show: c.Show}
	var all []*started
	defer func() {
		for _, s := range all {
			if err != nil && s.Instance != nil {
				err = fmt.Errorf("%w\nlog of %s:\n%s", err, s.Name(), tail(s.Log(), 2000))
			}
			err = errors.Join(err, o.end(s, c.Fresh))
		}
	}()
	for _, s := range servers {
		if !o.Servers.MatchString(s.Name()) || c.Only != nil && !slices.Contains(c.Only, s.Name()) {
			continue
		}
		if has, ok := s.(Chooser); ok && !has.Has(&c) {
			continue
		}
		all = append(all, &started{Server: s, column: Column{Server: s.Name()}})
	}
	discard := o.Discard
	if c.Fresh {
		discard = 0
	}
	for round := range o.Rounds + discard {
		for _, s := range slices.Clone(all) {
			t := &Target{Case: &c, Server: s.Name(), Topic: fmt.Sprintf("bench-%d", round), Round: max(0, round-discard+1),
				Time: o.Time, Warmup: o.Warmup, Options: o}
			if _, slow := s.Server.(Settler); slow && t.Round == 0 {
				t.Time = max(t.Time, o.Settle)
			}
			figures, err := o.once(ctx, s, t)
			if errors.Is(err, ErrNotThisOne) {
				all = slices.DeleteFunc(all, func(a *started) bool { return a == s })
				if err := o.end(s, c.Fresh); err != nil {
					return out, err
				}
				continue
			}
			if err != nil {
				return out, fmt.Errorf("%s: %w", s.Name(), err)
			}
			if t.Round > 0 {
				s.column.Runs = append(s.column.Runs, figures)
			}
			o.progress(t, figures)
			if c.Fresh {
				if err := o.end(s, c.Fresh); err != nil {
					return out, err
				}
			}
		}
	}
	for _, s := range all {
		out.Columns = append(out.Columns, s.column)
	}
	return out, nil
}

// begin starts a server if it does not run.
func (o *Options) begin(ctx context.Context, s *started, config Config) (err error) {
	if s.Instance != nil {
		return nil
	}
	config.Dir = filepath.Join(o.Dir, s.Name())
	if config.Port, err = freePort(o.Port, 20); err != nil {
		return err
	}
	if s.Instance, err = s.Start(ctx, config); err != nil && !errors.Is(err, ErrNotThisOne) {
		err = fmt.Errorf("start: %w", err)
	}
	return err
}

// end closes a server and removes its data, or puts the data away until everything has been measured.
func (o *Options) end(s *started, keep bool) (err error) {
	dir := filepath.Join(o.Dir, s.Name())
	if s.Instance != nil {
		resume(s.Pids())
		err = s.Close()
		s.Instance = nil
	}
	if _, there := os.Stat(dir); !keep || there != nil {
		return errors.Join(err, os.RemoveAll(dir))
	}
	if errMake := os.MkdirAll(o.old(), 0o755); errMake != nil {
		return errors.Join(err, errMake)
	}
	away, errAway := os.MkdirTemp(o.old(), s.Name())
	return errors.Join(err, errAway, os.Rename(dir, filepath.Join(away, "data")))
}

// old is where data is put away: an ext4 without a journal does not use the inode of a file that was removed within the last
// minute again, and goes past each of them, one by one, whenever a file is made. Tens of thousands of them make whoever is
// measured next several times slower.
func (o *Options) old() string { return filepath.Join(o.Dir, "old") }

// once is one run on one server, which stands still before and after.
func (o *Options) once(ctx context.Context, s *started, t *Target) (f Figures, err error) {
	if err := o.begin(ctx, s, t.Case.Config); err != nil {
		return nil, err
	}
	t.Instance = s.Instance
	resume(t.Pids())
	defer func() { pause(t.Pids()) }()
	topics := t.topics()
	for i, topic := range topics {
		if err := t.Create(ctx, topic); err != nil {
			return nil, err
		}
		defer func() {
			if errDrop := t.Drop(ctx, topics[i]); err == nil {
				err = errDrop
			}
		}()
	}
	mb := o.Touch
	if t.Case.Touch != 0 {
		mb = t.Case.Touch
	}
	if err := touch(ctx, mb); err != nil {
		return nil, err
	}
	if d, ok := t.Instance.(Driver); ok && !t.Case.Any {
		return d.Drive(ctx, t)
	}
	return t.Case.Measure(ctx, t)
}

func (t *Target) topics() []Topic {
	if t.Case.NoTopic {
		return nil
	}
	w := t.Case.Workload
	one := Topic{Name: t.Topic, Partitions: max(w.Partitions, 1), Replicas: w.Replicas, Flush: w.Flush, Keep: w.Keep}
	if w.Topics <= 1 {
		return []Topic{one}
	}
	topics := make([]Topic, w.Topics)
	for i := range topics {
		topics[i] = one
		topics[i].Name = fmt.Sprintf("%s-%d", t.Topic, i)
	}
	return topics
}

func (o *Options) progress(t *Target, f Figures) {
	if o.Out == nil {
		return
	}
	fmt.Fprintf(o.Out, "%-12s %-16s %d ", t.Case.Name, t.Server, t.Round)
	for _, name := range append([]string{t.Case.Main}, t.Case.Show...) {
		if v, ok := f[name]; ok {
			fmt.Fprintf(o.Out, "  %s %s", describe(name).show(v), name)
		}
	}
	fmt.Fprintln(o.Out)
}

func tail(s string, n int) string { return s[max(0, len(s)-n):] }
