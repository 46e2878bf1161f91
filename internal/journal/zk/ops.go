package zk

import (
	"context"
	"errors"
	"path"

	gozk "github.com/go-zookeeper/zk"
)

// znode is what get finds.
type znode struct {
	data  []byte
	stat  *gozk.Stat
	watch <-chan gozk.Event
}

// get reads a znode and asks again until there is an answer. gozk.ErrNoNode when it is not there.
func (s *session) get(ctx context.Context, p string) (znode, error) {
	return ask(ctx, s, func() (n znode, err error) {
		n.data, n.stat, err = s.conn.Get(s.c.path(p))
		return n, err
	})
}

// getW is get with a watch on the data.
func (s *session) getW(ctx context.Context, p string) (znode, error) {
	return ask(ctx, s, func() (n znode, err error) {
		n.data, n.stat, n.watch, err = s.conn.GetW(s.c.path(p))
		return n, err
	})
}

// ask asks until there is an answer, and hands it over only if nobody else can write to it.
func ask[T any](ctx context.Context, s *session, f func() (T, error)) (result T, err error) {
	err = s.again(ctx, func() error {
		var got T
		err := s.do(ctx, func() (err error) {
			got, err = f()
			return err
		})
		if err == nil {
			result = got
		}
		return err
	})
	return result, err
}

// existsW looks whether a znode is there, with a watch for its creation or its change. nil when it is not.
func (s *session) existsW(ctx context.Context, p string) (*gozk.Stat, <-chan gozk.Event, error) {
	type found struct {
		stat  *gozk.Stat
		watch <-chan gozk.Event
	}
	f, err := ask(ctx, s, func() (found, error) {
		there, stat, watch, err := s.conn.ExistsW(s.c.path(p))
		if !there {
			stat = nil
		}
		return found{stat, watch}, err
	})
	return f.stat, f.watch, err
}

// exists returns the stat of a znode, nil when it is not there.
func (s *session) exists(ctx context.Context, p string) (*gozk.Stat, error) {
	return ask(ctx, s, func() (*gozk.Stat, error) {
		there, stat, err := s.conn.Exists(s.c.path(p))
		if !there {
			stat = nil
		}
		return stat, err
	})
}

// children returns the names of a znode's children, in no order.
func (s *session) children(ctx context.Context, p string) ([]string, error) {
	return ask(ctx, s, func() ([]string, error) {
		names, _, err := s.conn.Children(s.c.path(p))
		return names, err
	})
}

// ensure makes a persistent znode, and its parents, if it is not there.
func (s *session) ensure(ctx context.Context, p string, data []byte) error {
	create := func() error {
		err := s.again(ctx, func() error {
			return s.do(ctx, func() error {
				_, err := s.conn.Create(s.c.path(p), data, 0, s.c.acl())
				return err
			})
		})
		if errors.Is(err, gozk.ErrNodeExists) {
			return nil
		}
		return err
	}
	err := create()
	if errors.Is(err, gozk.ErrNoNode) && p != "/" {
		if err = s.ensure(ctx, path.Dir(p), nil); err == nil {
			err = create()
		}
	}
	return err
}

// ops are the operations of a multi.
type ops []any

func (s *session) create(p string, data []byte, flags int32) any {
	return &gozk.CreateRequest{Path: s.c.path(p), Data: data, Acl: s.c.acl(), Flags: flags}
}

func (s *session) set(p string, data []byte, version int32) any {
	return &gozk.SetDataRequest{Path: s.c.path(p), Data: data, Version: version}
}

func (s *session) delete(p string, version int32) any {
	return &gozk.DeleteRequest{Path: s.c.path(p), Version: version}
}

func (s *session) check(p string, version int32) any {
	return &gozk.CheckVersionRequest{Path: s.c.path(p), Version: version}
}

// try sends a multi once. Its outcome is unknown after an error that is not an answer.
func (s *session) try(ctx context.Context, o ops) (results []gozk.MultiResponse, err error) {
	var got []gozk.MultiResponse
	err = s.do(ctx, func() (err error) {
		got, err = s.conn.Multi(o...)
		return err
	})
	if err == nil {
		results = got
	}
	return results, err
}
