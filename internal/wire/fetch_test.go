package wire

import (
	"bytes"
	"encoding/binary"
	"io"
	"reflect"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// memory is a Range without a file.
type memory struct {
	b      []byte
	closed int
}

func (m *memory) Len() int                                { return len(m.b) }
func (m *memory) ReadAt(p []byte, off int64) (int, error) { return bytes.NewReader(m.b).ReadAt(p, off) }
func (m *memory) Close()                                  { m.closed++ }
func (m *memory) WriteTo(w io.Writer) (int64, error)      { n, err := w.Write(m.b); return int64(n), err }

// assemble puts a response together as the connection's writer does.
func assemble(t testing.TB, head []byte, parts []Part) []byte {
	var out bytes.Buffer
	out.Write(head)
	for _, p := range parts {
		if _, err := p.Range.WriteTo(&out); err != nil {
			t.Fatal(err)
		}
		out.Write(p.After)
		p.Range.Close()
	}
	return out.Bytes()
}

// Each version reads as kmsg reads it, and no byte is left over.
func TestFetchResponseAgreesWithTheCodec(t *testing.T) {
	rack := "r1"
	first, second := &memory{b: bytes.Repeat([]byte("ab"), 500)}, &memory{b: []byte("xyz")}
	none := &memory{}
	for v := int16(4); v <= 18; v++ {
		in := &FetchResponse{
			Version: v, ThrottleMs: 3, ErrorCode: 4, SessionID: 5,
			Topics: []FetchTopic{
				{Topic: "t", TopicID: [16]byte{1, 2}, Partitions: []FetchPartition{
					{Partition: 0, HighWatermark: 10, LastStableOffset: 9, LogStartOffset: 1, PreferredReadReplica: -1, Records: first},
					{Partition: 1, ErrorCode: 6, HighWatermark: -1, LastStableOffset: -1, LogStartOffset: -1, PreferredReadReplica: -1, CurrentLeader: &LeaderAndEpoch{7, 8}},
					{Partition: 2, HighWatermark: 10, LastStableOffset: 9, LogStartOffset: 1, PreferredReadReplica: 3, Records: none,
						Aborted: []AbortedTransaction{{1, 2}, {3, 4}}, Diverging: &EpochEnd{11, 12}, CurrentLeader: &LeaderAndEpoch{7, 8}},
				}},
				{Topic: "u", TopicID: [16]byte{3}, Partitions: []FetchPartition{
					{Partition: 5, Aborted: []AbortedTransaction{}, PreferredReadReplica: -1, Records: second},
				}},
			},
			NodeEndpoint: []FetchNode{{7, "host", 9092, &rack}, {8, "other", 9093, nil}},
		}
		all, head, parts := in.Append([]byte("before"), 99)
		if string(all[:6]) != "before" || len(parts) != 2 {
			t.Fatalf("version %d: %d parts", v, len(parts))
		}
		inline, err := Inline(head, parts, 1003, func(n int) []byte { return make([]byte, n) })
		if err != nil {
			t.Fatal(err)
		}
		if over, err := Inline(head, parts, 1002, nil); over != nil || err != nil {
			t.Fatalf("beyond the limit: %d bytes, %v", len(over), err)
		}
		b := assemble(t, head, parts)
		if !bytes.Equal(inline, b) {
			t.Fatalf("version %d: in memory it is another response", v)
		}
		if got := int(binary.BigEndian.Uint32(b)); got != len(b)-4 {
			t.Fatalf("version %d: length %d of %d", v, got, len(b)-4)
		}
		if got := binary.BigEndian.Uint32(b[4:]); got != 99 {
			t.Fatalf("version %d: correlation id %d", v, got)
		}
		body := b[8:]
		if v >= 12 {
			body = body[1:]
		}
		var got kmsg.FetchResponse
		got.Version = v
		if err := got.ReadFrom(body); err != nil {
			t.Fatalf("version %d: %v", v, err)
		}
		if again := got.AppendTo(nil); !bytes.Equal(again, body) {
			t.Fatalf("version %d: kmsg writes it otherwise\n%x\n%x", v, again, body)
		}
		want := asKmsg(in)
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("version %d:\n%+v\nwant\n%+v", v, got, want)
		}
	}
	if first.closed != 15 || second.closed != 15 || none.closed != 15 {
		t.Fatalf("ranges were closed %d, %d and %d times, want 15 each", first.closed, second.closed, none.closed)
	}
}

// asKmsg is the response as a reader of its version sees it.
func asKmsg(f *FetchResponse) kmsg.FetchResponse {
	v := f.Version
	out := kmsg.NewFetchResponse()
	out.Version, out.ThrottleMillis = v, f.ThrottleMs
	if v >= 7 {
		out.ErrorCode, out.SessionID = f.ErrorCode, f.SessionID
	}
	for _, t := range f.Topics {
		ot := kmsg.NewFetchResponseTopic()
		if v >= 13 {
			ot.TopicID = t.TopicID
		} else {
			ot.Topic = t.Topic
		}
		for _, p := range t.Partitions {
			op := kmsg.NewFetchResponseTopicPartition()
			op.Partition, op.ErrorCode, op.HighWatermark, op.LastStableOffset = p.Partition, p.ErrorCode, p.HighWatermark, p.LastStableOffset
			if v >= 5 {
				op.LogStartOffset = p.LogStartOffset
			}
			if v >= 11 {
				op.PreferredReadReplica = p.PreferredReadReplica
			}
			if p.Aborted != nil {
				op.AbortedTransactions = []kmsg.FetchResponseTopicPartitionAbortedTransaction{}
			}
			for _, a := range p.Aborted {
				oa := kmsg.NewFetchResponseTopicPartitionAbortedTransaction()
				oa.ProducerID, oa.FirstOffset = a.ProducerID, a.FirstOffset
				op.AbortedTransactions = append(op.AbortedTransactions, oa)
			}
			if v >= 12 && p.Diverging != nil {
				op.DivergingEpoch.Epoch, op.DivergingEpoch.EndOffset = p.Diverging.Epoch, p.Diverging.EndOffset
			}
			if v >= 12 && p.CurrentLeader != nil {
				op.CurrentLeader.LeaderID, op.CurrentLeader.LeaderEpoch = p.CurrentLeader.ID, p.CurrentLeader.Epoch
			}
			op.RecordBatches = []byte{}
			if p.Records != nil && p.Records.Len() > 0 {
				op.RecordBatches = p.Records.(*memory).b
			}
			ot.Partitions = append(ot.Partitions, op)
		}
		out.Topics = append(out.Topics, ot)
	}
	if v >= 16 {
		for _, n := range f.NodeEndpoint {
			on := kmsg.NewFetchResponseBroker()
			on.NodeID, on.Host, on.Port, on.Rack = n.ID, n.Host, n.Port, n.Rack
			out.Brokers = append(out.Brokers, on)
		}
	}
	return out
}

func BenchmarkFetchResponse(b *testing.B) {
	in := &FetchResponse{Version: 17, Topics: []FetchTopic{{Partitions: make([]FetchPartition, 100)}}}
	for i := range in.Topics[0].Partitions {
		in.Topics[0].Partitions[i].Records = &memory{b: make([]byte, 100)}
	}
	buf := make([]byte, 0, 64<<10)
	b.ReportAllocs()
	for b.Loop() {
		in.Append(buf, 1)
	}
}
