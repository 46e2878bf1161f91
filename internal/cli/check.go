package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"runtime"
	"slices"
	"time"

	"gregor/internal/config"
	"gregor/internal/log"
	"gregor/internal/log/vfs"
	"gregor/internal/node"
)

func checkCommand() Command {
	return Command{Name: "check", Summary: "Verify every file of log directories that no broker uses.", Build: buildCheck}
}

type checkFlags struct {
	*Flags
	config, workers *Flag
}

func buildCheck(flags *Flags) Action {
	flags.About = "Verifies the log directories of a broker that is stopped: each batch's checksum, size and offsets, and whether indexes, snapshots and checkpoints fit. It changes nothing.\n" +
		"Exit code 1 tells that records are damaged; 0 that all is well, or that what is wrong is cut or remade at the next start."
	flags.Examples = []string{
		"gregor check /tmp/kafka-logs",
		"gregor check --config config/server.properties",
		"gregor check data --output json",
	}
	f := &checkFlags{Flags: flags}
	f.config = f.String("config", "file", "The broker's properties file: its log.dirs and metadata.log.dir are verified.")
	f.workers = f.Int("workers", "number", "How many partitions are read side by side.").Default(fmt.Sprint(runtime.NumCPU()))
	f.Output()
	return f.run
}

func (f *checkFlags) dirs() ([]string, error) {
	dirs := f.Rest
	if f.config.Seen() {
		props, err := config.ReadProperties(f.config.Value())
		if err != nil {
			return nil, err
		}
		values, _, err := config.ParseBroker(props)
		if err != nil {
			return nil, err
		}
		dirs = append(dirs, node.Directories(values)...)
	}
	if len(dirs) == 0 {
		return nil, Usagef("name the directories to verify, or --config FILE")
	}
	return dirs, nil
}

// checkFinding is a finding as --output json has it.
type checkFinding struct {
	Severity  string `json:"severity"` // damaged, torn, remade
	Topic     string `json:"topic,omitempty"`
	Partition int32  `json:"partition"`
	File      string `json:"file"`
	Position  int64  `json:"position"` // bytes; -1: not known
	Offset    int64  `json:"offset"`   // -1: not known
	Problem   string `json:"problem"`
}

func (c checkFinding) String() string {
	s := c.Severity + ": " + c.File
	if c.Offset >= 0 {
		s += fmt.Sprintf(", offset %d", c.Offset)
	}
	if c.Position >= 0 {
		s += fmt.Sprintf(", position %d", c.Position)
	}
	return s + ": " + c.Problem
}

func (f *checkFlags) run(ctx context.Context, io IO) error {
	dirs, err := f.dirs()
	if err != nil {
		return err
	}
	began := time.Now()
	findings := []checkFinding{}
	var sum log.Checked
	for _, dir := range dirs {
		one, err := log.Check(ctx, vfs.OS{}, dir, f.workers.Int(), func(found log.Finding) {
			findings = append(findings, checkFinding{found.Severity.String(), found.Topic, found.Partition, found.File, found.Position, found.Offset, found.Problem})
		})
		var locked *vfs.LockedError
		switch {
		case errors.As(err, &locked):
			return fmt.Errorf("%w; stop the broker first: its files change while they are read", err)
		case errors.Is(err, fs.ErrNotExist):
			return fmt.Errorf("%s: no such directory", dir)
		case err != nil:
			return err
		}
		sum.Add(one)
	}
	slices.SortFunc(findings, func(a, b checkFinding) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Position, b.Position))
	})
	if f.JSON() {
		err = PrintJSON(io.Out, map[string]any{"partitions": sum.Partitions, "segments": sum.Segments, "batches": sum.Batches, "bytes": sum.Bytes, "findings": findings})
	} else {
		err = printCheck(io, findings, sum, time.Since(began))
	}
	if err == nil && slices.ContainsFunc(findings, func(c checkFinding) bool { return c.Severity == log.Lost.String() }) {
		return Exit(1)
	}
	return err
}

// advice says what follows from a severity.
var advice = []struct{ severity, text string }{
	{log.Lost.String(), "Damaged records are not served: the broker repairs them from another replica in sync, or answers KAFKA_STORAGE_ERROR for them; if it took the replica offline when it started, delete the partition's directory here, and it copies it from another one."},
	{log.Cut.String(), "A torn tail is what a crash leaves; the next start cuts it off."},
	{log.Remade.String(), "What is remade only repeats what the records say; the broker makes it again."},
}

func printCheck(io IO, findings []checkFinding, sum log.Checked, took time.Duration) error {
	for _, c := range findings {
		fmt.Fprintln(io.Out, c)
	}
	for _, a := range advice {
		if slices.ContainsFunc(findings, func(c checkFinding) bool { return c.Severity == a.severity }) {
			fmt.Fprintln(io.Out, a.text)
		}
	}
	_, err := fmt.Fprintf(io.Out, "Verified %d partitions, %d segments, %d batches, %.1f MB in %.1f s: %d findings.\n",
		sum.Partitions, sum.Segments, sum.Batches, float64(sum.Bytes)/1e6, took.Seconds(), len(findings))
	return err
}
