package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestDrawCluster(t *testing.T) {
	f := clusterFacts{
		zookeeper: "localhost:2181", controller: 1, brokers: []int32{0, 1}, topic: "t", group: "g",
		partitions: []partitionFacts{
			{id: 0, leader: 0, replicas: []int32{0, 1, 2}, isr: []int32{0, 1}, end: 12},
			{id: 1, leader: 1, replicas: []int32{1, 2, 0}, isr: []int32{1}, end: 7},
			{id: 2, leader: -1, replicas: []int32{2}, isr: nil, end: -1},
		},
		members: []memberFacts{{"console-consumer-558193e3-410e-4219-862c-00494d7e280b", []int32{0}}, {"mine", []int32{1}}},
	}
	want := `
┌─────────────┬────────────┬────────────┬──────────┬─────┬─────────┬───────────────────┐
│ t           │ broker 0   │ broker 1 * │ broker 2 │ ISR │ records │ g                 │
├─────────────┼────────────┼────────────┼──────────┼─────┼─────────┼───────────────────┤
│ partition 0 │ LEADS      │ follows    │ (down)   │ 0,1 │ 12      │ consumer 558193e3 │
│ partition 1 │ catches up │ LEADS      │ (down)   │ 1   │ 7       │ mine              │
│ partition 2 │ -          │ -          │ (down)   │     │ ?       │ nobody            │
└─────────────┴────────────┴────────────┴──────────┴─────┴─────────┴───────────────────┘
* the active controller; metadata in ZooKeeper at localhost:2181
`
	if got := f.draw(); got != strings.TrimPrefix(want, "\n") {
		t.Errorf("%s, want %s", got, want)
	}
}

// What the tutorial takes for a wrong outcome.
func TestClusterFacts(t *testing.T) {
	three := []int32{0, 1, 2}
	good := func() clusterFacts {
		return clusterFacts{
			topic: "t", group: "g", brokers: three,
			partitions: []partitionFacts{{id: 0, leader: 2, isr: three}, {id: 1, leader: 0, isr: three}, {id: 2, leader: 1, isr: three}},
			members:    []memberFacts{{"a", []int32{1}}, {"b", []int32{0}}, {"c", []int32{2}}},
		}
	}
	if f := good(); f.balanced() != nil || f.inSync() != nil || f.shared(3) != nil {
		t.Fatal("a good cluster is found to be none")
	}
	for _, c := range []struct {
		change func(*clusterFacts)
		check  func(clusterFacts) error
		want   string
	}{
		{func(f *clusterFacts) { f.brokers = three[:2] }, clusterFacts.balanced, "brokers 0,1 serve, not all 3"},
		{func(f *clusterFacts) { f.partitions[2].leader = 0 }, clusterFacts.balanced, "led by 2 brokers"},
		{func(f *clusterFacts) { f.partitions[1].leader = -1 }, clusterFacts.inSync, "partition 1 of t has no leader"},
		{func(f *clusterFacts) { f.partitions[1].isr = three[1:] }, clusterFacts.inSync, "partition 1 of t has ISR 1,2, not all 3"},
		{func(f *clusterFacts) { f.partitions = f.partitions[1:] }, clusterFacts.inSync, "t has 2 partitions, not 3"},
		{func(f *clusterFacts) { f.members = f.members[1:] }, func(f clusterFacts) error { return f.shared(3) }, "has 2 members, not 3"},
		{func(f *clusterFacts) { f.members[1].id = "a" }, func(f clusterFacts) error { return f.shared(3) }, "have 2 ids"},
		{func(f *clusterFacts) { f.members[1].partitions = []int32{1} }, func(f clusterFacts) error { return f.shared(3) }, "2 partitions"},
		{func(f *clusterFacts) { f.members[1].partitions = nil }, func(f clusterFacts) error { return f.shared(3) }, "member b of group g has 0"},
		{func(f *clusterFacts) { f.members = []memberFacts{{"a", three}, {"b", nil}} }, func(f clusterFacts) error { return f.shared(2) }, "member a of group g has 3"},
	} {
		f := good()
		c.change(&f)
		if err := c.check(f); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want %q", err, c.want)
		}
	}
}

// The stage is the shipped files, but for ports and directories.
func TestStage(t *testing.T) {
	s, err := setStage("")
	if err != nil {
		t.Fatal(err)
	}
	defer s.remove()
	for name, keys := range map[string]string{
		"zookeeper.properties": "dataDir clientPort", "server0.properties": "listeners log.dirs zookeeper.connect", "server2.properties": "listeners log.dirs zookeeper.connect",
	} {
		shipped, err := os.ReadFile(filepath.Join("..", "..", "config", name))
		if err != nil {
			t.Fatal(err)
		}
		played, err := os.ReadFile(filepath.Join(s.dir, "config", name))
		if err != nil {
			t.Fatal(err)
		}
		was, is := strings.Split(string(shipped), "\n"), strings.Split(string(played), "\n")
		if len(was) != len(is) {
			t.Fatalf("%s: %d lines, and %d are shipped", name, len(is), len(was))
		}
		var differ []string
		for i := range was {
			if was[i] != is[i] {
				key, _, _ := strings.Cut(is[i], "=")
				differ = append(differ, key)
			}
		}
		if strings.Join(differ, " ") != keys {
			t.Errorf("%s: %v differ, want %s", name, differ, keys)
		}
	}
	if err := s.config(filepath.Join("..", ".."), "server0.properties", map[string]string{"nothing": "1"}); err == nil || !strings.Contains(err.Error(), "has no line nothing=") {
		t.Errorf("a line that is not there: %v", err)
	}
	for _, foreign := range []string{"nothing", "localhost:1"} {
		var out, errs bytes.Buffer
		if code := tutorialCommand().Exec(t.Context(), []string{"--zookeeper", foreign}, IO{In: strings.NewReader(""), Out: &out, Err: &errs}); code != 1 || !strings.Contains(errs.String(), foreign) {
			t.Errorf("--zookeeper %s: %d %s", foreign, code, errs.String())
		}
	}
}
