package tree

import (
	"slices"
	"strings"

	"gregor/internal/zookeeper/proto"
)

// Watcher is a connection, as the caller numbers them. A number is not used again while the process lives; it is below
// 1<<60.
type Watcher uint64

// Watches are who waits for what: soft state. It is not in the log; a connection that breaks, or a server that
// restarts, loses it, and the client sets what it still wants with setWatches, which tells it what it missed.
//
// Unlike ZooKeeper 3.8, a persistent watch and a one-shot one of the same connection on the same path do not replace
// each other (ZOOKEEPER-4466).
//
// A watch costs 16 bytes where its path is watched already, and a path that nobody else watches about a hundred more.
type Watches struct {
	paths     map[string]*watched
	watchers  map[Watcher]*watching
	total     int // one-shot and persistent ones, those on data and those on children
	recursive int
}

// watched is a path that somebody watches.
type watched struct {
	path string
	by   []watch // sorted
}

// watch is a watcher and what it waits for at one path.
type watch uint64

func makeWatch(w Watcher, k watchKind) watch { return watch(w)<<3 | watch(k) }

func (w watch) watcher() Watcher { return Watcher(w >> 3) }
func (w watch) kind() watchKind  { return watchKind(w & 7) }

// watchKind tells the six that ZooKeeper has: two tables, data and children, and three modes in each. A persistent
// watch is in both tables.
type watchKind uint8

const (
	dataOnce watchKind = iota
	childOnce
	dataPersistent
	childPersistent
	dataRecursive
	childRecursive
)

func (k watchKind) child() bool     { return k&1 == 1 }
func (k watchKind) once() bool      { return k <= childOnce }
func (k watchKind) recursive() bool { return k >= dataRecursive }

// watching is what one watcher watches. Paths may have fallen away since they were added, and may stand there twice:
// they are sifted when there are twice as many as watches.
type watching struct {
	paths []*watched
	live  int // watches
}

// NewWatches has none.
func NewWatches() *Watches {
	return &Watches{paths: map[string]*watched{}, watchers: map[Watcher]*watching{}}
}

// Len counts the watches as ZooKeeper does: a persistent one twice.
func (ws *Watches) Len() int { return ws.total }

// Fire tells each watcher what it waited for, event by event: yield is called in the order in which a connection must
// send them, and for each in the order of watchers. One-shot watches are gone before yield is called, so that a watch
// set in answer to an event is not taken for the old one. Whether a watcher may read the node is the caller's to check.
func (ws *Watches) Fire(events []Event, yield func(Watcher, Event)) {
	var hit, deleted []Watcher
	for _, e := range events {
		switch e.Type {
		case proto.EventNodeChildrenChanged:
			hit = ws.trigger(hit[:0], e.Path, true, false)
		case proto.EventNodeDeleted:
			// Who watches its data and its children hears once that it is gone.
			hit = ws.trigger(hit[:0], e.Path, false, true)
			deleted = ws.trigger(deleted[:0], e.Path, true, true)
			hit = append(hit, deleted...)
		default:
			hit = ws.trigger(hit[:0], e.Path, false, true)
		}
		slices.Sort(hit)
		for i, w := range hit {
			if i == 0 || w != hit[i-1] {
				yield(w, e)
			}
		}
	}
}

// trigger collects the watchers of a path in one of the two tables, and takes away their one-shot watches.
func (ws *Watches) trigger(hit []Watcher, path string, child, recursive bool) []Watcher {
	if p := ws.paths[path]; p != nil {
		fired := 0
		for _, w := range p.by {
			k := w.kind()
			if k.child() != child || k.recursive() && !recursive {
				continue
			}
			hit = append(hit, w.watcher())
			if k.once() {
				fired++
				ws.forget(w)
			}
		}
		if fired > 0 {
			p.by = slices.DeleteFunc(p.by, func(w watch) bool { return w.kind().once() && w.kind().child() == child })
			ws.shrink(p)
		}
	}
	if !recursive || ws.recursive == 0 {
		return hit
	}
	for parent := path; len(parent) > 1; {
		parent = parent[:max(strings.LastIndexByte(parent, '/'), 1)]
		p := ws.paths[parent]
		if p == nil {
			continue
		}
		for _, w := range p.by {
			if k := w.kind(); k.recursive() && k.child() == child {
				hit = append(hit, w.watcher())
			}
		}
	}
	return hit
}

// forget counts a watch down that its path no longer has.
func (ws *Watches) forget(w watch) {
	ws.total--
	if w.kind().recursive() {
		ws.recursive--
	}
	if own := ws.watchers[w.watcher()]; own != nil {
		own.live--
		if own.live == 0 {
			delete(ws.watchers, w.watcher())
		}
	}
}

// shrink drops a path that nobody watches any more.
func (ws *Watches) shrink(p *watched) {
	if len(p.by) == 0 {
		p.by = nil
		delete(ws.paths, p.path)
	} else if cap(p.by) > 64 && len(p.by) < cap(p.by)/4 {
		p.by = slices.Clone(p.by)
	}
}

func (ws *Watches) once(wanted bool, w Watcher, k watchKind, path string) {
	if wanted {
		ws.add(w, k, path)
	}
}

// addPersistent is addWatch; false for a mode that there is not.
func (ws *Watches) addPersistent(w Watcher, mode int32, path string) bool {
	switch mode {
	case proto.WatchPersistent:
		ws.add(w, dataPersistent, path)
		ws.add(w, childPersistent, path)
	case proto.WatchPersistentRecursive:
		ws.add(w, dataRecursive, path)
		ws.add(w, childRecursive, path)
	default:
		return false
	}
	return true
}

func (ws *Watches) add(w Watcher, k watchKind, path string) {
	p := ws.paths[path]
	if p == nil {
		path = strings.Clone(path)
		p = &watched{path: path}
		ws.paths[path] = p
	}
	entry := makeWatch(w, k)
	i, there := slices.BinarySearch(p.by, entry)
	if there {
		return
	}
	p.by = slices.Insert(p.by, i, entry)
	ws.total++
	if k.recursive() {
		ws.recursive++
	}
	own := ws.watchers[w]
	if own == nil {
		own = &watching{}
		ws.watchers[w] = own
	}
	own.live++
	own.paths = append(own.paths, p)
	if len(own.paths) >= 16 && len(own.paths) > 2*own.live {
		own.sift(w)
	}
}

// sift leaves each path once, and those that the watcher still watches.
func (own *watching) sift(w Watcher) {
	own.paths = slices.DeleteFunc(own.paths, func(p *watched) bool { from, to := p.of(w); return from == to })
	slices.SortFunc(own.paths, func(a, b *watched) int { return strings.Compare(a.path, b.path) })
	own.paths = slices.Clip(slices.Compact(own.paths))
}

// of gives where the watcher's watches lie in p.by.
func (p *watched) of(w Watcher) (from, to int) {
	from, _ = slices.BinarySearch(p.by, makeWatch(w, 0))
	to, _ = slices.BinarySearch(p.by, makeWatch(w+1, 0))
	return from, to
}

// request is checkWatches and removeWatches: NoWatcher if the watcher has none of the type at the path.
func (ws *Watches) request(w Watcher, req *proto.WatchesRequest) proto.Code {
	if req.Watcher < proto.WatcherChildren || req.Watcher > proto.WatcherAny {
		return proto.MarshallingError
	}
	p := ws.paths[req.Path]
	if p == nil {
		return proto.NoWatcher
	}
	wanted := func(e watch) bool {
		return e.watcher() == w && (req.Watcher == proto.WatcherAny || e.kind().child() == (req.Watcher == proto.WatcherChildren))
	}
	if !slices.ContainsFunc(p.by, wanted) {
		return proto.NoWatcher
	}
	if req.Type == proto.OpRemoveWatches {
		for _, e := range p.by {
			if wanted(e) {
				ws.forget(e)
			}
		}
		p.by = slices.DeleteFunc(p.by, wanted)
		ws.shrink(p)
	}
	return proto.OK
}

// Remove takes away a watcher with all its watches: its connection is closed.
func (ws *Watches) Remove(w Watcher) {
	own := ws.watchers[w]
	if own == nil {
		return
	}
	delete(ws.watchers, w)
	for _, p := range own.paths {
		from, to := p.of(w)
		for _, e := range p.by[from:to] {
			ws.forget(e)
		}
		if from < to {
			p.by = slices.Delete(p.by, from, to)
			ws.shrink(p)
		}
	}
}
