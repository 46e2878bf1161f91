package replica

import "testing"

// Who was asking where the leader's log ends when the connection broke asks again on the next one.
func TestBrokenConnectionAsksAgain(t *testing.T) {
	for _, state := range []fetchState{fetchAskEnd, fetchAskStart} {
		d := &followed{f: &follower{p: &Partition{topic: "t"}, epoch: 3}, at: -1, state: state}
		m := newFetcher(&Manager{}, 2)
		m.parts[d.key] = d
		m.asking = append(m.asking, d)
		for range 3 {
			if m.ask() == nil {
				t.Fatalf("state %d: nothing is asked", state)
			}
			m.broken()
			if len(m.asking) != 1 {
				t.Fatalf("state %d: %d partitions ask", state, len(m.asking))
			}
		}
	}
}
