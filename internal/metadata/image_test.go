package metadata

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// naive is the metadata as plain maps, changed in place.
type naive struct {
	topics   map[string]map[int32]string // name -> partition -> leader and epochs
	ids      map[string]UUID
	configs  map[ConfigResource]map[string]string
	brokers  map[int32]string
	features map[string]int16
	quotas   map[string]float64
	nextID   byte
}

func (n *naive) String() string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(n.topics)) {
		for id := range int32(len(n.topics[name])) {
			fmt.Fprintf(&b, "%s-%d %s\n", name, id, n.topics[name][id])
		}
	}
	var configs []string
	for r, values := range n.configs {
		if len(values) > 0 {
			configs = append(configs, fmt.Sprintf("%d %q %v\n", r.Kind, r.Name, values))
		}
	}
	slices.Sort(configs)
	fmt.Fprint(&b, configs)
	for _, id := range slices.Sorted(maps.Keys(n.brokers)) {
		fmt.Fprintf(&b, "broker %d %s\n", id, n.brokers[id])
	}
	fmt.Fprintln(&b, n.features, n.quotas)
	return b.String()
}

func naiveOf(i *Image) *naive {
	n := &naive{topics: map[string]map[int32]string{}, configs: map[ConfigResource]map[string]string{}, brokers: map[int32]string{}, features: map[string]int16{}, quotas: map[string]float64{}}
	for t := range i.Topics() {
		n.topics[t.Name] = map[int32]string{}
		for id, p := range t.Partitions {
			n.topics[t.Name][int32(id)] = describe(p.Leader, p.LeaderEpoch, p.PartitionEpoch)
		}
		if i.TopicByID(t.ID) != t || i.Topic(t.Name) != t {
			panic("topics by name and by id differ")
		}
	}
	for r, values := range i.Configs() {
		n.configs[r] = values
	}
	for b := range i.Brokers() {
		n.brokers[b.ID] = fmt.Sprint(b.Epoch, b.Fenced)
	}
	maps.Copy(n.features, i.Features())
	for q := range i.Quotas() {
		n.quotas[*q.Entity[0].EntityName] = q.Values["k"]
	}
	return n
}

func describe(leader, leaderEpoch, partitionEpoch int32) string {
	return fmt.Sprintf("leader %d epoch %d.%d", leader, leaderEpoch, partitionEpoch)
}

// A random history, cut into deltas at random, gives what plain maps give; the images before it stay as they were; and
// a snapshot of the result is the result.
func TestImageIsWhatItsRecordsAddUpTo(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := naiveOf(NewImage("c"))
		n.ids = map[string]UUID{}
		image := NewImage("c")
		delta := NewDelta(image)
		var images []*Image
		var texts []string
		for offset := range int64(rapid.IntRange(1, 60).Draw(t, "records")) {
			r := n.step(t)
			if err := delta.Apply(r); err != nil {
				t.Fatalf("%+v: %v", r, err)
			}
			if rapid.IntRange(0, 3).Draw(t, "cut") > 0 {
				continue
			}
			before := image
			image = delta.Image(offset, 1)
			checkDelta(t, delta, before, image)
			images, texts = append(images, image), append(texts, naiveOf(image).String())
			if texts[len(texts)-1] != n.String() {
				t.Fatalf("image:\n%swant:\n%s", texts[len(texts)-1], n)
			}
			delta = NewDelta(image)
		}
		for i := range images {
			if got := naiveOf(images[i]).String(); got != texts[i] {
				t.Fatalf("image %d changed from\n%sto\n%s", i, texts[i], got)
			}
		}
		if len(images) > 1 {
			checkBetween(t, images[rapid.IntRange(0, len(images)-1).Draw(t, "from")], image)
		}
		again, err := image.DeltaFromEmpty()
		if err != nil {
			t.Fatal(err)
		}
		if got, want := naiveOf(again.Image(0, 0)).String(), naiveOf(image).String(); got != want {
			t.Fatalf("snapshot:\n%swant:\n%s", got, want)
		}
	})
}

// step makes one record and does by hand what it says.
func (n *naive) step(t *rapid.T) Record {
	name := string(rapid.SampledFrom([]rune("abcd")).Draw(t, "topic"))
	partitions, there := n.topics[name]
	switch kind := rapid.IntRange(0, 11).Draw(t, "kind"); {
	case kind <= 2 && !there:
		n.nextID++
		n.ids[name] = UUID{n.nextID, 15: 200}
		n.topics[name] = map[int32]string{}
		return &TopicRecord{Name: name, TopicID: n.ids[name]}
	case kind <= 4 && there:
		id := int32(len(partitions))
		partitions[id] = describe(7, 0, 0)
		return &PartitionRecord{TopicID: n.ids[name], PartitionID: id, Replicas: []int32{7}, ISR: []int32{7}, Leader: 7}
	case kind <= 6 && len(partitions) > 0:
		id := int32(rapid.IntRange(0, len(partitions)-1).Draw(t, "partition"))
		var leader, leaderEpoch, epoch int32
		fmt.Sscanf(partitions[id], "leader %d epoch %d.%d", &leader, &leaderEpoch, &epoch)
		r := NewPartitionChangeRecord()
		r.TopicID, r.PartitionID = n.ids[name], id
		if rapid.Bool().Draw(t, "leader changes") {
			r.Leader = int32(rapid.IntRange(-1, 3).Draw(t, "leader"))
			leader, leaderEpoch = r.Leader, leaderEpoch+1
		} else {
			r.ISR = []int32{1}
		}
		partitions[id] = describe(leader, leaderEpoch, epoch+1)
		return r
	case kind == 7 && there:
		delete(n.topics, name)
		delete(n.configs, ConfigResource{TopicConfig, name})
		return &RemoveTopicRecord{n.ids[name]}
	case kind == 8:
		resource := ConfigResource{TopicConfig, name}
		key := rapid.SampledFrom([]string{"x", "y"}).Draw(t, "key")
		r := &ConfigRecord{ResourceType: int8(resource.Kind), ResourceName: name, Name: key}
		if rapid.Bool().Draw(t, "set") {
			value := fmt.Sprint(rapid.IntRange(0, 9).Draw(t, "value"))
			r.Value = &value
			next := maps.Clone(n.configs[resource])
			if next == nil {
				next = map[string]string{}
			}
			next[key] = value
			n.configs[resource] = next
		} else {
			next := maps.Clone(n.configs[resource])
			delete(next, key)
			n.configs[resource] = next
		}
		return r
	case kind == 9:
		id := int32(rapid.IntRange(1, 3).Draw(t, "broker"))
		n.brokers[id] = fmt.Sprint(int64(id*10), true)
		return &RegisterBrokerRecord{BrokerID: id, BrokerEpoch: int64(id * 10), Fenced: true}
	case kind == 10 && len(n.brokers) > 0:
		id := slices.Min(slices.Collect(maps.Keys(n.brokers)))
		if rapid.Bool().Draw(t, "unregister") {
			delete(n.brokers, id)
			return &UnregisterBrokerRecord{id, int64(id * 10)}
		}
		n.brokers[id] = fmt.Sprint(int64(id*10), false)
		return &BrokerRegistrationChangeRecord{BrokerID: id, BrokerEpoch: int64(id * 10), Fenced: changeUnfence}
	}
	if rapid.Bool().Draw(t, "feature") {
		level := int16(rapid.IntRange(0, 2).Draw(t, "level"))
		n.features[name] = level
		if level == 0 {
			delete(n.features, name)
		}
		return &FeatureLevelRecord{name, level}
	}
	value := float64(rapid.IntRange(0, 3).Draw(t, "quota"))
	n.quotas[name] = value
	if value == 0 {
		delete(n.quotas, name)
	}
	return &ClientQuotaRecord{Entity: []QuotaEntity{{"user", &name}}, Key: "k", Value: value, Remove: value == 0}
}

// checkDelta makes sure that a delta tells of everything that differs.
func checkDelta(t *rapid.T, d *Delta, before, after *Image) {
	seen := map[string]bool{}
	for td := range d.Topics() {
		seen[td.Name()] = true
		if td.Deleted() != (after.TopicByID(td.ID()) == nil) || td.Created() != (before.TopicByID(td.ID()) == nil) {
			t.Fatalf("topic %s: created %t, deleted %t", td.Name(), td.Created(), td.Deleted())
		}
		if td.Deleted() {
			continue
		}
		for id, p := range td.New.Partitions {
			if changed := td.OldPartition(int32(id)) != p; changed != slices.Contains(td.Changed(), int32(id)) {
				t.Fatalf("%s-%d: changed %t, delta says %v", td.Name(), id, changed, td.Changed())
			}
		}
	}
	for _, image := range []*Image{before, after} {
		for topic := range image.Topics() {
			if !seen[topic.Name] && before.Topic(topic.Name) != after.Topic(topic.Name) {
				t.Fatalf("nobody was told of topic %s", topic.Name)
			}
		}
		for r := range image.Configs() {
			if !d.ConfigChanged(r.Kind, r.Name) && !maps.Equal(before.Config(r.Kind, r.Name), after.Config(r.Kind, r.Name)) {
				t.Fatalf("nobody was told of config %v", r)
			}
		}
	}
}

// checkBetween jumps from an image to a snapshot of a later one.
func checkBetween(t *rapid.T, before, after *Image) {
	loaded, err := after.DeltaFromEmpty()
	if err != nil {
		t.Fatal(err)
	}
	d := DeltaBetween(before, loaded.Image(after.offset, after.epoch))
	image := d.Image(after.offset, after.epoch)
	checkDelta(t, d, before, image)
	if got, want := naiveOf(image).String(), naiveOf(after).String(); got != want {
		t.Fatalf("after the jump:\n%swant:\n%s", got, want)
	}
	if image.NumPartitions() != after.NumPartitions() {
		t.Fatalf("%d partitions after the jump, want %d", image.NumPartitions(), after.NumPartitions())
	}
	if again := DeltaBetween(image, after); !again.IsEmpty() {
		t.Fatal("a jump to the same image changes something")
	}
}

func TestInconsistentRecords(t *testing.T) {
	id := UUID{1, 15: 200}
	for name, records := range map[string][]Record{
		"topic twice":            {&TopicRecord{"t", id}, &TopicRecord{"t", UUID{2, 15: 200}}},
		"id twice":               {&TopicRecord{"t", id}, &TopicRecord{"u", id}},
		"partition of nothing":   {&PartitionRecord{TopicID: id}},
		"partition after a gap":  {&TopicRecord{"t", id}, &PartitionRecord{TopicID: id, PartitionID: 1}},
		"negative partition":     {&TopicRecord{"t", id}, &PartitionRecord{TopicID: id, PartitionID: -1}},
		"change of nothing":      {&TopicRecord{"t", id}, &PartitionChangeRecord{TopicID: id}},
		"removal of nothing":     {&RemoveTopicRecord{id}},
		"removal twice":          {&TopicRecord{"t", id}, &RemoveTopicRecord{id}, &RemoveTopicRecord{id}},
		"broker that is not":     {&FenceBrokerRecord{1, 1}},
		"another broker's epoch": {&RegisterBrokerRecord{BrokerID: 1, BrokerEpoch: 5}, &UnregisterBrokerRecord{1, 4}},
	} {
		d := NewDelta(NewImage(""))
		var err error
		for _, r := range records {
			if err != nil {
				t.Errorf("%s: too early: %v", name, err)
			}
			err = d.Apply(r)
		}
		if !errors.Is(err, ErrInconsistent) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A name that was deleted and made again within one delta is told of as two topics, the old one first.
func TestDeleteAndCreateAgain(t *testing.T) {
	first := NewDelta(NewImage(""))
	apply(t, first, &TopicRecord{"t", UUID{1, 15: 200}})
	d := NewDelta(first.Image(1, 1))
	apply(t, d, &RemoveTopicRecord{UUID{1, 15: 200}}, &TopicRecord{"t", UUID{2, 15: 200}})
	var got []string
	for td := range d.Topics() {
		got = append(got, fmt.Sprintf("%s created=%t", td.Name(), td.Created()))
	}
	if fmt.Sprint(got) != "[t created=false t created=true]" {
		t.Fatal(got)
	}
	// And what was made and deleted within one is told of to nobody.
	d = NewDelta(NewImage(""))
	apply(t, d, &TopicRecord{"t", UUID{1, 15: 200}}, &RemoveTopicRecord{UUID{1, 15: 200}})
	if !d.IsEmpty() {
		t.Fatal("a delta that changes nothing is not empty")
	}
}

func apply(t testing.TB, d *Delta, records ...Record) {
	t.Helper()
	for _, r := range records {
		if err := d.Apply(r); err != nil {
			t.Fatal(err)
		}
	}
}

// imageOf has topics of ten partitions.
func imageOf(t testing.TB, partitions int) *Image {
	d := NewDelta(NewImage(""))
	for i := range partitions / 10 {
		id := UUID{byte(i >> 16), byte(i >> 8), byte(i), 15: 200}
		apply(t, d, &TopicRecord{fmt.Sprintf("topic-%06d", i), id})
		for p := range int32(10) {
			apply(t, d, &PartitionRecord{TopicID: id, PartitionID: p, Replicas: []int32{1, 2, 3}, ISR: []int32{1, 2, 3}, Leader: 1})
		}
	}
	return d.Image(0, 0)
}

// The cost of a change does not grow with the image.
func BenchmarkChangeOnePartition(b *testing.B) {
	for _, partitions := range []int{1_000, 10_000, 100_000} {
		image := imageOf(b, partitions)
		b.Run(fmt.Sprint(partitions), func(b *testing.B) {
			b.ReportAllocs()
			for i := range b.N {
				k := i % (partitions / 10)
				d := NewDelta(image)
				r := NewPartitionChangeRecord()
				r.TopicID, r.PartitionID, r.Leader = UUID{byte(k >> 16), byte(k >> 8), byte(k), 15: 200}, int32(i%10), 2
				apply(b, d, r)
				image = d.Image(int64(i), 0)
			}
		})
	}
}

func BenchmarkLoadSnapshot(b *testing.B) {
	image := imageOf(b, 10_000)
	var values [][]byte
	for r := range image.Records() {
		values = append(values, r.Append(nil))
	}
	b.ReportAllocs()
	for b.Loop() {
		d := NewDelta(NewImage(""))
		for _, v := range values {
			r, err := Parse(v)
			if err != nil {
				b.Fatal(err)
			}
			apply(b, d, r.Record)
		}
		d.Image(0, 0)
	}
}
