package tree

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"gregor/internal/zookeeper/proto"
)

// modelWatches are watches as a plain set.
type modelWatches map[modelWatch]bool

type modelWatch struct {
	w    Watcher
	kind watchKind
	path string
}

func (m modelWatches) fire(e Event) []string {
	told := map[Watcher]bool{}
	hit := func(path string, kinds ...watchKind) {
		for k := range maps.Clone(m) {
			if k.path == path && slices.Contains(kinds, k.kind) {
				told[k.w] = true
				if k.kind.once() {
					delete(m, k)
				}
			}
		}
	}
	switch e.Type {
	case proto.EventNodeChildrenChanged:
		hit(e.Path, childOnce, childPersistent)
	case proto.EventNodeDeleted:
		hit(e.Path, dataOnce, dataPersistent, childOnce, childPersistent)
	default:
		hit(e.Path, dataOnce, dataPersistent)
	}
	if e.Type != proto.EventNodeChildrenChanged {
		for path := e.Path; ; path = parentOf(path) {
			if e.Type == proto.EventNodeDeleted {
				hit(path, dataRecursive, childRecursive)
			} else {
				hit(path, dataRecursive)
			}
			if path == "/" {
				break
			}
		}
	}
	var out []string
	for _, w := range slices.Sorted(maps.Keys(told)) {
		out = append(out, fmt.Sprintf("%d %s %s", w, e.Type, e.Path))
	}
	return out
}

func TestWatchesAreTheModel(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 0))
		ws, m := NewWatches(), modelWatches{}
		path := func() string {
			if r.IntN(8) == 0 {
				return "/"
			}
			var b strings.Builder
			for range 1 + r.IntN(3) {
				b.WriteString("/" + string("ab"[r.IntN(2)]))
			}
			return b.String()
		}
		for step := range 400 {
			w, p := Watcher(1+r.IntN(5)), path()
			switch r.IntN(10) {
			case 0, 1, 2:
				k := watchKind(r.IntN(2))
				ws.add(w, k, p)
				m[modelWatch{w, k, p}] = true
			case 3:
				mode := int32(r.IntN(2))
				ws.addPersistent(w, mode, p)
				k := dataPersistent + watchKind(2*mode)
				m[modelWatch{w, k, p}], m[modelWatch{w, k + 1, p}] = true, true
			case 4:
				typ := int32(1 + r.IntN(3))
				remove := r.IntN(2) == 0
				want := proto.NoWatcher
				for k := range maps.Clone(m) {
					if k.w == w && k.path == p && (typ == 3 || k.kind.child() == (typ == 1)) {
						want = proto.OK
						if remove {
							delete(m, k)
						}
					}
				}
				req := &proto.WatchesRequest{Type: proto.OpCheckWatches, Path: p, Watcher: typ}
				if remove {
					req.Type = proto.OpRemoveWatches
				}
				if got := ws.request(w, req); got != want {
					t.Fatalf("seed %d step %d: %+v: %v, want %v", seed, step, req, got, want)
				}
			case 5:
				if r.IntN(4) == 0 {
					ws.Remove(w)
					maps.DeleteFunc(m, func(k modelWatch, _ bool) bool { return k.w == w })
				}
			default:
				e := Event{Type: proto.EventType(1 + r.IntN(4)), Path: p}
				var got []string
				ws.Fire([]Event{e}, func(w Watcher, e Event) { got = append(got, fmt.Sprintf("%d %s %s", w, e.Type, e.Path)) })
				if want := m.fire(e); !slices.Equal(got, want) {
					t.Fatalf("seed %d step %d: %+v told %v, want %v", seed, step, e, got, want)
				}
			}
			recursive := 0
			for k := range m {
				if k.kind.recursive() {
					recursive++
				}
			}
			if ws.Len() != len(m) || ws.recursive != recursive {
				t.Fatalf("seed %d step %d: %d watches, %d recursive, want %d and %d", seed, step, ws.Len(), ws.recursive, len(m), recursive)
			}
		}
		for w := range Watcher(6) {
			ws.Remove(w)
		}
		if ws.Len() != 0 || len(ws.paths) != 0 || len(ws.watchers) != 0 || ws.recursive != 0 {
			t.Fatalf("seed %d: after all have gone: %+v", seed, ws)
		}
	}
}

// TestWatcherForgetsWhatFired holds that a connection that lives long does not gather the paths of watches that are
// gone.
func TestWatcherForgetsWhatFired(t *testing.T) {
	ws := NewWatches()
	ws.add(1, dataOnce, "/stays")
	for i := range 10_000 {
		path := fmt.Sprintf("/p%d", i)
		ws.add(1, dataOnce, path)
		ws.Fire([]Event{{Type: proto.EventNodeDeleted, Path: path}}, func(Watcher, Event) {})
		ws.add(1, childOnce, "/again")
		ws.Fire([]Event{{Type: proto.EventNodeDeleted, Path: "/again"}}, func(Watcher, Event) {})
	}
	if n := len(ws.watchers[1].paths); n > 16 || ws.Len() != 1 || len(ws.paths) != 1 {
		t.Errorf("%d paths kept for %d watches, %d watched", n, ws.Len(), len(ws.paths))
	}
}
