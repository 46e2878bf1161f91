package transactions

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/internal/record"
)

// script plays a scene over one connection, each request in the version that the scene says, and writes down the answers.
type script struct {
	t    *testing.T
	name string
	net  net.Conn
	next int32
	text strings.Builder
	ids  map[int64]string // producer ids, by the order in which they came
}

// producer is a producer id and epoch.
type producer struct {
	id    int64
	epoch int16
}

func (p producer) plus(epochs int16) producer { return producer{p.id, p.epoch + epochs} }

var nobody = producer{-1, -1}

func newScript(t *testing.T, addr, name string) *script {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	s := &script{t: t, name: name, net: c, ids: map[int64]string{}}
	s.until("there are coordinators", func() bool {
		for kind, key := range []string{"g", "id"} {
			req := kmsg.NewPtrFindCoordinatorRequest()
			req.CoordinatorType, req.CoordinatorKey = int8(kind), key
			if s.ask(3, req).(*kmsg.FindCoordinatorResponse).ErrorCode != 0 {
				return false
			}
		}
		return true
	})
	return s
}

// warmUp waits until every coordinator is ready.
func (s *script) warmUp() {
	s.t.Helper()
	// Kafka's brokers find out one after the other that they lead the partitions of these topics.
	for i := range 200 {
		id := fmt.Sprint("warm", i)
		s.until("each coordinator is ready", func() bool {
			producer := kmsg.NewPtrInitProducerIDRequest()
			producer.TransactionalID, producer.TransactionTimeoutMillis = &id, 60_000
			group := kmsg.NewPtrOffsetFetchRequest()
			group.Group = id
			return s.ask(4, producer).(*kmsg.InitProducerIDResponse).ErrorCode == 0 && s.ask(7, group).(*kmsg.OffsetFetchResponse).ErrorCode == 0
		})
	}
}

func (s *script) until(what string, ok func() bool) {
	s.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !ok(); {
		if time.Now().After(deadline) {
			s.t.Fatalf("waited in vain until %s", what)
		}
		<-time.After(20 * time.Millisecond)
	}
}

func (s *script) ask(version int16, req kmsg.Request) kmsg.Response {
	s.t.Helper()
	req.SetVersion(version)
	s.next++
	_ = s.net.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := s.net.Write(kmsg.NewRequestFormatter(kmsg.FormatterClientID("test")).AppendRequest(nil, req, s.next)); err != nil {
		s.t.Fatal(err)
	}
	var head [4]byte
	if _, err := io.ReadFull(s.net, head[:]); err != nil {
		s.t.Fatalf("%s version %d: %v", kmsg.NameForKey(req.Key()), version, err)
	}
	body := make([]byte, binary.BigEndian.Uint32(head[:]))
	if _, err := io.ReadFull(s.net, body); err != nil {
		s.t.Fatal(err)
	}
	resp := req.ResponseKind()
	resp.SetVersion(version)
	r := kbin.Reader{Src: body}
	r.Int32()
	if resp.IsFlexible() {
		kmsg.SkipTags(&r)
	}
	if err := resp.ReadFrom(r.Src); err != nil {
		s.t.Fatalf("%s version %d: %v", kmsg.NameForKey(req.Key()), version, err)
	}
	return resp
}

func (s *script) say(format string, args ...any) { fmt.Fprintf(&s.text, format+"\n", args...) }

// step writes one step down.
func (s *script) step(version int16, req kmsg.Request, what string, answer string) {
	s.say("%s v%d %s: %s", kmsg.NameForKey(req.Key()), version, what, answer)
}

func code(c int16) string {
	if c == 0 {
		return "ok"
	}
	return strings.TrimSpace(kerr.TypedErrorForCode(c).Message)
}

// who names a producer id.
func (s *script) who(p producer) string {
	if p.id < 0 {
		return "nobody"
	}
	if s.ids[p.id] == "" {
		s.ids[p.id] = fmt.Sprintf("P%d", len(s.ids)+1)
	}
	return fmt.Sprintf("%s/%d", s.ids[p.id], p.epoch)
}

func (s *script) topic(name string, partitions int32) string {
	s.t.Helper()
	name = s.name + "-" + name
	req := kmsg.NewPtrCreateTopicsRequest()
	req.TimeoutMillis = 10000
	ct := kmsg.NewCreateTopicsRequestTopic()
	ct.Topic, ct.NumPartitions, ct.ReplicationFactor = name, partitions, 1
	req.Topics = append(req.Topics, ct)
	if c := s.ask(7, req).(*kmsg.CreateTopicsResponse).Topics[0].ErrorCode; c != 0 {
		s.t.Fatal(code(c))
	}
	s.until(name+" has leaders", func() bool {
		m := kmsg.NewPtrMetadataRequest()
		m.Topics = []kmsg.MetadataRequestTopic{{Topic: kmsg.StringPtr(name)}}
		r := s.ask(9, m).(*kmsg.MetadataResponse).Topics[0]
		if r.ErrorCode != 0 || len(r.Partitions) != int(partitions) {
			return false
		}
		for _, p := range r.Partitions {
			if p.ErrorCode != 0 {
				return false
			}
			req := kmsg.NewPtrDescribeProducersRequest()
			req.Topics = []kmsg.DescribeProducersRequestTopic{{Topic: name, Partitions: []int32{p.Partition}}}
			if s.ask(0, req).(*kmsg.DescribeProducersResponse).Topics[0].Partitions[0].ErrorCode != 0 {
				return false
			}
		}
		return true
	})
	return name
}

// inOrder joins answers about partitions, which Kafka gives in the order of a hash table.
func inOrder(answers []string) string {
	slices.Sort(answers)
	return strings.Join(answers, " ")
}

func (s *script) init(version int16, what string, id *string, timeoutMs int32, as producer) producer {
	s.t.Helper()
	req := kmsg.NewPtrInitProducerIDRequest()
	req.TransactionalID, req.TransactionTimeoutMillis, req.ProducerID, req.ProducerEpoch = id, timeoutMs, as.id, as.epoch
	r := s.ask(version, req).(*kmsg.InitProducerIDResponse)
	got := producer{r.ProducerID, r.ProducerEpoch}
	s.step(version, req, what, code(r.ErrorCode)+", "+s.who(got))
	return got
}

// begin gives a transactional id a producer.
func (s *script) begin(id string) producer {
	s.t.Helper()
	return s.init(4, "of "+id, s.id(id), 60_000, nobody)
}

// id is a transactional id of this scene alone.
func (s *script) id(id string) *string { return kmsg.StringPtr(s.name + "-" + id) }

func (s *script) add(version int16, what, id string, p producer, topics ...any) {
	s.t.Helper()
	req := kmsg.NewPtrAddPartitionsToTxnRequest()
	req.TransactionalID, req.ProducerID, req.ProducerEpoch = *s.id(id), p.id, p.epoch
	for i := 0; i < len(topics); i += 2 {
		req.Topics = append(req.Topics, kmsg.AddPartitionsToTxnRequestTopic{Topic: topics[i].(string), Partitions: []int32{int32(topics[i+1].(int))}})
	}
	var all []string
	for _, t := range s.ask(version, req).(*kmsg.AddPartitionsToTxnResponse).Topics {
		for _, p := range t.Partitions {
			all = append(all, fmt.Sprintf("%s-%d %s", t.Topic, p.Partition, code(p.ErrorCode)))
		}
	}
	s.step(version, req, what, inOrder(all))
}

// adding is one transaction in a request of a broker.
type adding struct {
	id     string
	p      producer
	verify bool
	topics []any
}

func (s *script) addAll(version int16, what string, all ...adding) {
	s.t.Helper()
	req := kmsg.NewPtrAddPartitionsToTxnRequest()
	for _, a := range all {
		one := kmsg.NewAddPartitionsToTxnRequestTransaction()
		one.TransactionalID, one.ProducerID, one.ProducerEpoch, one.VerifyOnly = *s.id(a.id), a.p.id, a.p.epoch, a.verify
		for i := 0; i < len(a.topics); i += 2 {
			one.Topics = append(one.Topics, kmsg.AddPartitionsToTxnRequestTransactionTopic{Topic: a.topics[i].(string), Partitions: []int32{int32(a.topics[i+1].(int))}})
		}
		req.Transactions = append(req.Transactions, one)
	}
	r := s.ask(version, req).(*kmsg.AddPartitionsToTxnResponse)
	answers := map[string][]string{}
	for _, one := range r.Transactions {
		for _, t := range one.Topics {
			for _, p := range t.Partitions {
				answers[one.TransactionalID] = append(answers[one.TransactionalID], fmt.Sprintf("%s-%d %s", t.Topic, p.Partition, code(p.ErrorCode)))
			}
		}
	}
	text := code(r.ErrorCode)
	for _, a := range all {
		text += fmt.Sprintf(", %s(%s)", a.id, inOrder(answers[*s.id(a.id)]))
	}
	s.step(version, req, what, text)
}

func (s *script) addOffsets(version int16, what, id string, p producer, group string) {
	s.t.Helper()
	req := kmsg.NewPtrAddOffsetsToTxnRequest()
	req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Group = *s.id(id), p.id, p.epoch, group
	s.step(version, req, what, code(s.ask(version, req).(*kmsg.AddOffsetsToTxnResponse).ErrorCode))
}

func (s *script) commitOffset(version int16, what, id string, p producer, group, topic string, partition int32, more ...func(*kmsg.TxnOffsetCommitRequest)) {
	s.t.Helper()
	req := kmsg.NewPtrTxnOffsetCommitRequest()
	req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Group = *s.id(id), p.id, p.epoch, group
	rt := kmsg.NewTxnOffsetCommitRequestTopic()
	rp := kmsg.NewTxnOffsetCommitRequestTopicPartition()
	rp.Partition, rp.Offset = partition, 7
	rt.Topic, rt.Partitions = topic, append(rt.Partitions, rp)
	req.Topics = append(req.Topics, rt)
	for _, f := range more {
		f(req)
	}
	var b strings.Builder
	for _, t := range s.ask(version, req).(*kmsg.TxnOffsetCommitResponse).Topics {
		for _, p := range t.Partitions {
			fmt.Fprintf(&b, " %s-%d %s", t.Topic, p.Partition, code(p.ErrorCode))
		}
	}
	s.step(version, req, what, strings.TrimSpace(b.String()))
}

func (s *script) fetchOffset(version int16, what, group, topic string, stable bool) {
	s.t.Helper()
	req := kmsg.NewPtrOffsetFetchRequest()
	req.Group, req.RequireStable = group, stable
	req.Topics = append(req.Topics, kmsg.OffsetFetchRequestTopic{Topic: topic, Partitions: []int32{0}})
	r := s.ask(version, req).(*kmsg.OffsetFetchResponse)
	p := r.Topics[0].Partitions[0]
	s.step(version, req, what, fmt.Sprintf("%s, offset %d %s", code(r.ErrorCode), p.Offset, code(p.ErrorCode)))
}

func (s *script) end(version int16, what, id string, p producer, commit bool) producer {
	s.t.Helper()
	req := kmsg.NewPtrEndTxnRequest()
	req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Commit = *s.id(id), p.id, p.epoch, commit
	r := s.ask(version, req).(*kmsg.EndTxnResponse)
	text := code(r.ErrorCode)
	if version >= 5 {
		text += ", " + s.who(producer{r.ProducerID, r.ProducerEpoch})
	}
	kind := "abort"
	if commit {
		kind = "commit"
	}
	s.step(version, req, strings.TrimSpace(kind+" "+what), text)
	return producer{r.ProducerID, r.ProducerEpoch}
}

func (s *script) describeOne(id string) kmsg.DescribeTransactionsResponseTransactionState {
	s.t.Helper()
	req := kmsg.NewPtrDescribeTransactionsRequest()
	req.TransactionalIDs = []string{id}
	return s.ask(0, req).(*kmsg.DescribeTransactionsResponse).TransactionStates[0]
}

// settle waits until the markers of an id's transaction are written.
func (s *script) settle(id string) {
	s.t.Helper()
	s.until("the markers of "+id+" are written", func() bool { return !strings.HasPrefix(s.describeOne(*s.id(id)).State, "Prepare") })
}

func (s *script) describe(id string) {
	s.t.Helper()
	d := s.describeOne(*s.id(id))
	text := fmt.Sprintf("%s %q, %s, timeout %d, began %v", code(d.ErrorCode), d.State, s.who(producer{d.ProducerID, d.ProducerEpoch}), d.TimeoutMillis, d.StartTimestamp > 0)
	slices.SortFunc(d.Topics, func(a, b kmsg.DescribeTransactionsResponseTransactionStateTopic) int {
		return strings.Compare(a.Topic, b.Topic)
	})
	for _, t := range d.Topics {
		slices.Sort(t.Partitions)
		text += fmt.Sprintf(", %s %d", t.Topic, t.Partitions)
	}
	s.step(0, &kmsg.DescribeTransactionsRequest{}, id, text)
}

// produce sends one record of a transaction.
func (s *script) produce(version int16, what, id string, p producer, sequence int32, topic string, partition int32) {
	s.t.Helper()
	b := record.NewBuilder(record.BuilderOptions{Transactional: true, Producer: &record.Producer{ID: p.id, Epoch: p.epoch, BaseSequence: sequence}})
	b.Append(time.Now().UnixMilli(), nil, []byte("x"))
	req := kmsg.NewPtrProduceRequest()
	req.TransactionID, req.Acks, req.TimeoutMillis = s.id(id), -1, 10_000
	rt := kmsg.NewProduceRequestTopic()
	rp := kmsg.NewProduceRequestTopicPartition()
	rp.Partition, rp.Records = partition, b.Build()
	rt.Topic, rt.Partitions = topic, append(rt.Partitions, rp)
	req.Topics = append(req.Topics, rt)
	r := s.ask(version, req).(*kmsg.ProduceResponse).Topics[0].Partitions[0]
	text := code(r.ErrorCode)
	if r.ErrorMessage != nil {
		text += fmt.Sprintf(" %q", *r.ErrorMessage)
	}
	s.step(version, req, what, text)
}

func (s *script) mark(version int16, what string, p producer, coordinatorEpoch int32, commit bool, transactions int8, topic string, partition int32) {
	s.t.Helper()
	req := kmsg.NewPtrWriteTxnMarkersRequest()
	m := kmsg.NewWriteTxnMarkersRequestMarker()
	m.ProducerID, m.ProducerEpoch, m.CoordinatorEpoch, m.Committed, m.TransactionVersion = p.id, p.epoch, coordinatorEpoch, commit, transactions
	m.Topics = append(m.Topics, kmsg.WriteTxnMarkersRequestMarkerTopic{Topic: topic, Partitions: []int32{partition}})
	req.Markers = append(req.Markers, m)
	text := ""
	for _, m := range s.ask(version, req).(*kmsg.WriteTxnMarkersResponse).Markers {
		for _, t := range m.Topics {
			for _, q := range t.Partitions {
				text += fmt.Sprintf("%s-%d %s", t.Topic, q.Partition, code(q.ErrorCode))
			}
		}
	}
	s.step(version, req, what, text)
}

// producers tells what a partition knows of producers.
func (s *script) producers(topic string, partition int32) {
	s.t.Helper()
	req := kmsg.NewPtrDescribeProducersRequest()
	req.Topics = []kmsg.DescribeProducersRequestTopic{{Topic: topic, Partitions: []int32{partition}}}
	r := s.ask(0, req).(*kmsg.DescribeProducersResponse).Topics[0].Partitions[0]
	text := code(r.ErrorCode)
	for _, p := range r.ActiveProducers {
		text += fmt.Sprintf(", %s last sequence %d, coordinator %d, open %v", s.who(producer{p.ProducerID, int16(p.ProducerEpoch)}), p.LastSequence,
			p.CoordinatorEpoch, p.CurrentTxnStartOffset >= 0)
	}
	s.step(0, req, topic, text)
}
