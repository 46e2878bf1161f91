package load

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor"
)

func TestWhole(t *testing.T) {
	a, b := &member{}, &member{}
	for _, c := range []struct {
		name string
		have map[*member]assigned
		want bool
	}{
		{"nobody", nil, false},
		{"one is missing", map[*member]assigned{a: {1, []int32{0, 1, 2}}}, false},
		{"all", map[*member]assigned{a: {3, []int32{0, 2}}, b: {3, []int32{1}}}, true},
		{"generations", map[*member]assigned{a: {3, []int32{0, 2}}, b: {4, []int32{1}}}, false},
		{"twice", map[*member]assigned{a: {3, []int32{0, 2}}, b: {3, []int32{2}}}, false},
		{"a partition is missing", map[*member]assigned{a: {3, []int32{0}}, b: {3, []int32{1}}}, false},
	} {
		if got := whole(c.have, 2, 3); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

func broker(t *testing.T) string {
	b, err := gregor.Start(t.Context(), gregor.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b.Addr()
}

// A group comes together, takes one more, loses one, and ends.
func TestGroupOnABroker(t *testing.T) {
	addr := broker(t)
	topics := Topics{Name: "grouped", Count: 1, Partitions: 13, Replicas: 1}
	if err := topics.Create(t.Context(), addr); err != nil {
		t.Fatal(err)
	}
	coordinator, err := Coordinator(t.Context(), addr, "group")
	if err != nil {
		t.Fatal(err)
	}
	g := &Group{Addr: coordinator, Name: "group", Topic: topics.Names()[0], Partitions: topics.Partitions, Heartbeat: 10 * time.Millisecond}
	g.Start(t.Context())
	if took, err := g.Join(5); err != nil || took <= 0 {
		t.Fatal(took, err)
	}
	before := g.generation()
	if _, err := g.Join(1); err != nil {
		t.Fatal(err)
	}
	if len(g.have) != 6 || g.generation() == before {
		t.Errorf("%d members, generation %d after %d", len(g.have), g.generation(), before)
	}
	if _, err := g.Leave(); err != nil {
		t.Fatal(err)
	}
	if len(g.have) != 5 {
		t.Errorf("%d members when one of six has left", len(g.have))
	}
	if err := g.Close(); err != nil {
		t.Error(err)
	}
	if len(g.have) != 0 {
		t.Errorf("%d members of a group that has ended", len(g.have))
	}
}

func (g *Group) generation() (highest int32) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, a := range g.have {
		highest = max(highest, a.generation)
	}
	return highest
}

// A group whose broker says no ends with the reason, not with patience.
func TestGroupThatCannotBe(t *testing.T) {
	g := &Group{Addr: broker(t), Name: "", Topic: "none", Partitions: 1, Heartbeat: time.Millisecond}
	g.Start(t.Context())
	if _, err := g.Join(2); err == nil {
		t.Error("a group without a name came together")
	}
	if err := g.Close(); err == nil {
		t.Error("a group without a name ended well")
	}
}

func TestTopicsOnABroker(t *testing.T) {
	addr := broker(t)
	topics := Topics{Name: "many", Count: 3, Partitions: 7, Replicas: 1, Config: []string{"segment.bytes", "1048576"}}
	if err := topics.Create(t.Context(), addr); err != nil {
		t.Fatal(err)
	}
	leaders, err := topics.Leaders(t.Context(), addr)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range topics.Names() {
		if len(leaders[name]) != 7 || leaders[name][6] != addr {
			t.Errorf("the leaders of %s are %v, not %s", name, leaders[name], addr)
		}
	}
	if err := topics.Create(t.Context(), addr); err == nil {
		t.Error("topics were made twice")
	}
	if _, err := leadersNow(t.Context(), addr, []string{"absent"}, 1, 1); err == nil {
		t.Error("a topic that is not there has leaders")
	}
	if _, err := leadersNow(t.Context(), addr, topics.Names(), 8, 1); err == nil {
		t.Error("partitions that are not there have leaders")
	}
	if _, err := leadersNow(t.Context(), addr, topics.Names(), 7, 2); err == nil {
		t.Error("a replica that is not there is in sync")
	}
	if err := Fill(t.Context(), "many-2", leaders["many-2"], Batch(3, 10, 1), 4); err != nil {
		t.Fatal(err)
	}
	ends := kmsg.NewPtrListOffsetsRequest()
	ends.SetVersion(3)
	asks := map[string]*kmsg.ListOffsetsRequest{addr: ends}
	ask(asks, addr, "many-2", 6)
	c, err := Dial(t.Context(), addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if resp, err := do[*kmsg.ListOffsetsResponse](c, ends); err != nil || resp.Topics[0].Partitions[0].Offset != 12 {
		t.Errorf("3 records, 4 times, end at %+v, %v", resp, err)
	}
	if err := Fill(t.Context(), "absent", leaders["many-2"], Batch(3, 10, 1), 4); err == nil {
		t.Error("a topic that is not there was filled")
	}
	conns, err := Idle(t.Context(), addr, 20)
	if err != nil || len(conns) != 20 {
		t.Fatal(len(conns), err)
	}
	if err := conns.Close(); err != nil {
		t.Error(err)
	}
}
