package nats

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
)

// fastBatch is an endless batch for one stream (ADR-50): the reply subject of a record says which of the batch it is, and the
// server says now and then up to which it has stored all.
type fastBatch struct {
	frame
	digits     []int // where each record's number is
	sent       int   // records
	partition  int
	partitions int
	perRequest int
	first      int // number of this partition's first request
	stored     int // records
}

// fixed is the width of a record's number in the subject, so that a frame can be used again.
const fixed = 12

func (w *writer) fastBatch(partition int) *fastBatch {
	p := w.load
	b := &fastBatch{partition: partition, partitions: p.Partitions, perRequest: p.PerRequest,
		first: (partition - w.first%p.Partitions + p.Partitions) % p.Partitions}
	for range p.PerRequest {
		// The last token before the flow is the batch's name, which no other connection may have.
		head := fmt.Sprintf("PUB %s %s.%d.%d-%d.%d.fail.", p.subject(partition), w.inbox, partition, w.first, partition, p.PerRequest)
		b.digits = append(b.digits, len(b.bytes)+len(head))
		b.add(fmt.Sprintf("%s%0*d.1.$FI %d\r\n", head, fixed, 0, len(p.Record)), p.Record)
	}
	return b
}

// next numbers the records of the next request.
func (b *fastBatch) next() *frame {
	for _, at := range b.digits {
		b.sent++
		for n, i := b.sent, at+fixed-1; i >= at; n, i = n/10, i-1 {
			b.bytes[i] = byte('0' + n%10)
		}
		b.bytes[at+fixed+1] = '1' // append
		if b.sent == 1 {
			b.bytes[at+fixed+1] = '0' // start
		}
	}
	return &b.frame
}

// flow takes word of what is stored: {"type":"ack","seq":n,"msgs":m}.
func (w *writer) flow(subject, payload []byte) error {
	partition, _, _ := bytes.Cut(subject, []byte("."))
	n, err := strconv.Atoi(string(partition))
	if err != nil || n < 0 || n >= len(w.batches) {
		return fmt.Errorf("%s: not a batch of ours", subject)
	}
	var ack struct {
		Type string
		Seq  int
	}
	if err := json.Unmarshal(payload, &ack); err != nil || ack.Type != "ack" {
		return fmt.Errorf("%s: batch: %s", subject, payload)
	}
	b := w.batches[n]
	for b.stored < ack.Seq {
		request := b.stored / b.perRequest // of this partition
		count := min(ack.Seq, (request+1)*b.perRequest) - b.stored
		w.slots.Acknowledged(b.first+request*b.partitions, count)
		b.stored += count
	}
	return nil
}
