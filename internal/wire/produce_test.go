package wire

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// someProduce makes a request with everything in it that a version has.
func someProduce(version int16, topics, partitions int) *kmsg.ProduceRequest {
	req := kmsg.NewPtrProduceRequest()
	req.Version, req.Acks, req.TimeoutMillis = version, -1, 30_000
	id := "transactional"
	req.TransactionID = &id
	for i := range topics {
		t := kmsg.NewProduceRequestTopic()
		if version < 13 {
			t.Topic = fmt.Sprint("topic-", i)
		} else {
			t.TopicID = [16]byte{1, 2, byte(i)}
		}
		for j := range partitions {
			p := kmsg.NewProduceRequestTopicPartition()
			p.Partition = int32(j)
			if j != 1 { // null
				p.Records = bytes.Repeat([]byte{byte(j)}, 10*j)
			}
			t.Partitions = append(t.Partitions, p)
		}
		req.Topics = append(req.Topics, t)
	}
	return req
}

// sameProduce compares what a handler looks at; tags are nobody's.
func sameProduce(a, b *kmsg.ProduceRequest) bool {
	if a.Acks != b.Acks || a.TimeoutMillis != b.TimeoutMillis || !reflect.DeepEqual(a.TransactionID, b.TransactionID) || len(a.Topics) != len(b.Topics) {
		return false
	}
	for i := range a.Topics {
		s, t := &a.Topics[i], &b.Topics[i]
		if s.Topic != t.Topic || s.TopicID != t.TopicID || len(s.Partitions) != len(t.Partitions) {
			return false
		}
		for j := range s.Partitions {
			p, q := &s.Partitions[j], &t.Partitions[j]
			if p.Partition != q.Partition || (p.Records == nil) != (q.Records == nil) || !bytes.Equal(p.Records, q.Records) {
				return false
			}
		}
	}
	return true
}

// One request's memory serves the next: larger ones, smaller ones, all versions.
func TestDecodeProduce(t *testing.T) {
	var got kmsg.ProduceRequest
	for version := int16(3); version <= 13; version++ {
		for _, size := range [][2]int{{1, 1}, {3, 4}, {0, 0}, {2, 3}, {300, 1}} {
			want := someProduce(version, size[0], size[1])
			if size[0] == 2 {
				want.TransactionID = nil
			}
			got.Version = version
			memory, err := DecodeProduce(&got, want.AppendTo(nil))
			if err != nil {
				t.Fatalf("version %d: %v", version, err)
			}
			if !sameProduce(&got, want) {
				t.Fatalf("version %d: %+v, want %+v", version, got, want)
			}
			if least := 40 * size[0] * size[1]; memory < least {
				t.Fatalf("%d bytes of memory for %v, at least %d", memory, size, least)
			}
		}
	}
}

// FuzzDecodeProduce compares with the walk of the shape and kmsg, in the memory of another request.
func FuzzDecodeProduce(f *testing.F) {
	for version := int16(3); version <= 13; version++ {
		f.Add(uint8(version), someProduce(version, 2, 3).AppendTo(nil))
		f.Add(uint8(version), someProduce(version, 1, 1).AppendTo(nil))
	}
	f.Add(uint8(9), []byte{0, 0, 1, 0, 0, 0, 0, 2, 2, 't', 1, 1, 5, 2, 'x', 'y', 0})
	shapes := NewShapes()
	f.Fuzz(func(t *testing.T, version uint8, body []byte) {
		if version < 3 || version > 13 {
			return
		}
		got, want := someProduce(int16(version), 3, 3), new(kmsg.ProduceRequest)
		want.Version = int16(version)
		_, wrong := shapes.Check(0, want.Version, body)
		if wrong == nil {
			wrong = want.ReadFrom(body)
		}
		_, err := DecodeProduce(got, body)
		if (err == nil) != (wrong == nil) {
			t.Fatalf("error %v, of the others %v", err, wrong)
		}
		if err == nil && !sameProduce(got, want) {
			t.Fatalf("%+v, want %+v", got, want)
		}
	})
}

// The response is what kmsg makes of it, with any of its fields set and unset.
func TestAppendProduceResponse(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	maybe := func() *string {
		if rng.IntN(2) == 0 {
			return nil
		}
		s := "text"[:rng.IntN(5)]
		return &s
	}
	for range 2000 {
		resp := kmsg.NewPtrProduceResponse()
		resp.Version, resp.ThrottleMillis = int16(3+rng.IntN(11)), rng.Int32()
		for i := range rng.IntN(4) {
			out := kmsg.NewProduceResponseTopic()
			out.Topic, out.TopicID = fmt.Sprint("t", i), [16]byte{byte(i), 9}
			for j := range rng.IntN(4) {
				p := kmsg.NewProduceResponseTopicPartition()
				p.Partition, p.ErrorCode, p.BaseOffset, p.LogAppendTime, p.LogStartOffset = int32(j), int16(rng.IntN(90)), rng.Int64(), rng.Int64(), rng.Int64()
				p.ErrorMessage = maybe()
				for range rng.IntN(3) {
					p.ErrorRecords = append(p.ErrorRecords, kmsg.ProduceResponseTopicPartitionErrorRecord{RelativeOffset: rng.Int32(), ErrorMessage: maybe()})
				}
				if rng.IntN(2) == 0 {
					p.CurrentLeader.LeaderID, p.CurrentLeader.LeaderEpoch = int32(rng.IntN(3))-1, int32(rng.IntN(3))-1
				}
				out.Partitions = append(out.Partitions, p)
			}
			resp.Topics = append(resp.Topics, out)
		}
		if resp.Version >= 10 {
			for i := range rng.IntN(5) * 20 { // long enough for a size of two bytes
				resp.Brokers = append(resp.Brokers, kmsg.ProduceResponseBroker{NodeID: int32(i), Host: "host", Port: 9092, Rack: maybe()})
			}
		}
		want := AppendResponse([]byte("before"), 77, resp)
		if got := AppendProduceResponse([]byte("before"), 77, resp); !bytes.Equal(got, want) {
			t.Fatalf("version %d\n%x, want\n%x", resp.Version, got, want)
		}
	}
}

func BenchmarkDecodeProduce(b *testing.B) {
	for _, version := range []int16{8, 12} {
		req := someProduce(version, 1, 1)
		req.TransactionID = nil
		body := req.AppendTo(nil)
		b.Run(fmt.Sprint("v", version), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := DecodeProduce(req, body); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(fmt.Sprint("kmsg/v", version), func(b *testing.B) {
			shapes := NewShapes()
			b.ReportAllocs()
			for b.Loop() {
				if _, err := shapes.Check(0, version, body); err != nil {
					b.Fatal(err)
				}
				req := kmsg.NewPtrProduceRequest()
				req.Version = version
				if err := req.UnsafeReadFrom(body); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkAppendProduceResponse(b *testing.B) {
	for _, version := range []int16{8, 12} {
		resp := kmsg.NewPtrProduceResponse()
		resp.Version = version
		resp.Topics = []kmsg.ProduceResponseTopic{{Topic: "topic", Partitions: []kmsg.ProduceResponseTopicPartition{kmsg.NewProduceResponseTopicPartition()}}}
		buf := make([]byte, 0, 1<<10)
		b.Run(fmt.Sprint("v", version), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				AppendProduceResponse(buf, 1, resp)
			}
		})
		b.Run(fmt.Sprint("kmsg/v", version), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				AppendResponse(buf, 1, resp)
			}
		})
	}
}
