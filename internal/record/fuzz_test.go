package record

import (
	"bytes"
	"testing"
)

func seeds(f *testing.F) {
	for _, c := range codecs {
		f.Add([]byte(sample(c)))
	}
	for _, name := range []string{"gzip.log", "snappy.log", "lz4.log", "zstd.log"} {
		f.Add(golden(f, name))
	}
	f.Add([]byte(EndTxnBatch(1, 2, false, 3, 4)))
	f.Add(append([]byte(sample(LZ4)), golden(f, "magic1-gzip.bin")...))
	f.Add(make([]byte, 64))
}

// Whatever Next gives must lie in its input, piece after piece, and its accessors must not panic.
func FuzzNext(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, in []byte) {
		total := 0
		for rest := in; ; {
			b, next, err := Next(rest)
			if err != nil {
				if b != nil || len(next) != len(rest) {
					t.Fatal("an error and a result")
				}
				break
			}
			if len(b) < HeaderSize || len(b)+len(next) != len(rest) {
				t.Fatalf("%d + %d of %d bytes", len(b), len(next), len(rest))
			}
			total += len(b)
			_, _, _ = b.LastOffset(), b.LastSequence(), b.CheckCRC()
			rest = next
		}
		if total > len(in) {
			t.Fatal("more out than in")
		}
	})
}

// Records that can be read can be written again, and read back the same.
func FuzzRecords(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, in []byte) {
		b, _, err := Next(in)
		if err != nil {
			return
		}
		b = bytes.Clone(b)
		b.sum()
		const limit = 8 << 20
		w := NewBuilder(BuilderOptions{BaseOffset: b.BaseOffset()})
		n, last := 0, b.BaseOffset()-1
		for r, err := range b.RecordsWithin(limit) {
			if err != nil || r.Offset <= last || r.Timestamp-b.BaseTimestamp() > 1<<60 || r.Timestamp-b.BaseTimestamp() < -1<<60 {
				return
			}
			w.AppendRecord(r)
			last = r.Offset
			n++
		}
		if n != int(max(0, b.NumRecords())) {
			t.Fatalf("%d records of %d without an error", n, b.NumRecords())
		}
		again := collect(t, w.Build().Records())
		if !b.HasLogAppendTime() {
			sameRecords(t, "again", again, collect(t, b.Records()))
		}
	})
}

// Validation and reading agree on what a batch is, and a validated batch stays valid.
func FuzzValidate(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, in []byte) {
		b, _, err := Next(in)
		if err != nil {
			return
		}
		b = bytes.Clone(b)
		b.sum()
		if ValidateProduced(b, lenient) != nil {
			return
		}
		if err := ValidateProduced(b, lenient); err != nil {
			t.Fatal("the second time:", err)
		}
		if err := failure(b.Records()); err != nil {
			t.Fatal("valid, but:", err)
		}
		for _, c := range []Codec{None, LZ4} {
			n, err := b.Recompress(c, 0)
			if err != nil {
				t.Fatal(err)
			}
			if err := ValidateProduced(n, lenient); err != nil {
				t.Fatal("recompressed:", err)
			}
		}
	})
}

func FuzzUpconvert(f *testing.F) {
	for _, name := range []string{"magic0-none.bin", "magic0-gzip.bin", "magic0-snappy.bin", "magic0-lz4.bin", "magic1-none.bin", "magic1-gzip.bin", "magic1-snappy.bin", "magic1-lz4.bin"} {
		f.Add(golden(f, name), true)
	}
	f.Add([]byte(sample(None)), false)
	f.Fuzz(func(t *testing.T, in []byte, keep bool) {
		b, err := Upconvert(in, UpconvertOptions{KeepOffsets: keep})
		if err != nil {
			return
		}
		if err := b.CheckCRC(); err != nil {
			t.Fatal(err)
		}
		if err := failure(b.Records()); err != nil {
			t.Fatal(err)
		}
	})
}

// Any bytes may be given as snappy; what was framed opens to what went in.
func FuzzSnappy(f *testing.F) {
	for _, name := range []string{"snappy.log"} {
		f.Add(golden(f, name)[HeaderSize:])
	}
	f.Add(append(bytes.Clone(xerialMagic), 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 2, 1, 0))
	f.Add([]byte{5, 16, 'h', 'e', 'l', 'l', 'o'})
	f.Fuzz(func(t *testing.T, in []byte) {
		s, err := openSource(Snappy, in, 8<<20)
		if err == nil {
			_, _ = s.all()
			s.close()
		}
		s, err = openSource(Snappy, appendXerial(nil, in), 8<<20)
		if err != nil {
			t.Fatal(err)
		}
		defer s.close()
		if out, err := s.all(); err != nil || !bytes.Equal(out, in) {
			t.Fatalf("%d bytes in, %d out, %v", len(in), len(out), err)
		}
	})
}

func FuzzControl(f *testing.F) {
	f.Add(LeaderChangeMessage{Version: 1, LeaderID: 3, Voters: []Voter{{ID: 1}}, GrantingVoters: []Voter{{ID: 2}}}.AppendTo(nil))
	f.Add(Voters{Voters: []VoterNode{{ID: 1, Endpoints: []VoterEndpoint{{"C", "host", 9093}}, MaxSupportedVersion: 1}}}.AppendTo(nil))
	f.Add(EndTxnMarker{CoordinatorEpoch: 4}.AppendTo(nil))
	f.Add(SnapshotFooter{}.AppendTo(nil))
	f.Add(KRaftVersion{KRaftVersion: 1}.AppendTo(nil))
	f.Fuzz(func(t *testing.T, in []byte) {
		if m, err := ParseLeaderChangeMessage(in); err == nil {
			if _, err := ParseLeaderChangeMessage(m.AppendTo(nil)); err != nil {
				t.Fatal(err)
			}
		}
		if m, err := ParseVoters(in); err == nil {
			if _, err := ParseVoters(m.AppendTo(nil)); err != nil {
				t.Fatal(err)
			}
		}
		_, _ = ParseEndTxnMarker(in)
		_, _ = ParseSnapshotFooter(in)
		_, _ = ParseKRaftVersion(in)
		_, _, _ = ParseControlKey(in)
	})
}
