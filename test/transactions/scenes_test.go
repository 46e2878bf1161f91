package transactions

import (
	"fmt"
	"sort"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// scene is a sequence of requests on one connection. Topics and transactional ids have its name in theirs.
type scene struct {
	name string
	play func(*script)
}

var scenes = []scene{
	{"init", initScene},
	{"add", addScene},
	{"brokers-add", brokersAddScene},
	{"end-v1", endOldScene},
	{"end-v2", endScene},
	{"offsets", offsetsScene},
	{"produce", produceScene},
	{"fence", fenceScene},
	{"markers", markersScene},
	{"look", lookScene},
}

func initScene(s *script) {
	stranger := producer{1 << 40, 3}
	for v := int16(0); v <= 5; v++ {
		id := s.id(fmt.Sprint(v))
		s.init(v, "without an id", nil, 60_000, nobody)
		s.init(v, "empty id", kmsg.StringPtr(""), 60_000, nobody)
		s.init(v, "timeout 0", id, 0, nobody)
		s.init(v, "timeout too long", id, 900_001, nobody)
		first := s.init(v, "new id", id, 60_000, nobody)
		s.init(v, "again", id, 60_000, nobody)
		if v < 3 {
			continue
		}
		second := first.plus(1)
		third := s.init(v, "goes on", id, 60_000, second)
		s.init(v, "goes on again", id, 60_000, second)
		s.init(v, "fenced", id, 60_000, first)
		s.init(v, "from the future", id, 60_000, third.plus(9))
		s.init(v, "stranger", id, 60_000, stranger)
		s.init(v, "producer without epoch", id, 60_000, producer{third.id, -1})
		s.init(v, "epoch without producer", id, 60_000, producer{-1, 0})
		s.init(v, "a new id goes on", s.id(fmt.Sprint("other", v)), 60_000, stranger)
		s.init(v, "no id goes on", nil, 60_000, stranger)
	}
}

func addScene(s *script) {
	t := s.topic("t", 2)
	for v := int16(0); v <= 3; v++ {
		id := fmt.Sprint(v)
		p := s.begin(id)
		s.add(v, "nothing", id, p)
		s.add(v, "one", id, p, t, 0)
		s.add(v, "again and another", id, p, t, 0, t, 1)
		s.add(v, "missing partition", id, p, t, 0, t, 7)
		s.add(v, "missing topic", id, p, "no-such-topic", 0)
		s.add(v, "internal topic", id, p, "__consumer_offsets", 0, t, 0)
		s.add(v, "unknown id", id+"x", p, t, 0)
		s.add(v, "another producer", id, producer{1 << 40, 0}, t, 0)
		s.add(v, "later epoch", id, p.plus(1), t, 0)
		s.add(v, "earlier epoch", id, p.plus(-1), t, 0)
		s.describe(id)
		s.end(1, "", id, p, true)
		s.settle(id)
		s.add(v, "next transaction", id, p, t, 0)
	}
	empty := kmsg.NewPtrAddPartitionsToTxnRequest()
	empty.ProducerID, empty.Topics = 5, []kmsg.AddPartitionsToTxnRequestTopic{{Topic: t, Partitions: []int32{0}}}
	s.step(3, empty, "empty id", code(s.ask(3, empty).(*kmsg.AddPartitionsToTxnResponse).Topics[0].Partitions[0].ErrorCode))
	for v := int16(0); v <= 4; v++ {
		id := fmt.Sprint("offsets", v)
		p := s.begin(id)
		s.addOffsets(v, "group", id, p, "g")
		s.addOffsets(v, "again", id, p, "g")
		s.addOffsets(v, "empty group", id, p, "")
		s.addOffsets(v, "unknown id", id+"x", p, "g")
		s.addOffsets(v, "another producer", id, producer{1 << 40, 0}, "g")
		s.addOffsets(v, "later epoch", id, p.plus(1), "g")
	}
}

func brokersAddScene(s *script) {
	t := s.topic("t", 2)
	for v := int16(4); v <= 5; v++ {
		a, b := fmt.Sprint("a", v), fmt.Sprint("b", v)
		pa, pb := s.begin(a), s.begin(b)
		s.addAll(v, "add and verify", adding{a, pa, false, []any{t, 0}}, adding{b, pb, true, []any{t, 0}})
		s.addAll(v, "verify", adding{a, pa, true, []any{t, 0}})
		s.addAll(v, "verify one of two", adding{a, pa, true, []any{t, 1, "other", 0}})
		s.addAll(v, "verify another partition", adding{a, pa, true, []any{t, 1}})
		s.addAll(v, "missing topic", adding{a, pa, false, []any{"no-such-topic", 0, t, 1}})
		s.addAll(v, "internal topic", adding{a, pa, false, []any{"__consumer_offsets", 0}})
		for _, verify := range []bool{false, true} {
			what := fmt.Sprintf("verify=%v", verify)
			s.addAll(v, what+" unknown id", adding{"x" + a, pa, verify, []any{t, 0}})
			s.addAll(v, what+" another producer", adding{a, producer{1 << 40, 0}, verify, []any{t, 0}})
			s.addAll(v, what+" later epoch", adding{a, pa.plus(1), verify, []any{t, 0}})
		}
		s.describe(a)
		next := s.end(5, "", a, pa, true)
		s.settle(a)
		s.addAll(v, "verify afterwards", adding{a, next, true, []any{t, 0}})
		s.addAll(v, "verify with the epoch before", adding{a, pa, true, []any{t, 0}})
		s.addAll(v, "add with the epoch before", adding{a, pa, false, []any{t, 0}})
		s.addAll(v, "add to the next", adding{a, next, false, []any{t, 1}})
		s.describe(a)
	}
}

func endOldScene(s *script) {
	t := s.topic("t", 1)
	for v := int16(0); v <= 4; v++ {
		for _, commit := range []bool{true, false} {
			id := fmt.Sprintf("%d-%v", v, commit)
			p := s.begin(id)
			s.end(v, "nothing", id, p, commit)
			s.add(1, "one", id, p, t, 0)
			s.end(v, "unknown id", id+"x", p, commit)
			s.end(v, "another producer", id, producer{1 << 40, 0}, commit)
			s.end(v, "later epoch", id, p.plus(1), commit)
			s.end(v, "earlier epoch", id, p.plus(-1), commit)
			s.end(v, "", id, p, commit)
			s.settle(id)
			s.describe(id)
			s.end(v, "again", id, p, commit)
			s.end(v, "the other way", id, p, !commit)
			s.init(4, "goes on", s.id(id), 60_000, p)
			s.end(v, "with the epoch before", id, p, commit)
			s.end(v, "nothing afterwards", id, p.plus(1), commit)
		}
	}
}

func endScene(s *script) {
	t := s.topic("t", 1)
	for _, commit := range []bool{true, false} {
		id := fmt.Sprint(commit)
		p := s.begin(id)
		s.end(5, "unknown id", id+"x", p, commit)
		s.addAll(5, "one", adding{id, p, false, []any{t, 0}})
		s.end(5, "another producer", id, producer{1 << 40, 0}, commit)
		s.end(5, "later epoch", id, p.plus(1), commit)
		s.end(5, "earlier epoch", id, p.plus(-1), commit)
		next := s.end(5, "", id, p, commit)
		s.settle(id)
		s.describe(id)
		s.end(5, "again", id, p, commit)
		s.end(5, "the other way", id, p, !commit)
		s.end(5, "the next epoch, same way", id, next, commit)
		s.settle(id)
		s.describe(id)
	}
	id := "empty"
	p := s.begin(id)
	s.end(5, "nothing", id, p, true)
	next := s.end(5, "nothing", id, p, false)
	s.settle(id)
	s.describe(id)
	s.end(5, "nothing again", id, p, false)
	next = s.end(5, "nothing with the next epoch", id, next, false)
	s.settle(id)
	s.describe(id)
	s.init(4, "goes on", s.id(id), 60_000, next)
	s.end(5, "after another one began", id, next, false)
	s.end(5, "now by a client of version 1", id, next, false)

	id = "mixed"
	p = s.begin(id)
	s.add(3, "by a client of version 1", id, p, t, 0)
	next = s.end(5, "by one of version 2", id, p, true)
	s.settle(id)
	s.addAll(5, "by a broker", adding{id, next, false, []any{t, 0}})
	s.end(4, "by a client of version 1", id, next, true)
	s.settle(id)
	s.describe(id)
	s.end(4, "again", id, next, true)
	s.end(5, "again by one of version 2", id, next, true)
}

func offsetsScene(s *script) {
	t := s.topic("t", 1)
	member := func(r *kmsg.TxnOffsetCommitRequest) { r.Generation, r.MemberID = 3, "m" }
	for v := int16(0); v <= 5; v++ {
		id, group := fmt.Sprint(v), fmt.Sprintf("%s-g%d", s.name, v)
		p := s.begin(id)
		if v < 5 {
			s.commitOffset(v, "not in the transaction", id, p, group, t, 0)
			s.addOffsets(3, "group", id, p, group)
		}
		s.commitOffset(v, "", id, p, group, t, 0)
		s.commitOffset(v, "missing topic", id, p, group, "no-such-topic", 0)
		s.commitOffset(v, "missing partition", id, p, group, t, 9)
		s.commitOffset(v, "empty group", id, p, "", t, 0)
		s.commitOffset(v, "unknown id", id+"x", p, group, t, 0)
		s.commitOffset(v, "later epoch", id, p.plus(1), group, t, 0)
		s.commitOffset(v, "earlier epoch", id, p.plus(-1), group, t, 0)
		s.commitOffset(v, "metadata too large", id, p, group, t, 0, func(r *kmsg.TxnOffsetCommitRequest) {
			r.Topics[0].Partitions[0].Metadata = kmsg.StringPtr(strings.Repeat("x", 5000))
		})
		if v >= 3 {
			s.commitOffset(v, "of a member that is not there", id, p, group, t, 0, member)
			s.commitOffset(v, "of a member of no group", id, p, group+"x", t, 0, member)
		}
		s.fetchOffset(6, "committed", group, t, false)
		s.fetchOffset(7, "any", group, t, false)
		s.fetchOffset(7, "stable", group, t, true)
		version := int16(3)
		if v == 5 {
			version = 5
		}
		s.end(version, "", id, p, v%2 == 0)
		s.settle(id)
		s.fetchOffset(7, "stable afterwards", group, t, true)
	}
}

func produceScene(s *script) {
	t := s.topic("t", 2)
	for v := int16(8); v <= 12; v++ {
		id := fmt.Sprint(v)
		p := s.begin(id)
		if v < 12 {
			s.produce(v, "not in the transaction", id, p, 0, t, 0)
			s.add(3, "one", id, p, t, 0)
		}
		s.produce(v, "", id, p, 0, t, 0)
		s.produce(v, "again", id, p, 0, t, 0)
		s.produce(v, "next", id, p, 1, t, 0)
		s.produce(v, "out of sequence", id, p, 5, t, 0)
		s.produce(v, "later epoch", id, p.plus(1), 0, t, 1)
		s.produce(v, "unknown id", id+"x", producer{1<<40 + int64(v), 0}, 0, t, 1)
		s.describe(id)
		if v < 12 {
			s.end(3, "", id, p, true)
			s.settle(id)
			s.produce(v, "after the end", id, p, 2, t, 0)
			continue
		}
		next := s.end(5, "", id, p, true)
		s.settle(id)
		s.produce(v, "after the end", id, p, 2, t, 0)
		s.produce(v, "in a partition without it", id, p, 0, t, 1)
		s.produce(v, "in the next", id, next, 0, t, 0)
		s.describe(id)
		s.end(5, "", id, next, false)
	}
}

func fenceScene(s *script) {
	t := s.topic("t", 1)
	for _, v := range []int16{3, 12} {
		id := fmt.Sprint(v)
		p := s.begin(id)
		if v < 12 {
			s.add(3, "one", id, p, t, 0)
		}
		s.produce(v, "", id, p, 0, t, 0)
		s.init(4, "another one", s.id(id), 60_000, nobody)
		s.settle(id)
		s.describe(id)
		s.produce(v, "fenced", id, p, 1, t, 0)
		s.addOffsets(1, "fenced", id, p, "g")
		s.addOffsets(4, "fenced", id, p, "g")
		s.end(1, "fenced", id, p, true)
		s.end(4, "fenced", id, p, true)
		s.end(5, "fenced", id, p, true)
		s.end(5, "fenced", id, p, false)
		s.init(4, "another one asks again", s.id(id), 60_000, nobody)
		s.produce(v, "fenced", id, p, 1, t, 0)
		s.end(5, "fenced", id, p, false)
		s.init(3, "fenced", s.id(id), 60_000, p)
		s.init(4, "fenced", s.id(id), 60_000, p)
		s.describe(id)
	}
	// One that goes on with a transaction that is open.
	p := s.begin("self")
	s.produce(12, "", "self", p, 0, t, 0)
	s.init(4, "goes on", s.id("self"), 60_000, p)
	s.settle("self")
	s.init(4, "goes on again", s.id("self"), 60_000, p)
	s.describe("self")
}

func markersScene(s *script) {
	t := s.topic("t", 3)
	for v := int16(1); v <= 2; v++ {
		id := fmt.Sprint(v)
		s.begin(id)
		p := s.begin(id)
		part := int32(v)
		s.produce(12, "", id, p.plus(0), 0, t, part)
		s.producers(t, part)
		s.mark(v, "missing topic", p, 5, true, 0, "no-such-topic", 0)
		s.mark(v, "missing partition", p, 5, true, 0, t, 9)
		s.mark(v, "earlier epoch", p.plus(-1), 5, true, 0, t, part)
		if v == 2 {
			s.mark(v, "same epoch in transactions version 2", p, 5, true, 2, t, part)
			s.mark(v, "next epoch in transactions version 2", p.plus(1), 5, true, 2, t, part)
			s.mark(v, "again", p.plus(1), 5, true, 2, t, part)
			s.producers(t, part)
			s.mark(v, "earlier coordinator", p.plus(2), 4, true, 2, t, part)
			continue
		}
		s.mark(v, "same epoch", p, 5, false, 0, t, part)
		s.mark(v, "again", p, 5, false, 0, t, part)
		s.producers(t, part)
		s.mark(v, "earlier coordinator", p, 4, false, 0, t, part)
		s.mark(v, "later coordinator", p, 6, false, 0, t, part)
	}
	s.mark(1, "of nobody known", producer{1 << 41, 3}, 0, true, 0, t, 0)
	s.producers(t, 0)
	s.mark(1, "where groups keep their offsets", producer{1 << 41, 3}, 0, true, 0, "__consumer_offsets", 3)
	s.mark(1, "earlier epoch there", producer{1 << 41, 2}, 0, true, 0, "__consumer_offsets", 3)
	s.mark(1, "missing partition there", producer{1 << 41, 3}, 0, true, 0, "__consumer_offsets", 99)
	none := kmsg.NewPtrWriteTxnMarkersRequest()
	s.step(1, none, "nothing", fmt.Sprint(len(s.ask(1, none).(*kmsg.WriteTxnMarkersResponse).Markers)))
}

func lookScene(s *script) {
	t := s.topic("t", 1)
	p := s.begin("open")
	s.produce(12, "", "open", p, 0, t, 0)
	s.begin("idle")
	s.describe("open")
	s.describe("idle")
	s.describe("unknown")
	empty := s.describeOne("")
	s.say("empty id: %s %q", code(empty.ErrorCode), empty.State)
	list := func(version int16, what string, f func(*kmsg.ListTransactionsRequest)) {
		req := kmsg.NewPtrListTransactionsRequest()
		f(req)
		r := s.ask(version, req).(*kmsg.ListTransactionsResponse)
		var found []string
		for _, x := range r.TransactionStates {
			if strings.HasPrefix(x.TransactionalID, s.name+"-") {
				found = append(found, fmt.Sprintf("%s %s", x.TransactionalID, x.TransactionState))
			}
		}
		sort.Strings(found)
		s.step(version, req, what, fmt.Sprintf("%s %q, unknown %q", code(r.ErrorCode), found, r.UnknownStateFilters))
	}
	for v := int16(0); v <= 2; v++ {
		list(v, "all", func(*kmsg.ListTransactionsRequest) {})
		list(v, "Ongoing", func(r *kmsg.ListTransactionsRequest) { r.StateFilters = []string{"Ongoing"} })
		list(v, "Ongoing and nonsense", func(r *kmsg.ListTransactionsRequest) { r.StateFilters = []string{"Ongoing", "Nonsense", "ongoing"} })
		list(v, "nonsense", func(r *kmsg.ListTransactionsRequest) { r.StateFilters = []string{"Nonsense"} })
		list(v, "a producer", func(r *kmsg.ListTransactionsRequest) { r.ProducerIDFilters = []int64{p.id} })
		list(v, "Dead", func(r *kmsg.ListTransactionsRequest) {
			r.StateFilters = []string{"Dead", "PrepareEpochFence", "PrepareCommit"}
		})
	}
	list(1, "an hour old", func(r *kmsg.ListTransactionsRequest) { r.DurationFilterMillis = 3_600_000 })
	list(1, "not negative", func(r *kmsg.ListTransactionsRequest) { r.DurationFilterMillis = -2 })
	for _, pattern := range []string{s.name + "-o.*", "open", ".*open", "", "(", "(?i)LOOK-.*"} {
		list(2, "pattern "+pattern, func(r *kmsg.ListTransactionsRequest) { r.TransactionalIDPattern = &pattern })
	}
}
