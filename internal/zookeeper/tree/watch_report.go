package tree

import (
	"iter"
	"maps"
	"slices"
)

// WatchCounts are what wchs tells: like ZooKeeper's, of the watches on data alone.
type WatchCounts struct{ Watchers, Paths, Watches int }

// Counts walks over all watches.
func (ws *Watches) Counts() WatchCounts {
	var c WatchCounts
	watchers := map[Watcher]struct{}{}
	for _, by := range ws.ByPath() {
		c.Paths++
		c.Watches += len(by)
		for _, w := range by {
			watchers[w] = struct{}{}
		}
	}
	c.Watchers = len(watchers)
	return c
}

// ByPath gives the paths whose data is watched, sorted, with their watchers, for wchp; wchc turns it round.
func (ws *Watches) ByPath() iter.Seq2[string, []Watcher] {
	return func(yield func(string, []Watcher) bool) {
		for _, path := range slices.Sorted(maps.Keys(ws.paths)) {
			var by []Watcher
			for _, w := range ws.paths[path].by {
				if !w.kind().child() && (len(by) == 0 || by[len(by)-1] != w.watcher()) {
					by = append(by, w.watcher())
				}
			}
			if len(by) > 0 && !yield(path, by) {
				return
			}
		}
	}
}
