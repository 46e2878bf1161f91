package group

import (
	"cmp"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestTimers compares the heap with a sorted list.
func TestTimers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var h timers
		all := make([]*timer, 8)
		for i := range all {
			all[i] = &timer{}
		}
		set := map[*timer]int64{}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			x := rapid.SampledFrom(all).Draw(t, "timer")
			switch rapid.IntRange(0, 3).Draw(t, "what") {
			case 0, 1:
				set[x] = rapid.Int64Range(0, 100).Draw(t, "at")
				h.schedule(x, set[x], nil)
			case 2:
				delete(set, x)
				h.cancel(x)
			default:
				now := rapid.Int64Range(0, 100).Draw(t, "now")
				if due := h.due(now); due != nil {
					if at, ok := set[due]; !ok || at > now {
						t.Fatalf("a timer fired at %d that is set %v for %d", now, ok, at)
					}
					delete(set, due)
				} else if at, ok := h.next(); ok && at <= now {
					t.Fatalf("a timer set for %d did not fire at %d", at, now)
				}
			}
			if len(h) != len(set) {
				t.Fatalf("%d timers in the heap, %d set", len(h), len(set))
			}
			at, ok := h.next()
			var first *timer
			for x := range set {
				if first == nil || set[x] < set[first] {
					first = x
				}
			}
			if ok != (first != nil) || ok && at != set[first] {
				t.Fatalf("next is %d, %v", at, ok)
			}
			for _, x := range all {
				if _, want := set[x]; x.set() != want {
					t.Fatalf("a timer says %v, want %v", x.set(), want)
				}
			}
		}
	})
}

// TestSelectProtocol compares the choice with a naive count.
func TestSelectProtocol(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := newLive(0)
		for i := range rapid.IntRange(1, 5).Draw(t, "members") {
			names := rapid.Permutation([]string{"a", "b", "c", "d"}).Draw(t, "preference")
			names = names[:rapid.IntRange(1, 4).Draw(t, "offered")]
			if !slices.Contains(names, "a") {
				names = append(names, "a") // something in common
			}
			m := &member{id: string(rune('A' + i))}
			for _, n := range names {
				m.protocols = append(m.protocols, protocol{name: n})
			}
			l.add(m)
		}
		common := func(name string) bool {
			return !slices.ContainsFunc(l.order, func(m *member) bool {
				return !slices.ContainsFunc(m.protocols, func(p protocol) bool { return p.name == name })
			})
		}
		votes := map[string]int{}
		for _, m := range l.order {
			i := slices.IndexFunc(m.protocols, func(p protocol) bool { return common(p.name) })
			votes[m.protocols[i].name]++
		}
		got := l.selectProtocol()
		if !common(got) {
			t.Fatalf("%q is not offered by all", got)
		}
		for name, n := range votes {
			if cmp.Compare(n, votes[got]) > 0 {
				t.Fatalf("%q has %d votes, %q has %d", got, votes[got], name, n)
			}
		}
	})
}
