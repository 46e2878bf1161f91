package record

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func golden(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "kafka", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

const goldenTime = 1700000000000

func goldenRecords() []Record {
	var long strings.Builder
	for i := range 4000 {
		fmt.Fprintf(&long, "line %d ", i)
	}
	want := []Record{
		{Timestamp: goldenTime},
		{Timestamp: goldenTime + 5, Key: []byte{}, Value: []byte{}},
		{Timestamp: goldenTime - 7, Key: []byte("key"), Value: []byte("value"), Headers: []Header{{"h1", []byte("v1")}, {"h2", nil}, {"", []byte{}}}},
		{Timestamp: goldenTime + 1000, Key: []byte("long"), Value: []byte(long.String())},
	}
	for i := range 20 {
		want = append(want, Record{Timestamp: goldenTime + 2000 + int64(i), Key: fmt.Appendf(nil, "k%d", i), Value: fmt.Appendf(nil, "value number %d", i)})
	}
	for i := range want {
		want[i].Offset = int64(i)
	}
	return want
}

func TestKafkaBatches(t *testing.T) {
	for _, c := range codecs {
		b, rest, err := Next(golden(t, c.String()+".log"))
		if err != nil || len(rest) != 0 || b.Codec() != c {
			t.Fatal(c, err, len(rest))
		}
		if err := b.CheckCRC(); err != nil {
			t.Error(c, err)
		}
		if b.MaxTimestamp() != goldenTime+2019 || b.BaseTimestamp() != goldenTime || b.BaseSequence() != 0 || !b.HasProducerID() {
			t.Errorf("%s: header of %d records", c, b.NumRecords())
		}
		sameRecords(t, c.String(), collect(t, b.Records()), goldenRecords())
		if err := ValidateProduced(b, Rules{NowMs: goldenTime, BeforeMaxMs: 1 << 62, AfterMaxMs: 1 << 62}); err != nil {
			t.Error(c, err)
		}
		if !bytes.Equal(b, golden(t, c.String()+".log")) {
			t.Errorf("%s: validation changed a correct batch", c)
		}
	}
}

// An uncompressed batch has one encoding, so ours must be Kafka's to the byte.
func TestBuilderWritesKafkasBytes(t *testing.T) {
	want := Batch(golden(t, "none.log"))
	b := NewBuilder(BuilderOptions{LeaderEpoch: want.LeaderEpoch(), Producer: &Producer{want.ProducerID(), want.ProducerEpoch(), 0}})
	for _, r := range goldenRecords() {
		b.Append(r.Timestamp, r.Key, r.Value, r.Headers...)
	}
	if got := b.Build(); !bytes.Equal(got, want) {
		t.Errorf("%d bytes, want %d", len(got), len(want))
	}
}

// Compressed bytes depend on the library, but the frame around them is Kafka's: magic, flags, block size, checksum.
func TestFramesAreKafkas(t *testing.T) {
	for c, size := range map[Codec]int{Snappy: xerialHeaderSize, LZ4: 7, Zstd: 4, Gzip: 4} {
		theirs, ours := Batch(golden(t, c.String()+".log")).Payload(), sample(c).Payload()
		if !bytes.Equal(ours[:size], theirs[:size]) {
			t.Errorf("%s frame begins with %x, Kafka's with %x", c, ours[:size], theirs[:size])
		}
	}
}

func TestUpconvertKafkasMessageSets(t *testing.T) {
	for magic := range int64(2) {
		for _, c := range []Codec{None, Gzip, Snappy, LZ4} {
			name := fmt.Sprintf("magic%d-%s.bin", magic, c)
			want := []Record{
				{Timestamp: goldenTime, Value: []byte("no key")},
				{Timestamp: goldenTime + 5, Key: []byte("k1")},
				{Timestamp: goldenTime - 7, Key: []byte("k2"), Value: []byte("value")},
				{Timestamp: goldenTime + 100, Key: []byte{}, Value: []byte{}},
			}
			for i := range 5 {
				want = append(want, Record{Timestamp: goldenTime + 200 + int64(i), Key: fmt.Appendf(nil, "key%d", i), Value: fmt.Appendf(nil, "value number %d", i)})
			}
			for i := range want {
				want[i].Offset = 100 + int64(i)
				if magic == 0 {
					want[i].Timestamp = NoTimestamp
				}
			}
			for _, keep := range []bool{true, false} {
				b, err := Upconvert(golden(t, name), UpconvertOptions{Codec: Zstd, KeepOffsets: keep})
				if err != nil || b.CheckCRC() != nil || b.Codec() != Zstd {
					t.Fatalf("%s: %v", name, err)
				}
				if !keep {
					if b.BaseOffset() != 0 {
						t.Errorf("%s: base offset %d", name, b.BaseOffset())
					}
					b.SetBaseOffset(100)
				}
				sameRecords(t, name, collect(t, b.Records()), want)
			}
		}
	}
}
