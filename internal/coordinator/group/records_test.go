package group

import (
	"bytes"
	"encoding/hex"
	"errors"
	"reflect"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Records of __consumer_offsets. The first four are as Apache Kafka 4.3.0 wrote them.
var fromKafka = []struct {
	name, key, value string
	want             string
}{
	{
		"offset version 4 with the topic's id",
		"0001001b6731373935333730323638333937303633303439636f6d6d697473000c67726f75702d7363656e657300000000",
		"000400000000000000010000000301000001a2046953dc01001072f2a81d74864df99250268ddd72040c",
		"offset g1795370268397063049commits group-scenes-0: 1 epoch 3",
	},
	{
		"offset version 1 with an expire timestamp",
		"0001001b6731373935333730323638333937303633303439636f6d6d697473000c67726f75702d7363656e657300000001",
		"000100000000000000080000000001a20469540f000001a204a0428f",
		"offset g1795370268397063049commits group-scenes-1: 8 until 1795373941391",
	},
	{
		"a group that was just made",
		"0002001b6731373935333730323638333937303633303439636f6d6d697473",
		"0003000000000000ffffffff000001a2046953c300000000",
		"group g1795370268397063049commits: generation 0",
	},
	{
		"a generation of one member",
		"0002001b6731373935333730323638333937303633303439636f6d6d697473",
		"00030008636f6e73756d657200000001000572616e67650026632d64386633643930652d613366342d346139372d613434312d376664353639343033376236" +
			"000001a2046953d7000000010026632d64386633643930652d613366342d346139372d613434312d376664353639343033376236ffff000163000a2f3132" +
			"372e302e302e31000027100000271000000018000000000001000c67726f75702d7363656e6573ffffffff000000026131",
		`group g1795370268397063049commits: generation 1 of consumer/range, leader c-d8f3d90e-a3f4-4a97-a441-7fd5694037b6, c-d8f3d90e-a3f4-4a97-a441-7fd5694037b6="a1"`,
	},
	{
		"a static member",
		"0002" + "000167",
		"0003" + "0008636f6e73756d6572" + "00000001" + "000572616e6765" + "00016d" + "000001a204a3d9a4" + "00000001" +
			"00016d" + "000169" + "000163" + "00012f" + "00002710" + "00001388" + "00000002" + "0001" + "00000001" + "41",
		`group g: generation 1 of consumer/range, leader m, m(i)="A"`,
	},
	{"tombstone of an offset", "0001" + "000167" + "000174" + "00000001", "-", "offset g t-1: deleted"},
	{"tombstone of a group", "0002" + "000167", "-", "group g: deleted"},
	{"a consumer group of KIP-848", "0003" + "000167", "000000000001" + "00", "of type 3, group g"},
	{"a type nobody knows", "00ff" + "cafe", "00", "of type 255, group "},
}

func unhex(t testing.TB, s string) []byte {
	if s == "-" {
		return nil
	}
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestReadsKafkasRecords(t *testing.T) {
	for _, c := range fromKafka {
		r := offsetTombstone("", "", 0)
		r.Key, r.Value = unhex(t, c.key), unhex(t, c.value)
		if got := describeRecord(r); got != c.want {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
	}
}

// TestWritesKafkasVersions writes again what Kafka wrote.
func TestWritesKafkasVersions(t *testing.T) {
	for _, c := range fromKafka[:4] {
		key, value := unhex(t, c.key), unhex(t, c.value)
		e, err := decode(key, value)
		if err != nil {
			t.Fatal(err)
		}
		r := groupRecord(e.group, revive(e.stored))
		if e.offset != nil {
			r = offsetRecord(e.group, e.topic, e.partition, e.offset)
		}
		if !bytes.Equal(r.Key, key) || !bytes.Equal(r.Value, value) {
			t.Errorf("%s:\n got %x %x\nwant %x %x", c.name, r.Key, r.Value, key, value)
		}
	}
}

func TestReadsOldVersions(t *testing.T) {
	key := offsetKey("g", "t", 1)
	for version := int16(0); version <= 4; version++ {
		v := kmsg.OffsetCommitValue{Version: version, Offset: 5, LeaderEpoch: 7, Metadata: "m", CommitTimestamp: 9, ExpireTimestamp: 11}
		e, err := decode(key, v.AppendTo(nil))
		if err != nil {
			t.Fatal(err)
		}
		want := offset{at: 5, leaderEpoch: -1, metadata: "m", committedMs: 9, expiresMs: -1}
		if version >= 3 {
			want.leaderEpoch = 7
		}
		if version == 1 {
			want.expiresMs = 11
		}
		if *e.offset != want {
			t.Errorf("offset version %d: got %+v, want %+v", version, *e.offset, want)
		}
	}
	for version := int16(0); version <= 4; version++ {
		v := kmsg.GroupMetadataValue{Version: version, ProtocolType: "consumer", Generation: 3, CurrentStateTimestamp: 8}
		v.Members = []kmsg.GroupMetadataValueMember{{MemberID: "m", RebalanceTimeoutMillis: 20, SessionTimeoutMillis: 10}}
		e, err := decode(groupKey("g"), v.AppendTo(nil))
		if err != nil {
			t.Fatal(err)
		}
		timestamp, rebalance := int64(-1), int32(10)
		if version >= 1 {
			rebalance = 20
		}
		if version >= 2 {
			timestamp = 8
		}
		if e.stored.timestampMs != timestamp || e.stored.members[0].rebalanceTimeoutMs != rebalance || e.stored.generation != 3 {
			t.Errorf("group version %d: %+v", version, *e.stored)
		}
	}
}

func TestRefusesBadRecords(t *testing.T) {
	good := groupRecord("g", newLive(0))
	for name, kv := range map[string][2][]byte{
		"no key":               {nil, nil},
		"half a type":          {{0}, nil},
		"short offset key":     {{0, 1, 0}, nil},
		"short group key":      {{0, 2, 0}, nil},
		"short offset value":   {offsetKey("g", "t", 1), {0, 3, 0}},
		"future offset value":  {offsetKey("g", "t", 1), append([]byte{0, 5}, make([]byte, 40)...)},
		"future group value":   {groupKey("g"), append([]byte{0, 5}, good.Value[2:]...)},
		"group cut short":      {groupKey("g"), good.Value[:len(good.Value)-1]},
		"two billion members":  {groupKey("g"), append(good.Value[:len(good.Value)-4:len(good.Value)-4], 0x7f, 0xff, 0xff, 0xff)},
		"short consumer group": {{0, 3}, {0}},
	} {
		if _, err := decode(kv[0], kv[1]); !errors.Is(err, ErrBadRecord) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// FuzzDecode: no record of the log can do harm, and what is read is written so that it reads the same.
func FuzzDecode(f *testing.F) {
	for _, c := range fromKafka {
		f.Add(unhex(f, c.key), unhex(f, c.value))
	}
	f.Fuzz(func(t *testing.T, key, value []byte) {
		m := NewMachine(DefaultConfig, nil)
		r := offsetTombstone("", "", 0)
		r.Key, r.Value = key, value
		m.Apply(1, r)
		m.Committed(1)
		e, err := decode(key, value)
		if err != nil {
			return
		}
		switch {
		case e.offset != nil:
			r = offsetRecord(e.group, e.topic, e.partition, e.offset)
		case e.stored != nil:
			r = groupRecord(e.group, revive(e.stored))
		default:
			return
		}
		again, err := decode(r.Key, r.Value)
		if err != nil {
			t.Fatalf("what was written does not read: %v", err)
		}
		if e.offset != nil && e.offset.expiresMs == -1 && !reflect.DeepEqual(*e.offset, *again.offset) {
			t.Fatalf("wrote %+v, read %+v", *e.offset, *again.offset)
		}
		if e.stored != nil && e.stored.generation != again.stored.generation {
			t.Fatalf("wrote %+v, read %+v", *e.stored, *again.stored)
		}
	})
}

// FuzzSubscription: a member may send anything as its metadata.
func FuzzSubscription(f *testing.F) {
	f.Add(subscription(""))
	f.Add(subscription("t+u"))
	f.Add([]byte{0, 3, 0x7f, 0xff, 0xff, 0xff, 0, 1, 'a'})
	f.Fuzz(func(t *testing.T, b []byte) {
		topics := map[string]struct{}{}
		if !readSubscription(b, topics) {
			return
		}
		size := 0
		for name := range topics {
			size += len(name)
		}
		if size > len(b) {
			t.Fatalf("%d bytes of names out of %d", size, len(b))
		}
	})
}
