package zk

import (
	"context"
	"errors"
	"path"

	gozk "github.com/go-zookeeper/zk"
)

// sweepBehind deletes the znodes behind the head's last one: parts of a batch that a leader began to write and did not
// finish. It cannot go on with that, for its epoch is over. It comes before anything is written in their place.
func (e *Engine) sweepBehind(f *fence) error {
	stat, err := f.s.exists(e.ctx, logPath)
	if err != nil || stat == nil {
		return e.explain(logPath, errors.Join(err, missing(stat)))
	}
	if int64(stat.NumChildren) == e.head.Last-e.head.First+1 {
		return nil
	}
	names, err := f.s.children(e.ctx, logPath)
	if err != nil {
		return e.explain(logPath, err)
	}
	var behind []string
	for _, name := range names {
		if n, ok := parseEntryName(name); ok && n > e.head.Last {
			behind = append(behind, path.Join(logPath, name))
		}
	}
	if len(behind) > 0 {
		e.log.Info("deleting what another controller did not finish to write", "znodes", len(behind))
	}
	return e.deleteAll(e.ctx, f, behind)
}

func missing(stat *gozk.Stat) error {
	if stat == nil {
		return gozk.ErrNoNode
	}
	return nil
}

// sweepOld deletes the znodes of the log before the head's first one, and every snapshot but the head's.
func (e *Engine) sweepOld(ctx context.Context, f *fence) error {
	var h head
	if err := e.perform(ctx, func(context.Context) error { h = e.head; return nil }); err != nil {
		return err
	}
	names, err := f.s.children(ctx, logPath)
	if err != nil {
		return e.explain(logPath, err)
	}
	var old []string
	for _, name := range names {
		if n, ok := parseEntryName(name); ok && n < h.First {
			old = append(old, path.Join(logPath, name))
		}
	}
	if err := e.deleteAll(ctx, f, old); err != nil {
		return err
	}
	names, err = f.s.children(ctx, snapshotsPath)
	if err != nil {
		return e.explain(snapshotsPath, err)
	}
	for _, name := range names {
		if h.Snapshot != nil && name == h.Snapshot.Name {
			continue
		}
		if err := e.remove(ctx, f, snapshotPath(name)); err != nil {
			return err
		}
	}
	return nil
}

// remove deletes a znode and its children, if it is there.
func (e *Engine) remove(ctx context.Context, f *fence, p string) error {
	names, err := f.s.children(ctx, p)
	if errors.Is(err, gozk.ErrNoNode) {
		return nil
	}
	if err != nil {
		return err
	}
	paths := make([]string, len(names), len(names)+1)
	for i, name := range names {
		paths[i] = path.Join(p, name)
	}
	return e.deleteAll(ctx, f, append(paths, p))
}

// deletesTogether is how many znodes are deleted in one multi.
const deletesTogether = 200

// deleteAll deletes znodes in their order, under the fence. One that is gone already is as good.
func (e *Engine) deleteAll(ctx context.Context, f *fence, paths []string) error {
	for len(paths) > 0 {
		n := min(len(paths), deletesTogether)
		o := ops{f.check()}
		for _, p := range paths[:n] {
			o = append(o, f.s.delete(p, -1))
		}
		err := f.s.again(ctx, func() error {
			_, err := f.s.try(ctx, o)
			return err
		})
		if errors.Is(err, gozk.ErrNoNode) {
			err = e.deleteEach(ctx, f, paths[:n])
		}
		if err != nil {
			return e.refused(err)
		}
		paths = paths[n:]
	}
	return nil
}

func (e *Engine) deleteEach(ctx context.Context, f *fence, paths []string) error {
	for _, p := range paths {
		err := f.s.again(ctx, func() error {
			_, err := f.s.try(ctx, ops{f.check(), f.s.delete(p, -1)})
			return err
		})
		if err != nil && !errors.Is(err, gozk.ErrNoNode) {
			return err
		}
	}
	return nil
}
