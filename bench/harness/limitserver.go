package harness

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"

	"gregor/bench/limit"
)

// Limit is the physical limit: package limit in a process of its own, which is this program again.
type Limit struct{}

// Name is "limit".
func (Limit) Name() string { return "limit" }

// limitInstance starts its process anew for every topic, whose partitions and flushing are given to the process.
type limitInstance struct {
	*Process
	config Config
	addr   string
}

// Start starts a process.
func (Limit) Start(ctx context.Context, c Config) (Instance, error) {
	if c.Nodes > 1 {
		return nil, ErrNotThisOne
	}
	l := &limitInstance{config: c, addr: fmt.Sprintf("localhost:%d", c.Port)}
	return l, l.start(ctx, Topic{Partitions: 1})
}

func (l *limitInstance) start(ctx context.Context, t Topic) (err error) {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.Command(self, "limit", l.addr, filepath.Join(l.config.Dir, "data"), strconv.Itoa(t.Partitions), strconv.FormatBool(t.Flush), strconv.FormatInt(t.retain(), 10))
	if l.Process, err = StartProcess(cmd, l.config.Dir); err != nil {
		return err
	}
	if err := l.Ready(ctx, l.addr); err != nil {
		l.Kill()
		return err
	}
	return nil
}

// ServeLimit is the process: its arguments are those of limitInstance.start.
func ServeLimit(ctx context.Context, args []string) error {
	if len(args) != 5 {
		return errors.New("limit ADDR DIR PARTITIONS FLUSH RETAIN")
	}
	partitions, err := strconv.Atoi(args[2])
	if err != nil {
		return err
	}
	flush, err := strconv.ParseBool(args[3])
	if err != nil {
		return err
	}
	retain, err := strconv.ParseInt(args[4], 10, 64)
	if err != nil {
		return err
	}
	s, err := limit.Start(ctx, limit.Options{Addr: args[0], Dir: args[1], Partitions: partitions, Flush: flush, SegmentBytes: segmentBytes, RetainBytes: retain})
	if err != nil {
		return err
	}
	<-ctx.Done()
	return s.Close()
}

func (l *limitInstance) Addrs() []string { return []string{l.addr} }
func (l *limitInstance) Pids() []int     { return []int{l.Pid()} }

func (l *limitInstance) Create(ctx context.Context, t Topic) error {
	l.Kill()
	return l.start(ctx, t)
}

func (l *limitInstance) Drop(_ context.Context, t Topic) error {
	found, err := filepath.Glob(filepath.Join(l.config.Dir, "data", t.Name+"-*"))
	for _, dir := range found {
		err = errors.Join(err, os.RemoveAll(dir))
	}
	return err
}

func (l *limitInstance) Close() error {
	l.Kill()
	return nil
}
