package record

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"testing"
)

// message writes one message of format 0 or 1 with a right checksum.
func message(magic int8, offset int64, attributes byte, timestamp int64, key, value []byte) Message {
	m := binary.BigEndian.AppendUint64(nil, uint64(offset))
	m = append(m, make([]byte, 8)...) // length and checksum
	m = append(m, byte(magic), attributes)
	if magic == 1 {
		m = binary.BigEndian.AppendUint64(m, uint64(timestamp))
	}
	for _, field := range [][]byte{key, value} {
		if field == nil {
			m = binary.BigEndian.AppendUint32(m, 0xffffffff)
			continue
		}
		m = append(binary.BigEndian.AppendUint32(m, uint32(len(field))), field...)
	}
	return sealed(m)
}

// sealed puts length and checksum right.
func sealed(m Message) Message {
	binary.BigEndian.PutUint32(m[lengthAt:], uint32(len(m)-LogOverhead))
	binary.BigEndian.PutUint32(m[messageCRCAt:], m.ComputeCRC())
	return m
}

// wrapper compresses messages into one.
func wrapper(t *testing.T, magic int8, offset int64, attributes byte, timestamp int64, c Codec, inner ...Message) Message {
	t.Helper()
	payload, err := compress(nil, c, 0, bytes.Join(asBytes(inner), nil))
	if err != nil {
		t.Fatal(err)
	}
	return message(magic, offset, attributes|byte(c), timestamp, nil, payload)
}

func asBytes(ms []Message) (all [][]byte) {
	for _, m := range ms {
		all = append(all, m)
	}
	return all
}

func TestMessageOffsetsAndTimestamps(t *testing.T) {
	a, b := message(1, 0, 0, 10, []byte("a"), nil), message(1, 1, 0, 20, []byte("b"), []byte{})
	for _, r := range collect(t, wrapper(t, 1, 78, 0, 20, Gzip, a, b).Records()) {
		if want := map[string]int64{"a": 77, "b": 78}[string(r.Key)]; r.Offset != want || r.Timestamp != 10*(r.Offset-76) {
			t.Errorf("%s at %d, %d", r.Key, r.Offset, r.Timestamp)
		}
	}
	for _, r := range collect(t, wrapper(t, 1, 78, byte(AttrLogAppendTime), 99, Snappy, a, b).Records()) {
		if r.Timestamp != 99 {
			t.Errorf("%s: the broker stamped 99, not %d", r.Key, r.Timestamp)
		}
	}
	// What a compacted log holds: only some of the offsets, relative to the first that was written.
	c := message(1, 4, 0, 30, []byte("c"), nil)
	if got := collect(t, wrapper(t, 1, 104, 0, 30, LZ4, b, c).Records()); got[0].Offset != 101 || got[1].Offset != 104 {
		t.Errorf("offsets %d, %d", got[0].Offset, got[1].Offset)
	}
	zero := message(0, 55, 0, 0, nil, []byte("v"))
	if got := collect(t, wrapper(t, 0, 55, 0, 0, Gzip, zero).Records()); got[0].Offset != 55 || got[0].Timestamp != NoTimestamp {
		t.Errorf("%+v", got)
	}
}

func TestUpconvertRefuses(t *testing.T) {
	a, b := message(1, 0, 0, 10, []byte("a"), nil), message(1, 1, 0, 20, []byte("b"), nil)
	flip := func(m Message, at int) Message {
		m = bytes.Clone(m)
		m[at] ^= 1
		return m
	}
	for name, c := range map[string]struct {
		in   []byte
		want error
	}{
		"nothing":              {nil, ErrInvalidRecord},
		"magic 2":              {sample(None), ErrCorrupt},
		"torn":                 {a[:len(a)-1], ErrTruncated},
		"outer checksum":       {flip(a, len(a)-10), ErrCorrupt},
		"inner checksum":       {wrapper(t, 1, 0, 0, 0, Gzip, flip(a, messageCRCAt)), ErrCorrupt},
		"wrapper in a wrapper": {wrapper(t, 1, 0, 0, 0, Gzip, wrapper(t, 1, 0, 0, 0, Snappy, a)), ErrInvalidRecord},
		"0 in a wrapper of 1":  {wrapper(t, 1, 0, 0, 0, Gzip, message(0, 0, 0, 0, nil, nil)), ErrInvalidRecord},
		"empty wrapper":        {wrapper(t, 1, 0, 0, 0, Gzip), ErrInvalidRecord},
		"null wrapper":         {message(1, 0, byte(Gzip), 0, nil, nil), ErrUnsupportedCodec},
		"zstd wrapper":         {wrapper(t, 1, 0, 0, 0, Zstd, a), ErrUnsupportedCodec},
		"codec 5":              {message(1, 0, 5, 0, nil, []byte("x")), ErrUnsupportedCodec},
		"not gzip":             {message(1, 0, byte(Gzip), 0, nil, []byte("x")), ErrCorrupt},
		"key past the end":     {sealed(func() Message { m := bytes.Clone(a); m[messageFieldsAt+8+3] = 99; return m }()), ErrCorrupt},
		"bytes after value":    {sealed(append(bytes.Clone(a), 0)), ErrCorrupt},
		"bomb":                 {message(1, 0, byte(Gzip), 0, nil, bomb(t)), ErrTooLarge},
	} {
		if _, err := Upconvert(c.in, UpconvertOptions{}); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	falling := append(bytes.Clone(b), a...)
	if _, err := Upconvert(falling, UpconvertOptions{KeepOffsets: true}); !errors.Is(err, ErrInvalidRecord) {
		t.Error("falling offsets:", err)
	}
	far := append(bytes.Clone(a), message(1, 1<<32, 0, 0, nil, nil)...)
	if _, err := Upconvert(far, UpconvertOptions{KeepOffsets: true}); !errors.Is(err, ErrInvalidRecord) {
		t.Error("offsets too far apart:", err)
	}
	// A producer's set may have any offsets; numbered anew, it is one batch.
	if batch, err := Upconvert(falling, UpconvertOptions{}); err != nil || batch.NumRecords() != 2 || batch.LastOffset() != 1 {
		t.Error("numbered anew:", err)
	}
	if _, err := Upconvert(a, UpconvertOptions{Codec: 7}); !errors.Is(err, ErrUnsupportedCodec) {
		t.Error(err)
	}
	if _, _, err := NextMessage(nil); !errors.Is(err, io.EOF) {
		t.Error(err)
	}
}

func bomb(t *testing.T) []byte {
	t.Helper()
	payload, err := compress(nil, Gzip, 0, make([]byte, maxMessageSetBytes+1))
	if err != nil {
		t.Fatal(err)
	}
	return payload
}
