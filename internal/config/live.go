package config

import (
	"maps"
	"sync"
	"sync/atomic"
)

// Live is the configuration of a running broker: the properties it was started with, under what was altered at run
// time for the cluster and for this broker.
type Live struct {
	current atomic.Pointer[Values]

	mu       sync.Mutex // guards what follows and orders the calls to subscribers
	static   map[string]string
	defaults map[string]string
	own      map[string]string
	nextID   int
	subs     map[int]func(old, new *Values)
}

// NewLive starts from a broker's properties.
func NewLive(static *Values) *Live {
	l := &Live{static: static.layers[len(static.layers)-1].props, subs: map[int]func(old, new *Values){}}
	l.current.Store(static)
	return l
}

// Load returns the current values. It does not block.
func (l *Live) Load() *Values { return l.current.Load() }

// Subscribe calls f after each change, one call at a time, with the values before and after. f must return soon and
// must not call Update or Subscribe. The returned function ends the subscription.
func (l *Live) Subscribe(f func(old, new *Values)) (cancel func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	id := l.nextID
	l.nextID++
	l.subs[id] = f
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.subs, id)
	}
}

// Update replaces what was altered at run time: the cluster's defaults and this broker's own. A value that does not
// parse is refused and nothing changes.
func (l *Live) Update(defaults, own map[string]string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if maps.Equal(l.defaults, defaults) && maps.Equal(l.own, own) {
		return nil
	}
	next, err := newValues(ScopeBroker, nil,
		layer{SourceBroker, own}, layer{SourceClusterDefault, defaults}, layer{SourceStatic, l.static})
	if err != nil {
		return err
	}
	if err := checkBroker(next); err != nil {
		return err
	}
	l.defaults, l.own = defaults, own
	old := l.current.Swap(next)
	for id := range l.nextID {
		if f := l.subs[id]; f != nil {
			f(old, next)
		}
	}
	return nil
}
