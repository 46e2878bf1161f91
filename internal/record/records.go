package record

import (
	"fmt"
	"iter"
)

// Records gives the records of the batch in order. An error ends the
// iteration: ErrCorrupt or ErrUnsupportedCodec when the payload cannot be
// opened, ErrInvalidRecord when a record or the header's count is wrong,
// ErrTooLarge when the payload holds more than MaxDecompressedBytes. The
// checksum is not looked at. Breaking off early releases what was open.
func (b Batch) Records() iter.Seq2[Record, error] { return b.RecordsWithin(MaxDecompressedBytes) }

// RecordsWithin is Records with a limit of one's own on the decompressed size in bytes.
func (b Batch) RecordsWithin(limit int64) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		s, err := openSource(b.Codec(), b.Payload(), limit)
		if err != nil {
			yield(Record{}, b.at(err))
			return
		}
		defer s.close()
		baseOffset, baseTimestamp := b.BaseOffset(), b.BaseTimestamp()
		appendTime, appendTimeMs := b.HasLogAppendTime(), b.MaxTimestamp()
		var headers []Header
		for i, n := int32(0), b.NumRecords(); i < n; i++ {
			r, err := nextRecord(&s, headers)
			if err != nil {
				yield(Record{}, b.at(fmt.Errorf("record %d of %d: %w", i, n, err)))
				return
			}
			if r.Headers != nil {
				headers = r.Headers
			}
			r.Offset += baseOffset
			r.Timestamp += baseTimestamp
			if appendTime {
				r.Timestamp = appendTimeMs
			}
			if !yield(r, nil) {
				return
			}
		}
		if err := b.checkEnd(&s); err != nil {
			yield(Record{}, b.at(err))
		}
	}
}

func nextRecord(s *source, headers []Header) (Record, error) {
	size, _, err := s.varlong(maxVarint)
	if err != nil {
		return Record{}, err
	}
	if size < 0 {
		return Record{}, invalidf("record of %d bytes", size)
	}
	if size > maxRecordBytes && s.dec != nil {
		return Record{}, fmt.Errorf("%w: record of %d bytes", ErrTooLarge, size)
	}
	body, err := s.take(int(size))
	if err != nil {
		return Record{}, err
	}
	return parseRecord(body, headers)
}

// checkEnd is for the place after the last record: a count below zero, or bytes that no record accounts for.
func (b Batch) checkEnd(s *source) error {
	if b.NumRecords() < 0 {
		return invalidf("%d records", b.NumRecords())
	}
	ended, err := s.ended()
	if err != nil {
		return err
	}
	if !ended {
		return invalidf("more bytes than its %d records", b.NumRecords())
	}
	return nil
}

func (b Batch) at(err error) error { return fmt.Errorf("batch at offset %d: %w", b.BaseOffset(), err) }

// outline is what validation wants to know of a record.
type outline struct {
	timestampDelta int64
	offsetDelta    int64
	hasKey         bool
}

// nextOutline reads the next record without keeping its key, value and
// headers, so that a compressed payload passes through a fixed buffer however
// large its records are.
func nextOutline(s *source) (outline, error) {
	if o, size, ok := quickOutline(s.buf[s.pos:]); ok {
		s.pos += size
		return o, nil
	}
	return walkOutline(s)
}

func walkOutline(s *source) (outline, error) {
	length, _, err := s.varlong(maxVarint)
	if err != nil {
		return outline{}, err
	}
	if length < 1 {
		return outline{}, invalidf("record of %d bytes", length)
	}
	w := walker{s: s, left: length}
	w.skip(1)
	o := outline{timestampDelta: w.number(maxVarlong), offsetDelta: w.number(maxVarint)}
	o.hasKey = w.bytes()
	w.bytes()
	headers := w.number(maxVarint)
	if headers < 0 {
		w.fail(invalidf("%d headers", headers))
	}
	for range headers {
		if !w.bytes() {
			w.fail(invalidf("record header without a key"))
		}
		w.bytes()
		if w.err != nil {
			break
		}
	}
	if w.left != 0 {
		w.fail(invalidf("record of %d bytes: lengths do not fit", length))
	}
	return o, w.err
}

// walker steps over the fields of one record of left bytes; after the first error it does nothing.
type walker struct {
	s    *source
	left int64
	err  error
}

func (w *walker) fail(err error) {
	if w.err == nil {
		w.err = err
	}
}

func (w *walker) number(limit int) int64 {
	if w.err != nil {
		return 0
	}
	v, n, err := w.s.varlong(limit)
	if err != nil {
		w.err = err
		return 0
	}
	if w.left -= int64(n); w.left < 0 {
		w.fail(invalidf("record ends inside a number"))
		return 0
	}
	return v
}

func (w *walker) skip(n int64) {
	if w.err != nil {
		return
	}
	if n < 0 || n > w.left {
		w.err = invalidf("field of %d bytes, %d remain in the record", n, w.left)
		return
	}
	w.left -= n
	w.err = w.s.skip(int(n))
}

// bytes steps over a length and that many bytes, and tells whether it was other than null.
func (w *walker) bytes() bool {
	n := w.number(maxVarint)
	if n == -1 || w.err != nil {
		return false
	}
	w.skip(n)
	return w.err == nil
}
