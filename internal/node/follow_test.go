package node

import (
	"slices"
	"testing"

	"gregor/internal/metadata"
)

// told notes what the groups are told of topics.
type told struct {
	partitions []int32
	deleted    []string
}

func (g *told) SetPartitions(n int32)          { g.partitions = append(g.partitions, n) }
func (g *told) OnTopicsDeleted(names []string) { g.deleted = append(g.deleted, names...) }

// A topic that is deleted and made again within one step of the metadata is another topic: the offsets that groups had
// in the first one are forgotten.
func TestGroupsForgetATopicThatIsMadeAgain(t *testing.T) {
	first, again := metadata.NewUUID(), metadata.NewUUID()
	step := func(base *metadata.Image, records ...metadata.Record) (*metadata.Delta, *metadata.Image) {
		t.Helper()
		d := metadata.NewDelta(base)
		for _, r := range records {
			if err := d.Apply(r); err != nil {
				t.Fatal(err)
			}
		}
		return d, d.Image(base.Offset()+int64(len(records)), 1)
	}
	groups := &told{}
	p := &groupPublisher{groups: groups}
	delta, image := step(metadata.NewImage("c"), &metadata.TopicRecord{Name: "orders", TopicID: first}, &metadata.TopicRecord{Name: "other", TopicID: metadata.NewUUID()})
	p.Publish(delta, image)
	if len(groups.deleted) > 0 {
		t.Fatalf("told that %v are gone when they were made", groups.deleted)
	}
	delta, image = step(image, &metadata.RemoveTopicRecord{TopicID: first}, &metadata.TopicRecord{Name: "orders", TopicID: again})
	p.Publish(delta, image)
	if !slices.Equal(groups.deleted, []string{"orders"}) {
		t.Errorf("told that %v are gone, want orders", groups.deleted)
	}
}
