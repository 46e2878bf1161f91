package nats

import (
	"encoding/binary"
	"fmt"
	"time"
)

// frame is a request for a partition, encoded: each of its records has the same size. It is used again and again, with other
// numbers in the subjects that acknowledgements go to.
//
// A record by itself is acknowledged to a subject that ends in the number of its request's slot. A record of a batch (ADR-50)
// says in that subject which of the batch it is, and the server says now and then up to which it has stored all.
type frame struct {
	bytes   []byte
	records []int // where each begins
	digits  []int // where each one's number is
	turn    int   // of the partition, among those of the connection
	sent    int   // records of the batch
	stored  int   // of these
}

// digits is the width of a number.
const digits = 12

// add adds a record; the number stands between before and after.
func (f *frame) add(before, after string, record []byte) {
	f.bytes = append(f.bytes, before...)
	f.digits = append(f.digits, len(f.bytes))
	f.bytes = fmt.Appendf(f.bytes, "%0*d%s %d\r\n", digits, 0, after, len(record))
	f.records = append(f.records, len(f.bytes))
	f.bytes = append(append(f.bytes, record...), '\r', '\n')
}

func (f *frame) number(at, n int) {
	for i := at + digits - 1; i >= at; n, i = n/10, i-1 {
		f.bytes[i] = byte('0' + n%10)
	}
}

func (f *frame) stamp(due time.Time) {
	for _, at := range f.records {
		binary.BigEndian.PutUint64(f.bytes[at:], uint64(due.UnixNano()))
	}
}

// slot is the number of all records.
func (f *frame) slot(n int) {
	for _, at := range f.digits {
		f.number(at, n)
	}
}

// inBatch numbers the records as the next of the batch.
func (f *frame) inBatch() {
	const start, appended = '0', '1'
	for _, at := range f.digits {
		f.sent++
		f.number(at, f.sent)
		f.bytes[at+digits+1] = appended
		if f.sent == 1 {
			f.bytes[at+digits+1] = start
		}
	}
}
