package cli

import "gregor/internal/zookeeper/proto"

// zkWatchKind is what a watch waits for, as a client has to remember it.
type zkWatchKind int

const (
	zkDataWatch zkWatchKind = iota
	zkExistWatch
	zkChildWatch
	zkPersistentWatch
	zkRecursiveWatch
)

// removed is the event that tells that a watch was removed (Watcher.Event.EventType).
func (k zkWatchKind) removed() string {
	switch k {
	case zkChildWatch:
		return "ChildWatchRemoved"
	case zkPersistentWatch, zkRecursiveWatch:
		return "PersistentWatchRemoved"
	}
	return "DataWatchRemoved"
}

// zkWatches are a session's watches, by the server's paths: a server that a client comes back to has to be told of them.
type zkWatches map[zkWatchKind]map[string]bool

func (w zkWatches) set(kind zkWatchKind, path string) {
	if w[kind] == nil {
		w[kind] = map[string]bool{}
	}
	w[kind][path] = true
}

// fired forgets the watches that an event has used up. Persistent ones stay.
func (w zkWatches) fired(event proto.EventType, path string) {
	used := map[proto.EventType][]zkWatchKind{
		proto.EventNodeCreated:         {zkDataWatch, zkExistWatch},
		proto.EventNodeDataChanged:     {zkDataWatch, zkExistWatch},
		proto.EventNodeDeleted:         {zkDataWatch, zkExistWatch, zkChildWatch},
		proto.EventNodeChildrenChanged: {zkChildWatch},
	}
	for _, kind := range used[event] {
		delete(w[kind], path)
	}
}

// remove forgets the watches of a path of the given kinds and returns the kinds that were there.
func (w zkWatches) remove(path string, kinds ...zkWatchKind) (removed []zkWatchKind) {
	for _, kind := range kinds {
		if w[kind][path] {
			delete(w[kind], path)
			removed = append(removed, kind)
		}
	}
	return removed
}

// request tells a server of all watches; nil if there are none.
func (w zkWatches) request(lastZxid int64) *proto.SetWatchesRequest {
	r := &proto.SetWatchesRequest{Type: proto.OpSetWatches2, RelativeZxid: lastZxid}
	n := 0
	for kind, list := range map[zkWatchKind]*[]string{
		zkDataWatch: &r.Data, zkExistWatch: &r.Exist, zkChildWatch: &r.Child, zkPersistentWatch: &r.Persistent, zkRecursiveWatch: &r.PersistentRecursive,
	} {
		for path := range w[kind] {
			*list = append(*list, path)
			n++
		}
	}
	if n == 0 {
		return nil
	}
	return r
}
