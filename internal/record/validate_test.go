package record

import (
	"bytes"
	"errors"
	"math"
	"runtime"
	"strings"
	"testing"
)

var lenient = Rules{NowMs: 1000, BeforeMaxMs: math.MaxInt64, AfterMaxMs: math.MaxInt64}

// forge makes a batch of any payload and header; change sees the header before the checksum is made.
func forge(payload []byte, c Codec, change func(b Batch)) Batch {
	b := Batch(append(make([]byte, HeaderSize), payload...))
	b.put32(lengthAt, int32(len(b)-LogOverhead))
	b[magicAt] = Magic
	b.put16(attributesAt, int16(c))
	b.put32(numRecordsAt, 1)
	b.put64(baseTimestampAt, 1000)
	b.put64(maxTimestampAt, 1000)
	b.put64(producerIDAt, -1)
	b.put16(producerEpochAt, -1)
	b.put32(baseSequenceAt, -1)
	if change != nil {
		change(b)
	}
	b.sum()
	return b
}

func TestValidateRefuses(t *testing.T) {
	r := func(delta int32) []byte { return appendRecord(nil, 0, 0, delta, []byte("k"), []byte("v"), nil) }
	raw := func(body ...byte) []byte { return append(appendVarlong(nil, int64(len(body))), body...) }
	two := append(r(0), r(1)...)
	count := func(n, last int32) func(Batch) {
		return func(b Batch) { b.put32(numRecordsAt, n); b.put32(lastOffsetDeltaAt, last) }
	}
	attributes := func(a int16) func(Batch) { return func(b Batch) { b.put16(attributesAt, a) } }
	if err := ValidateProduced(forge(two, None, count(2, 1)), lenient); err != nil {
		t.Fatal("a good batch:", err)
	}
	for name, c := range map[string]struct {
		b    Batch
		want error
	}{
		"zero records":        {forge(nil, None, count(0, 0)), ErrInvalidRecord},
		"negative count":      {forge(r(0), None, count(-1, 0)), ErrInvalidRecord},
		"negative last delta": {forge(r(0), None, count(1, -1)), ErrInvalidRecord},
		"count over range":    {forge(two, None, count(2, 0)), ErrInvalidRecord},
		"range over count":    {forge(two, None, count(1, 1)), ErrInvalidRecord},
		"fewer than claimed":  {forge(two, None, count(3, 2)), ErrInvalidRecord},
		"more than claimed":   {forge(two, None, count(1, 0)), ErrInvalidRecord},
		"two billion":         {forge(two, None, count(math.MaxInt32, math.MaxInt32-1)), ErrInvalidRecord},
		"delta repeated":      {forge(append(r(0), r(0)...), None, count(2, 1)), ErrInvalidRecord},
		"delta from 1":        {forge(r(1), None, nil), ErrInvalidRecord},
		"control batch":       {forge(r(0), None, attributes(AttrControl)), ErrInvalidRecord},
		"transaction, no id":  {forge(r(0), None, attributes(AttrTransactional)), ErrInvalidRecord},
		"id without sequence": {forge(r(0), None, func(b Batch) { b.put64(producerIDAt, 5) }), ErrInvalidRecord},
		"codec 5":             {forge(r(0), None, attributes(5)), ErrUnsupportedCodec},
		"codec 7":             {forge(r(0), None, attributes(7)), ErrUnsupportedCodec},
		"record of -1 bytes":  {forge([]byte{1}, None, nil), ErrInvalidRecord},
		"record of 0 bytes":   {forge([]byte{0}, None, nil), ErrInvalidRecord},
		"key past record":     {forge(raw(0, 0, 0, 20, 1, 1, 0), None, nil), ErrInvalidRecord},
		"key of -2":           {forge(raw(0, 0, 0, 3, 1, 0), None, nil), ErrInvalidRecord},
		"no header count":     {forge(raw(0, 0, 0, 1, 1), None, nil), ErrInvalidRecord},
		"-1 headers":          {forge(raw(0, 0, 0, 1, 1, 1), None, nil), ErrInvalidRecord},
		"header, null key":    {forge(raw(0, 0, 0, 1, 1, 2, 1, 1), None, nil), ErrInvalidRecord},
		"2^31 headers":        {forge(raw(0, 0, 0, 1, 1, 0xfe, 0xff, 0xff, 0xff, 0x0f), None, nil), ErrInvalidRecord},
		"byte after headers":  {forge(raw(0, 0, 0, 1, 1, 0, 9), None, nil), ErrInvalidRecord},
		"number of 6 bytes":   {forge([]byte{0x80, 0x80, 0x80, 0x80, 0x80, 0}, None, nil), ErrInvalidRecord},
		"not gzip":            {forge([]byte("hello, this is not compressed"), Gzip, nil), ErrCorrupt},
		"not zstd":            {forge([]byte("hello, this is not compressed"), Zstd, nil), ErrCorrupt},
		"not lz4":             {forge([]byte("hello, this is not compressed"), LZ4, nil), ErrCorrupt},
		"not snappy":          {forge(bytes.Repeat([]byte{0xff}, 40), Snappy, nil), ErrCorrupt},
		"snappy claims 2 GB":  {forge([]byte{0xff, 0xff, 0xff, 0xff, 0x07, 0}, Snappy, nil), ErrCorrupt},
		"xerial, short block": {forge(append(append(bytes.Clone(xerialMagic), 0, 0, 0, 1, 0, 0, 0, 1), 0, 0, 9, 9, 1), Snappy, nil), ErrCorrupt},
		"xerial, negative":    {forge(append(append(bytes.Clone(xerialMagic), 0, 0, 0, 1, 0, 0, 0, 1), 0xff, 0, 9, 9, 1), Snappy, nil), ErrCorrupt},
		"xerial, version 2":   {forge(append(bytes.Clone(xerialMagic), 0, 0, 0, 2, 0, 0, 0, 2), Snappy, nil), ErrCorrupt},
		"empty payload, gzip": {forge(nil, Gzip, nil), ErrCorrupt},
		"torn zstd":           {torn(sample(Zstd)), ErrCorrupt},
		"torn gzip":           {torn(sample(Gzip)), ErrCorrupt},
		"torn lz4":            {torn(sample(LZ4)), ErrCorrupt},
		"torn snappy":         {torn(sample(Snappy)), ErrCorrupt},
		"checksum":            {func() Batch { b := sample(None); b[70] ^= 1; return b }(), ErrCorrupt},
		// The length of the first record covers the second one.
		"record in a record":    {forge(raw(append([]byte{0, 0, 0, 1, 1, 0}, r(1)...)...), None, count(2, 1)), ErrInvalidRecord},
		"trailing uncompressed": {forge(append(r(0), 0), None, nil), ErrInvalidRecord},
	} {
		before := bytes.Clone(c.b)
		if err := ValidateProduced(c.b, lenient); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		if !bytes.Equal(before, c.b) {
			t.Errorf("%s: a refused batch was changed", name)
		}
		// Reading must fail where the fault lies in the payload, and never panic.
		for range c.b.Records() {
		}
	}
	if err := ValidateProduced(sample(None), Rules{MaxBytes: 1000}); !errors.Is(err, ErrTooLarge) {
		t.Error("too large:", err)
	}
	trusted := lenient
	trusted.Trusted = true
	if err := ValidateProduced(EndTxnBatch(1, 0, true, 4, 77), trusted); err != nil {
		t.Error("the broker's own marker:", err)
	}
}

// torn cuts the payload in the middle and makes header and checksum fit again.
func torn(b Batch) Batch {
	n := Batch(bytes.Clone(b[:HeaderSize+(len(b)-HeaderSize)/2]))
	n.put32(lengthAt, int32(len(n)-LogOverhead))
	n.sum()
	return n
}

func TestRecordErrors(t *testing.T) {
	for _, c := range codecs {
		b := NewBuilder(BuilderOptions{Codec: c})
		b.Append(1000, []byte("k"), nil)
		b.Append(1000, nil, nil)
		b.Append(2001, []byte("k"), nil)
		batch := b.Build()
		var bad *RecordErrors
		err := ValidateProduced(batch, Rules{Compacted: true, NowMs: 1000, BeforeMaxMs: 0, AfterMaxMs: 1001})
		if !errors.As(err, &bad) || !errors.Is(err, ErrInvalidRecord) || bad.Total != 1 || bad.Records[0].Index != 1 || !strings.Contains(err.Error(), "without key") {
			t.Errorf("%s: keyless: %v", c, err)
		}
		err = ValidateProduced(batch, Rules{NowMs: 1000, AfterMaxMs: 1000})
		if !errors.As(err, &bad) || !errors.Is(err, ErrInvalidTimestamp) || bad.Total != 1 || bad.Records[0].Index != 2 {
			t.Errorf("%s: in the future: %v", c, err)
		}
		err = ValidateProduced(batch, Rules{NowMs: 2001, BeforeMaxMs: 1000})
		if !errors.As(err, &bad) || !errors.Is(err, ErrInvalidTimestamp) || bad.Total != 2 {
			t.Errorf("%s: too old: %v", c, err)
		}
		if err = ValidateProduced(batch, Rules{NowMs: 1 << 50, LogAppendTime: true}); err != nil || batch.MaxTimestamp() != 1<<50 || !batch.HasLogAppendTime() || batch.CheckCRC() != nil {
			t.Errorf("%s: append time: %v", c, err)
		}
	}
	b := NewBuilder(BuilderOptions{})
	for range 1000 {
		b.Append(0, nil, nil)
	}
	var bad *RecordErrors
	if err := ValidateProduced(b.Build(), Rules{Compacted: true, BeforeMaxMs: 1, AfterMaxMs: 1}); !errors.As(err, &bad) || bad.Total != 1000 || len(bad.Records) != maxRecordErrors {
		t.Errorf("a thousand: %v", err)
	}
}

func TestTimestampLimits(t *testing.T) {
	r := Rules{NowMs: 1000, BeforeMaxMs: math.MaxInt64, AfterMaxMs: math.MaxInt64}
	for _, ts := range []int64{-1, 0, math.MinInt64 + 2000, math.MaxInt64} {
		if !r.timestampFits(ts) {
			t.Errorf("%d refused without limits", ts)
		}
	}
	r = Rules{NowMs: 1000, BeforeMaxMs: 10, AfterMaxMs: 20}
	for ts, want := range map[int64]bool{989: false, 990: true, 1020: true, 1021: false, -1: true, math.MinInt64: false, math.MaxInt64: false} {
		if r.timestampFits(ts) != want {
			t.Errorf("%d: want %v", ts, want)
		}
	}
}

func TestValidateCorrectsMaxTimestamp(t *testing.T) {
	b := sample(None)
	b.SetMaxTimestamp(1 << 40)
	if err := ValidateProduced(b, lenient); err != nil || b.MaxTimestamp() != 1100 || b.CheckCRC() != nil {
		t.Errorf("%v, %d", err, b.MaxTimestamp())
	}
	b.SetLogAppendTime(9)
	if err := ValidateProduced(b, lenient); err != nil || b.MaxTimestamp() != 1100 || b.HasLogAppendTime() {
		t.Errorf("%v, %d", err, b.MaxTimestamp())
	}
}

// A bomb of each codec: a few kilobytes that open to more than the limit, or to one huge record.
func TestBombs(t *testing.T) {
	const size = 16 << 20
	zeros := make([]byte, size)
	body := append(appendVarlong(nil, size), zeros...) // one record that claims all of it
	for _, c := range codecs[1:] {
		payload, err := compress(nil, c, 0, body)
		if err != nil {
			t.Fatal(err)
		}
		b := forge(payload, c, nil)
		if err := failure(b.RecordsWithin(1 << 20)); !errors.Is(err, ErrTooLarge) {
			t.Errorf("%s: %v", c, err)
		}
		got := allocated(func() {
			if err := ValidateProduced(b, lenient); !errors.Is(err, ErrInvalidRecord) {
				t.Errorf("%s: validated: %v", c, err)
			}
		})
		if got > 1<<20 {
			t.Errorf("%s: %d bytes allocated to validate %d bytes", c, got, len(b))
		}
	}
}

// A record whose length lies gets no memory for what never comes.
func TestLyingLengthAllocatesLittle(t *testing.T) {
	body := append(appendVarlong(nil, maxRecordBytes), make([]byte, 3*scratchSize)...)
	for _, c := range codecs[1:] {
		payload, err := compress(nil, c, 0, body)
		if err != nil {
			t.Fatal(err)
		}
		b := forge(payload, c, nil)
		got := allocated(func() { _ = failure(b.Records()) })
		if got > 1<<20 {
			t.Errorf("%s: %d bytes for a payload of %d", c, got, len(payload))
		}
	}
	// A snappy block of one byte that claims 1 GiB.
	snappy := forge([]byte{0x80, 0x80, 0x80, 0x80, 0x04, 0}, Snappy, nil)
	if got := allocated(func() { _ = failure(snappy.Records()) }); got > 1<<20 {
		t.Errorf("snappy: %d bytes allocated for a block of %d", got, len(snappy.Payload()))
	}
}

// Both kinds of zstd frame with a large window: one that needs it and one that only claims it.
func TestZstdLargeWindow(t *testing.T) {
	plain := sample(None).Payload()
	// A frame with window 128 MiB (exponent 17), no content size, one raw block.
	frame := []byte{0x28, 0xb5, 0x2f, 0xfd, 0x00, 17 << 3}
	n := min(len(plain), 100<<10)
	frame = append(frame, byte(n<<3|1), byte(n>>5), byte(n>>13))
	frame = append(frame, plain[:n]...)
	b := forge(frame, Zstd, func(b Batch) { b.put32(numRecordsAt, 2); b.put32(lastOffsetDeltaAt, 1) })
	i := 0
	for r, err := range b.Records() {
		if i < 2 && (err != nil || r.Offset != int64(i)) {
			t.Errorf("record %d: %v", i, err)
		}
		i++
	}
	// An RLE block that repeats beyond what such a frame may hold.
	bomb := []byte{0x28, 0xb5, 0x2f, 0xfd, 0x00, 17 << 3}
	for range zstdBigOutput/(128<<10) + 1 {
		bomb = append(bomb, 2, 0, 0x10, 0) // RLE, 128 KiB, of zeros
	}
	if err := failure(forge(bomb, Zstd, nil).Records()); !errors.Is(err, ErrTooLarge) {
		t.Error("bomb:", err)
	}
}

// allocated is the least number of bytes that f allocates once the pools are warm.
func allocated(f func()) uint64 {
	least := uint64(math.MaxUint64)
	for range 4 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		f()
		runtime.ReadMemStats(&after)
		least = min(least, after.TotalAlloc-before.TotalAlloc)
	}
	return least
}
