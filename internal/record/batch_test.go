package record

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"testing"
)

var codecs = []Codec{None, Gzip, Snappy, LZ4, Zstd}

// collect copies the records, whose bytes live only one step.
func collect(t testing.TB, seq func(func(Record, error) bool)) []Record {
	t.Helper()
	var out []Record
	for r, err := range seq {
		if err != nil {
			t.Fatal(err)
		}
		r.Key, r.Value = bytes.Clone(r.Key), bytes.Clone(r.Value)
		headers := r.Headers
		r.Headers = nil
		for _, h := range headers {
			r.Headers = append(r.Headers, Header{h.Key, bytes.Clone(h.Value)})
		}
		out = append(out, r)
	}
	return out
}

func failure(seq func(func(Record, error) bool)) error {
	for _, err := range seq {
		if err != nil {
			return err
		}
	}
	return nil
}

func sample(c Codec) Batch {
	b := NewBuilder(BuilderOptions{BaseOffset: 40, LeaderEpoch: 3, Codec: c, Producer: &Producer{7, 2, math.MaxInt32}})
	b.Append(1000, []byte("a"), []byte("first"))
	b.Append(900, nil, nil, Header{"h", nil}, Header{"", []byte("x")})
	b.Append(1100, []byte{}, bytes.Repeat([]byte("third "), 20000))
	return b.Build()
}

func TestBatchHeader(t *testing.T) {
	b := sample(None)
	if b.BaseOffset() != 40 || b.LastOffset() != 42 || b.NextOffset() != 43 || b.LeaderEpoch() != 3 || b.NumRecords() != 3 {
		t.Errorf("offsets %d..%d, epoch %d, %d records", b.BaseOffset(), b.LastOffset(), b.LeaderEpoch(), b.NumRecords())
	}
	if b.BaseTimestamp() != 1000 || b.MaxTimestamp() != 1100 {
		t.Errorf("timestamps %d, %d", b.BaseTimestamp(), b.MaxTimestamp())
	}
	if b.ProducerID() != 7 || b.ProducerEpoch() != 2 || b.BaseSequence() != math.MaxInt32 || b.LastSequence() != 1 {
		t.Errorf("producer %d/%d, sequences %d..%d", b.ProducerID(), b.ProducerEpoch(), b.BaseSequence(), b.LastSequence())
	}
	b.SetBaseOffset(1 << 40)
	b.SetLeaderEpoch(9)
	if err := b.CheckCRC(); err != nil || b.LastOffset() != 1<<40+2 || b.LeaderEpoch() != 9 {
		t.Errorf("patched: %v, last offset %d", err, b.LastOffset())
	}
	b.SetLogAppendTime(5000)
	if err := b.CheckCRC(); err != nil || !b.HasLogAppendTime() || b.MaxTimestamp() != 5000 {
		t.Errorf("stamped: %v, %d", err, b.MaxTimestamp())
	}
	for _, r := range collect(t, b.Records()) {
		if r.Timestamp != 5000 {
			t.Errorf("record has timestamp %d after SetLogAppendTime", r.Timestamp)
		}
	}
	b[len(b)-1] ^= 1
	if err := b.CheckCRC(); !errors.Is(err, ErrCorrupt) {
		t.Errorf("changed byte: %v", err)
	}
}

func TestNext(t *testing.T) {
	one := []byte(sample(None))
	with := func(change func(b []byte)) []byte {
		b := bytes.Clone(one)
		change(b)
		return b
	}
	for name, c := range map[string]struct {
		in   []byte
		want error
	}{
		"empty":          {nil, io.EOF},
		"half a head":    {one[:11], ErrTruncated},
		"no magic yet":   {one[:16], ErrTruncated},
		"one byte short": {one[:len(one)-1], ErrTruncated},
		"zeros":          {make([]byte, 100), ErrCorrupt},
		"magic 1":        {with(func(b []byte) { b[magicAt] = 1 }), ErrOldMagic},
		"magic 3":        {with(func(b []byte) { b[magicAt] = 3 }), ErrCorrupt},
		"negative":       {with(func(b []byte) { b[lengthAt] = 0x80 }), ErrCorrupt},
		"below header":   {with(func(b []byte) { binary.BigEndian.PutUint32(b[lengthAt:], 48) }), ErrCorrupt},
		"2 GB":           {with(func(b []byte) { binary.BigEndian.PutUint32(b[lengthAt:], math.MaxInt32) }), ErrTruncated},
	} {
		if b, rest, err := Next(c.in); !errors.Is(err, c.want) || b != nil || len(rest) != len(c.in) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	two := append(bytes.Clone(one), sample(Zstd)...)
	first, rest, err := Next(two)
	if err != nil || !bytes.Equal(first, one) {
		t.Fatal(err)
	}
	second, rest, err := Next(rest)
	if err != nil || second.Codec() != Zstd || len(rest) != 0 {
		t.Fatal(err, len(rest))
	}
}

func TestBuildAndRead(t *testing.T) {
	want := collect(t, sample(None).Records())
	if len(want) != 3 || want[1].Key != nil || want[1].Value != nil || want[2].Key == nil || want[1].Timestamp != 900 || want[2].Offset != 42 {
		t.Fatalf("%+v", want)
	}
	if h := want[1].Headers; len(h) != 2 || h[0].Key != "h" || h[0].Value != nil || string(h[1].Value) != "x" {
		t.Fatalf("%+v", h)
	}
	for _, c := range codecs {
		b := sample(c)
		if err := b.CheckCRC(); err != nil || b.Codec() != c {
			t.Fatal(c, err)
		}
		sameRecords(t, c.String(), collect(t, b.Records()), want)
		for _, to := range codecs {
			n, err := b.Recompress(to, 0)
			if err != nil || n.CheckCRC() != nil || n.Codec() != to {
				t.Fatal(c, to, err)
			}
			sameRecords(t, c.String()+" to "+to.String(), collect(t, n.Records()), want)
			if n.ProducerID() != 7 || n.BaseOffset() != 40 || n.MaxTimestamp() != 1100 {
				t.Errorf("%s to %s changed the header", c, to)
			}
		}
	}
}

func sameRecords(t *testing.T, what string, got, want []Record) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d records, want %d", what, len(got), len(want))
	}
	same := func(a, b []byte) bool { return bytes.Equal(a, b) && (a == nil) == (b == nil) }
	for i, g := range got {
		w := want[i]
		ok := g.Offset == w.Offset && g.Timestamp == w.Timestamp && same(g.Key, w.Key) && same(g.Value, w.Value) && len(g.Headers) == len(w.Headers)
		for j := range g.Headers {
			ok = ok && g.Headers[j].Key == w.Headers[j].Key && same(g.Headers[j].Value, w.Headers[j].Value)
		}
		if !ok {
			t.Errorf("%s: record %d is %.200v, want %.200v", what, i, g, w)
		}
	}
}

func TestRecompressKeepsTheHeader(t *testing.T) {
	w := NewBuilder(BuilderOptions{BaseOffset: 9, Codec: LZ4, Producer: &Producer{1, 2, 3}, Transactional: true, LogAppendTime: true, LogAppendTimeMs: 70})
	w.Append(50, nil, []byte("v"))
	b := w.Build()
	n, err := b.Recompress(Gzip, 0)
	if err != nil || n.Attributes() != b.Attributes()&^AttrCodecMask|int16(Gzip) || n.MaxTimestamp() != 70 || n.BaseSequence() != 3 || !n.IsTransactional() {
		t.Errorf("%v, attributes %x of %x", err, n.Attributes(), b.Attributes())
	}
	if same, err := n.Recompress(Gzip, 9); err != nil || &same[0] != &n[0] {
		t.Error("a batch that has the codec already was rewritten")
	}
	if _, err := b.Recompress(Codec(6), 0); !errors.Is(err, ErrUnsupportedCodec) {
		t.Error(err)
	}
}

func TestBuilder(t *testing.T) {
	w := NewBuilder(BuilderOptions{BaseOffset: 100})
	w.Append(5, nil, nil)
	w.AppendRecord(Record{Offset: 107, Timestamp: 9})
	w.AppendRecord(Record{Offset: 108, Timestamp: 7})
	if w.Count() != 3 || w.Len() <= HeaderSize {
		t.Error(w.Count(), w.Len())
	}
	b := w.Build()
	if b.MaxTimestamp() != 9 || b.LastOffset() != 108 || b.NumRecords() != 3 || b.ProducerID() != NoProducerID || b.BaseSequence() != NoSequence {
		t.Errorf("max timestamp %d, last offset %d, %d records", b.MaxTimestamp(), b.LastOffset(), b.NumRecords())
	}
	first := bytes.Clone(b)
	w.Reset(BuilderOptions{BaseOffset: 200})
	w.Append(1, nil, []byte("other"))
	if other := w.Build(); other.BaseOffset() != 200 || !bytes.Equal(b, first) {
		t.Error("a reset builder wrote into the batch it gave away")
	}
	for _, offset := range []int64{108, 107, 100 + math.MaxInt32 + 1} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("offset %d was accepted", offset)
				}
			}()
			w.Reset(BuilderOptions{BaseOffset: 100})
			w.AppendRecord(Record{Offset: 108})
			w.AppendRecord(Record{Offset: offset})
		}()
	}
}

func TestLevels(t *testing.T) {
	plain := sample(None)
	for c, levels := range map[Codec][]int{Gzip: {-1, 1, 9}, LZ4: {1, 9, 12, 17}, Zstd: {-5, 1, 3, 9, 22}, Snappy: {0}} {
		for _, level := range levels {
			b, err := plain.Recompress(c, level)
			if err != nil {
				t.Fatalf("%s level %d: %v", c, level, err)
			}
			if err := failure(b.Records()); err != nil {
				t.Errorf("%s level %d: %v", c, level, err)
			}
		}
	}
	for c, level := range map[Codec]int{Gzip: 10, LZ4: 18, Zstd: 23} {
		if _, err := plain.Recompress(c, level); err == nil {
			t.Errorf("%s level %d was accepted", c, level)
		}
	}
}

func TestEarlyStopReleases(t *testing.T) {
	for _, c := range codecs {
		for range 3 {
			for r, err := range sample(c).Records() {
				if err != nil || string(r.Value) != "first" {
					t.Fatal(c, err)
				}
				break
			}
		}
	}
}
