package node

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"gregor/internal/config"
	"gregor/internal/peer"
)

// TestCensus walks through what a voter may find out about the others. A line is: this node, voters 2 and 3, as
// cluster/log; "-" has no cluster, "?" did not answer; and what comes of it.
func TestCensus(t *testing.T) {
	for _, c := range []struct {
		self, two, three string
		formatted        bool
		want             string
	}{
		{"-", "?", "?", false, "waits"},
		{"-", "-", "?", false, "waits"},
		{"-", "-", "-", false, "makes the id"},
		{"-", "a", "?", false, "waits"},          // node 3 may have a log, and this node may have been its voter
		{"-", "a", "-", false, "a"},              // two have just begun
		{"-", "a", "a", false, "a"},              // the last one of a new cluster
		{"-", "a/log", "?", false, "a, joining"}, // new, or wiped: nobody knows
		{"-", "?", "a/log", false, "a, joining"},
		{"a", "?", "?", true, "waits"},
		{"a", "a", "?", true, "a"}, // two of three were formatted by hand: they begin without the third
		{"a", "-", "?", true, "a"},
		{"a", "a/log", "?", true, "a, joining"}, // formatted anew after its disk was lost
		{"a/log", "?", "?", true, "a"},          // an ordinary restart asks nobody
		{"a/log", "a/log", "a/log", true, "a"},
		{"a", "b", "?", true, "refused: cluster a cluster b"},
		{"-", "a", "b/log", false, "refused: cluster a cluster b"},
	} {
		voters := []config.Voter{{ID: 1, Host: "h", Port: 1}, {ID: 2, Host: "h", Port: 2}, {ID: 3, Host: "h", Port: 3}}
		q := census{self: who(1, c.self), formatted: c.formatted, voters: voters, answers: map[int32]answer{}}
		for id, text := range map[int32]string{2: c.two, 3: c.three} {
			if text == "?" {
				q.answers[id] = answer{err: errors.New("connection refused")}
			} else {
				q.answers[id] = answer{Identity: who(id, text), heard: true}
			}
		}
		v, err := q.decide()
		name := fmt.Sprint(c.self, " ", c.two, " ", c.three)
		if refused, ok := strings.CutPrefix(c.want, "refused: "); ok {
			if !errors.Is(err, ErrIdentity) || !strings.Contains(err.Error(), refused[:9]) || !strings.Contains(err.Error(), refused[10:]) {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		got := "waits"
		switch {
		case v.settled && v.clusterID == "":
			got = "makes the id"
		case v.settled:
			got = v.clusterID
		}
		if v.joining {
			got += ", joining"
		}
		if got != c.want || err != nil {
			t.Errorf("%s: %s, %v, want %s", name, got, err, c.want)
		}
		if got == "waits" && !strings.Contains(q.missing(), "3@h:3 (connection refused)") {
			t.Errorf("%s: waits for %s", name, q.missing())
		}
	}
}

func who(id int32, text string) peer.Identity {
	cluster, _, log := strings.Cut(text, "/")
	return peer.Identity{NodeID: id, ClusterID: strings.Trim(cluster, "-"), HasLog: log, Controller: true}
}

// Nobody but the voter with the lowest id makes a cluster's id, or there would be three.
func TestCensusOfTheOthers(t *testing.T) {
	voters := []config.Voter{{ID: 7}, {ID: 2}, {ID: 5}}
	for _, self := range []int32{7, 2, 5} {
		q := census{self: who(self, "-"), voters: voters, answers: map[int32]answer{}}
		for _, v := range voters {
			q.answers[v.ID] = answer{Identity: who(v.ID, "-"), heard: true}
		}
		if v, err := q.decide(); err != nil || v.settled != (self == 2) {
			t.Errorf("voter %d: %+v, %v", self, v, err)
		}
		if !strings.Contains(q.missing(), "lowest id") {
			t.Errorf("voter %d waits for %s", self, q.missing())
		}
	}
}

func TestCensusRefusesStrangers(t *testing.T) {
	voters := []config.Voter{{ID: 1, Host: "a", Port: 1}, {ID: 2, Host: "b", Port: 1}}
	for want, id := range map[string]peer.Identity{
		"node 9 answers there":                    {NodeID: 9, Controller: true},
		"does not have the role controller":       {NodeID: 2},
		"controller.quorum.voters has 2@b:1, but": {NodeID: 1, Controller: true},
	} {
		q := census{self: who(1, "-"), voters: voters, answers: map[int32]answer{2: {Identity: id, heard: true}}}
		if _, err := q.decide(); !errors.Is(err, ErrIdentity) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

func TestClockSkew(t *testing.T) {
	asked := time.UnixMilli(1_700_000_000_000)
	answered := asked.Add(100 * time.Millisecond)
	for _, off := range []time.Duration{0, 30 * time.Second, -30 * time.Second, time.Hour, -time.Hour} {
		want := time.Duration(0)
		if off.Abs() > maxClockSkew {
			want = off
		}
		skew := clockSkew(peer.Identity{ClockMs: asked.Add(off).UnixMilli()}, asked, answered)
		if (skew - want).Abs() > time.Second {
			t.Errorf("a clock off by %v: %v", off, skew)
		}
	}
}
