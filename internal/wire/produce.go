package wire

import (
	"encoding/binary"
	"fmt"
	"unsafe"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// DecodeProduce reads the body of a Produce request of req.Version, 3 to 13, without what other readers allocate: req's
// strings and records are parts of body, and its slices are those that it has from the request before, if they are
// large enough. Like [Shapes.Check] it trusts no count, and returns how many bytes of memory the decoded form takes.
// Tags are passed over; no version has any of its own.
//
// What it accepts and reads is what Check and kmsg accept and read: FuzzDecodeProduce compares.
func DecodeProduce(req *kmsg.ProduceRequest, body []byte) (decodedBytes int, err error) {
	d := produceDecoder{cursor: cursor{b: body}, version: req.Version, flexible: req.Version >= 9}
	d.request(req)
	if d.err != nil {
		return 0, fmt.Errorf("%w: Produce version %d at byte %d: %w", ErrShape, req.Version, len(body)-len(d.b), d.err)
	}
	return d.memory, nil
}

type produceDecoder struct {
	cursor
	version  int16
	flexible bool
}

func (d *produceDecoder) request(req *kmsg.ProduceRequest) {
	req.TransactionID = nil
	if s, ok := d.str(true); ok {
		id := s
		req.TransactionID = &id
	}
	req.Acks, req.TimeoutMillis = d.int16(), d.int32()
	req.Topics = resize(req.Topics, d.count(int(unsafe.Sizeof(kmsg.ProduceRequestTopic{})), 6))
	for i := range req.Topics {
		t := &req.Topics[i]
		t.Topic, t.TopicID = "", [16]byte{}
		if d.version < 13 {
			t.Topic, _ = d.str(false)
		} else {
			copy(t.TopicID[:], d.take(len(t.TopicID)))
		}
		t.Partitions = resize(t.Partitions, d.count(int(unsafe.Sizeof(kmsg.ProduceRequestTopicPartition{})), 8))
		for j := range t.Partitions {
			p := &t.Partitions[j]
			p.Partition = d.int32()
			p.Records = nil
			if n := d.length(d.flexible, true); d.presentOr(true, n) {
				p.Records = d.take(n)
			}
			d.skipTags()
		}
		d.skipTags()
		if d.err != nil {
			break
		}
	}
	d.skipTags()
}

// count reads the length of an array whose elements take that much memory, decoded, and have at least least bytes on the
// wire, or fewer by what the flexible encoding saves.
func (d *produceDecoder) count(memory, least int) int {
	n := d.length(d.flexible, true)
	if !d.presentOr(false, n) {
		return 0
	}
	if d.flexible {
		least -= 3
	}
	if n > len(d.b)/least {
		d.fail(fmt.Errorf("%w: array of %d elements, %d bytes left", errShort, n, len(d.b)))
		return 0
	}
	if d.memory += n*memory + sliceGrain; d.memory > maxDecoded {
		d.fail(fmt.Errorf("decodes to more than %d bytes", maxDecoded))
		return 0
	}
	return n
}

// str reads a string; ok is false if it is null.
func (d *produceDecoder) str(nullable bool) (s string, ok bool) {
	n := d.length(d.flexible, false)
	if !d.presentOr(nullable, n) {
		return "", false
	}
	if n > 1<<15-1 {
		d.fail(fmt.Errorf("string of %d bytes", n))
	}
	b := d.take(n)
	return unsafe.String(unsafe.SliceData(b), len(b)), d.err == nil
}

func (d *produceDecoder) take(n int) []byte {
	b := d.b
	d.skip(n)
	if d.err != nil {
		return nil
	}
	return b[:n:n]
}

func (d *produceDecoder) int16() int16 {
	if b := d.take(2); b != nil {
		return int16(binary.BigEndian.Uint16(b))
	}
	return 0
}

func (d *produceDecoder) int32() int32 {
	if b := d.take(4); b != nil {
		return int32(binary.BigEndian.Uint32(b))
	}
	return 0
}

func (d *produceDecoder) skipTags() {
	if d.flexible {
		d.tags(nil)
	}
}

// resize returns a slice of n elements whose content is undefined: what s had, if it is long enough.
func resize[T any](s []T, n int) []T {
	if n > cap(s) {
		return append(s[:cap(s)], make([]T, n-cap(s))...)
	}
	return s[:n]
}

// AppendProduceResponse appends the complete frame of a response to a Produce request of resp.Version, 3 to 13: what
// kmsg appends, which compares structures by reflection to find out which tags to write.
func AppendProduceResponse(dst []byte, correlationID int32, resp *kmsg.ProduceResponse) []byte {
	w := produceWriter{encoder: encoder{b: dst, flexible: resp.Version >= 9}, version: resp.Version}
	start := len(dst)
	w.int32(0)
	w.int32(correlationID)
	w.noTags()
	w.arrayLen(len(resp.Topics))
	for i := range resp.Topics {
		t := &resp.Topics[i]
		if w.version >= 13 {
			w.b = append(w.b, t.TopicID[:]...)
		} else {
			w.str(t.Topic)
		}
		w.arrayLen(len(t.Partitions))
		for j := range t.Partitions {
			w.partition(&t.Partitions[j])
		}
		w.noTags()
	}
	w.int32(resp.ThrottleMillis)
	if w.flexible {
		w.brokers(resp.Brokers)
	}
	w.frame(start)
	return w.b
}

type produceWriter struct {
	encoder
	version int16
}

func (w *produceWriter) partition(p *kmsg.ProduceResponseTopicPartition) {
	w.int32(p.Partition)
	w.int16(p.ErrorCode)
	w.int64(p.BaseOffset)
	w.int64(p.LogAppendTime)
	if w.version >= 5 {
		w.int64(p.LogStartOffset)
	}
	if w.version >= 8 {
		w.arrayLen(len(p.ErrorRecords))
		for i := range p.ErrorRecords {
			w.int32(p.ErrorRecords[i].RelativeOffset)
			w.nullableStr(p.ErrorRecords[i].ErrorMessage)
			w.noTags()
		}
		w.nullableStr(p.ErrorMessage)
	}
	if !w.flexible {
		return
	}
	if p.CurrentLeader.LeaderID == -1 && p.CurrentLeader.LeaderEpoch == -1 {
		w.noTags()
		return
	}
	w.b = append(w.b, 1, 0, 9) // one tag: number 0, two int32 and no tags
	w.int32(p.CurrentLeader.LeaderID)
	w.int32(p.CurrentLeader.LeaderEpoch)
	w.noTags()
}

func (w *produceWriter) brokers(brokers []kmsg.ProduceResponseBroker) {
	if len(brokers) == 0 {
		w.noTags()
		return
	}
	w.b = append(w.b, 1)
	w.tag(0, func() {
		w.arrayLen(len(brokers))
		for i := range brokers {
			b := &brokers[i]
			w.int32(b.NodeID)
			w.str(b.Host)
			w.int32(b.Port)
			w.nullableStr(b.Rack)
			w.noTags()
		}
	})
}
