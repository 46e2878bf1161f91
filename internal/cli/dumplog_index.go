package cli

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"os"
	"sort"
	"strings"

	"gregor/internal/record"
)

const (
	offsetEntrySize = 8  // offset minus the segment's start, position; four bytes each
	timeEntrySize   = 12 // timestamp, eight bytes; offset minus the segment's start, four
)

// offsetIndex is the content of an .index file. What does not fill an entry is not looked at.
type offsetIndex struct {
	base int64
	b    []byte
}

func readOffsetIndex(file string) (x offsetIndex, err error) {
	if x.base, err = startOffset(file); err != nil {
		return x, err
	}
	x.b, err = os.ReadFile(file)
	return x, err
}

func (x offsetIndex) entries() int { return len(x.b) / offsetEntrySize }

func (x offsetIndex) entry(i int) (offset, position int64) {
	e := x.b[i*offsetEntrySize:]
	return x.base + int64(binary.BigEndian.Uint32(e)), int64(binary.BigEndian.Uint32(e[4:]))
}

// lookup is the position of the last entry that is not behind offset.
func (x offsetIndex) lookup(offset int64) int64 {
	i := sort.Search(x.entries(), func(i int) bool { o, _ := x.entry(i); return o > offset })
	if i == 0 {
		return 0
	}
	_, position := x.entry(i - 1)
	return position
}

// sanityCheck is what a starting broker looks at.
func (x offsetIndex) sanityCheck(file string) error {
	if n := x.entries(); n > 0 {
		// An entry cannot lie below the base offset by its form; Kafka's check of that is for a file of another name.
		if last, _ := x.entry(n - 1); last < x.base {
			return fmt.Errorf("Corrupt index found, index file (%s) has non-zero size but the last offset is %d which is less than the base offset %d", file, last, x.base) //nolint:staticcheck // Kafka's words
		}
	}
	if len(x.b)%offsetEntrySize != 0 {
		return fmt.Errorf("Index file %s is corrupt, found %d bytes which is neither positive nor a multiple of %d", file, len(x.b), offsetEntrySize) //nolint:staticcheck // Kafka's words
	}
	return nil
}

func (d *dumper) dumpOffsetIndex(file string) error {
	x, err := readOffsetIndex(file)
	if err != nil {
		return err
	}
	if x.entries() == 0 {
		d.print.title(file + " is empty.")
		return nil
	}
	if d.sanityOnly {
		if err := x.sanityCheck(file); err != nil {
			return err
		}
		d.print.title(file + " passed sanity check.")
		return nil
	}
	log := siblingFile(file, ".log")
	for i := range x.entries() {
		offset, position := x.entry(i)
		// A file of fixed length may end in zeros after a crash.
		if offset == x.base && i > 0 {
			return nil
		}
		found, err := lastOffsetAt(log, position, d.maxMessageSize)
		if err != nil {
			return fmt.Errorf("entry %d, offset %d: %w", i, offset, err)
		}
		if found != offset {
			d.errors.add(indexMismatch, file, offset, found)
		}
		if !d.verifyOnly {
			d.print.entry([]dumpedField{{"offset", offset}, {"position", position}})
		}
	}
	return nil
}

// siblingFile is the file of the same segment with another suffix.
func siblingFile(file, suffix string) string {
	dot := strings.LastIndex(file, ".")
	return file[:dot] + suffix
}

// lastOffsetAt is the last offset of the batch at a position of a log.
func lastOffsetAt(log string, position, maxSize int64) (int64, error) {
	r, _, err := openSegment(log, position, maxSize)
	if err != nil {
		return 0, err
	}
	defer r.close()
	raw, err := r.next()
	if errors.Is(err, io.EOF) {
		return 0, fmt.Errorf("no whole batch at position %d of %s within %d bytes: if batches are larger, raise --max-message-size", position, log, maxSize)
	}
	if err != nil {
		return 0, err
	}
	b, _, err := describe(raw, position)
	if err != nil {
		return 0, err
	}
	return b.LastOffset, nil
}

func (d *dumper) dumpTimeIndex(file string) error {
	base, err := startOffset(file)
	if err != nil {
		return err
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	entry := func(i int) (timestamp, offset int64) {
		e := b[i*timeEntrySize:]
		return int64(binary.BigEndian.Uint64(e)), base + int64(binary.BigEndian.Uint32(e[8:]))
	}
	entries := len(b) / timeEntrySize
	if d.sanityOnly {
		if entries > 0 {
			first, _ := entry(0)
			if last, _ := entry(entries - 1); last < first {
				return fmt.Errorf("Corrupt time index found, time index file (%s) has non-zero size but the last timestamp is %d which is less than the first timestamp %d", file, last, first) //nolint:staticcheck // Kafka's words
			}
		}
		if len(b)%timeEntrySize != 0 {
			return fmt.Errorf("Time index file %s is corrupt, found %d bytes which is neither positive nor a multiple of %d", file, len(b), timeEntrySize) //nolint:staticcheck // Kafka's words
		}
		d.print.title(file + " passed sanity check.")
		return nil
	}
	offsets, err := readOffsetIndex(siblingFile(file, ".index"))
	if err != nil {
		return err
	}
	previous := record.NoTimestamp
	for i := range entries {
		timestamp, offset := entry(i)
		if offset == base && i > 0 {
			return nil
		}
		found, maxTimestamp, err := batchWith(siblingFile(file, ".log"), offsets.lookup(offset), offset)
		switch {
		case err != nil:
			return fmt.Errorf("entry %d, offset %d: %w", i, offset, err)
		case found != offset:
			d.errors.add(offsetNotFound, file, offset, found)
		default:
			if maxTimestamp != timestamp {
				d.errors.add(timestampMismatch, file, timestamp, maxTimestamp)
			}
			if previous >= timestamp {
				d.errors.add(timestampOrder, file, timestamp, previous)
			}
		}
		if !d.verifyOnly {
			d.print.entry([]dumpedField{{"timestamp", timestamp}, {"offset", offset}})
		}
		previous = timestamp
	}
	return nil
}

// batchWith finds the first batch from position on that reaches offset: its
// last offset and the largest timestamp of its records. -1 if there is none.
func batchWith(log string, position, offset int64) (last, maxTimestamp int64, err error) {
	r, _, err := openSegment(log, position, math.MaxInt32)
	if err != nil {
		return 0, 0, err
	}
	defer r.close()
	for {
		raw, err := r.next()
		if errors.Is(err, io.EOF) {
			return -1, record.NoTimestamp, nil
		}
		if err != nil {
			return 0, 0, err
		}
		b, records, err := describe(raw, position)
		if err != nil {
			return 0, 0, err
		}
		if b.LastOffset < offset {
			continue
		}
		maxTimestamp = record.NoTimestamp
		for o, err := range records {
			if err != nil {
				return 0, 0, err
			}
			maxTimestamp = max(maxTimestamp, o.record.Timestamp)
		}
		return b.LastOffset, maxTimestamp, nil
	}
}

// dumpTransactions prints a .txnindex file: the aborted transactions of a segment, 34 bytes each.
func (d *dumper) dumpTransactions(file string) error {
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	const size = 34
	for ; len(b) >= size; b = b[size:] {
		i64 := func(at int) int64 { return int64(binary.BigEndian.Uint64(b[at:])) }
		version := int16(binary.BigEndian.Uint16(b))
		if version != 0 {
			return fmt.Errorf("aborted transaction of version %d: only version 0 is known", version)
		}
		d.print.entry([]dumpedField{{"version", version}, {"producerId", i64(2)}, {"firstOffset", i64(10)}, {"lastOffset", i64(18)}, {"lastStableOffset", i64(26)}})
	}
	if len(b) > 0 {
		return fmt.Errorf("%d bytes after the last aborted transaction", len(b))
	}
	return nil
}

// dumpProducers prints a .snapshot file: the state of the producers at the
// segment's start. A corrupt one is reported and, as in Kafka, no failure: a
// broker builds it anew from the log.
func (d *dumper) dumpProducers(file string) error {
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if err := d.dumpSnapshot(b); err != nil {
		d.warn(err.Error())
	}
	return nil
}

func (d *dumper) dumpSnapshot(b []byte) error {
	const head, size = 10, 46 // version, checksum, count; one producer
	if len(b) < head {
		return fmt.Errorf("a producer snapshot has at least %d bytes, not %d", head, len(b))
	}
	if version := int16(binary.BigEndian.Uint16(b)); version != 1 && version != 2 {
		return fmt.Errorf("Snapshot contained an unknown file version %d", version) //nolint:staticcheck // Kafka's words
	}
	stored, computed := binary.BigEndian.Uint32(b[2:]), crc32.Checksum(b[6:], crc32.MakeTable(crc32.Castagnoli))
	if stored != computed {
		return fmt.Errorf("Snapshot is corrupt (CRC is no longer valid). Stored crc: %d. Computed crc: %d", stored, computed) //nolint:staticcheck // Kafka's words
	}
	count := int64(int32(binary.BigEndian.Uint32(b[6:])))
	if b = b[head:]; count < 0 || count*size != int64(len(b)) {
		return fmt.Errorf("%d producers in %d bytes", count, len(b))
	}
	for ; len(b) > 0; b = b[size:] {
		i64 := func(at int) int64 { return int64(binary.BigEndian.Uint64(b[at:])) }
		i32 := func(at int) int32 { return int32(binary.BigEndian.Uint32(b[at:])) }
		epoch, sequence, lastOffset, delta, timestamp := int16(binary.BigEndian.Uint16(b[8:])), i32(10), i64(14), i32(22), i64(26)
		firstTxn := optionalLong{}
		if at := i64(38); at >= 0 {
			firstTxn = optionalLong{&at}
		}
		fields := []dumpedField{
			{"producerId", i64(0)}, {"producerEpoch", epoch}, {"coordinatorEpoch", i32(34)},
			{"currentTxnFirstOffset", firstTxn}, {"lastTimestamp", timestamp},
		}
		if lastOffset >= 0 {
			first := sequence - delta
			if first < 0 { // sequence numbers wrap from 2^31-1 to 0
				first = int32(int64(sequence) - int64(delta) + math.MaxInt32 + 1)
			}
			fields = append(fields, dumpedField{"firstSequence", first}, dumpedField{"lastSequence", sequence},
				dumpedField{"lastOffset", lastOffset}, dumpedField{"offsetDelta", delta}, dumpedField{"timestamp", timestamp})
		}
		d.print.entry(fields)
	}
	return nil
}
