package record

// Record is one record of a batch. A nil Key or Value is Kafka's null, an
// empty one is not. The slices lie in the batch or in a buffer of the
// iteration, and are valid until its next step.
type Record struct {
	Attributes int8 // unused by Kafka so far
	Offset     int64
	Timestamp  int64 // milliseconds, -1 for none
	Key, Value []byte
	Headers    []Header
}

// Header is one header of a record (KIP-82). A nil Value is null.
type Header struct {
	Key   string
	Value []byte
}

// fields is a cursor over the bytes of one record.
type fields struct {
	p  []byte
	ok bool
}

func (f *fields) varint(limit int) int64 {
	v, n := readVarlong(f.p, limit)
	if n <= 0 {
		f.ok = false
		f.p = nil
		return 0
	}
	f.p = f.p[n:]
	return v
}

// bytes reads a length and that many bytes; a length of -1 gives nil.
func (f *fields) bytes() []byte {
	n := f.varint(maxVarint)
	if n == -1 {
		return nil
	}
	if n < 0 || n > int64(len(f.p)) {
		f.ok = false
		return nil
	}
	b := f.p[:n:n]
	f.p = f.p[n:]
	return b
}

// parseRecord reads a record's body, what follows its length. Offset and
// Timestamp are left as the deltas that stand there. headers is reused.
func parseRecord(body []byte, headers []Header) (Record, error) {
	if len(body) == 0 {
		return Record{}, invalidf("record of 0 bytes")
	}
	r := Record{Attributes: int8(body[0])}
	f := fields{body[1:], true}
	r.Timestamp = f.varint(maxVarlong)
	r.Offset = f.varint(maxVarint)
	r.Key = f.bytes()
	r.Value = f.bytes()
	n := f.varint(maxVarint)
	// A header takes two bytes at least.
	if !f.ok || n < 0 || n > int64(len(f.p)/2) {
		return Record{}, invalidf("record of %d bytes: lengths do not fit", len(body))
	}
	if n > 0 {
		headers = headers[:0]
		for range n {
			key := f.bytes()
			if key == nil {
				return Record{}, invalidf("record header without a key")
			}
			headers = append(headers, Header{string(key), f.bytes()})
		}
		r.Headers = headers
	}
	if !f.ok || len(f.p) != 0 {
		return Record{}, invalidf("record of %d bytes: lengths do not fit", len(body))
	}
	return r, nil
}

// appendRecord writes a record, its length first.
func appendRecord(dst []byte, attributes int8, timestampDelta int64, offsetDelta int32, key, value []byte, headers []Header) []byte {
	size := 1 + sizeVarlong(timestampDelta) + sizeVarlong(int64(offsetDelta)) + sizeBytes(key) + sizeBytes(value) + sizeVarlong(int64(len(headers)))
	for _, h := range headers {
		size += sizeVarlong(int64(len(h.Key))) + len(h.Key) + sizeBytes(h.Value)
	}
	dst = appendVarlong(dst, int64(size))
	dst = append(dst, byte(attributes))
	dst = appendVarlong(dst, timestampDelta)
	dst = appendVarlong(dst, int64(offsetDelta))
	dst = appendBytes(dst, key)
	dst = appendBytes(dst, value)
	dst = appendVarlong(dst, int64(len(headers)))
	for _, h := range headers {
		dst = appendVarlong(dst, int64(len(h.Key)))
		dst = append(dst, h.Key...)
		dst = appendBytes(dst, h.Value)
	}
	return dst
}

func sizeBytes(b []byte) int {
	if b == nil {
		return 1
	}
	return sizeVarlong(int64(len(b))) + len(b)
}

func appendBytes(dst, b []byte) []byte {
	if b == nil {
		return append(dst, 1) // -1 in zigzag
	}
	return append(appendVarlong(dst, int64(len(b))), b...)
}
