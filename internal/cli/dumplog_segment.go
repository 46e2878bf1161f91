package cli

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"gregor/internal/record"
)

// dumpedBatch is a batch, or a message of format 0 or 1, as it is printed.
type dumpedBatch struct {
	BaseOffset      int64           `json:"baseOffset"`
	LastOffset      int64           `json:"lastOffset"`
	Count           int32           `json:"count"`
	BaseSequence    int32           `json:"baseSequence"`
	LastSequence    int32           `json:"lastSequence"`
	ProducerID      int64           `json:"producerId"`
	ProducerEpoch   int16           `json:"producerEpoch"`
	LeaderEpoch     int32           `json:"partitionLeaderEpoch"`
	IsTransactional bool            `json:"isTransactional"`
	IsControl       bool            `json:"isControl"`
	DeleteHorizonMs *int64          `json:"deleteHorizonMs"`
	Position        int64           `json:"position"`
	TimestampType   string          `json:"timestampType"`
	MaxTimestamp    int64           `json:"maxTimestamp"`
	Size            int             `json:"size"`
	Magic           int8            `json:"magic"`
	Codec           string          `json:"compresscodec"`
	CRC             uint32          `json:"crc"`
	IsValid         bool            `json:"isvalid"`
	Records         []*dumpedRecord `json:"records,omitempty"`
}

// dumpedRecord is a record as it is printed.
type dumpedRecord struct {
	Offset        int64
	TimestampType string
	Timestamp     int64
	KeySize       int // -1 for null
	ValueSize     int
	Sequence      int32
	HeaderKeys    []string
	Legacy        *legacyFields // of formats 0 and 1
	Control       string        // what a control record says, in Kafka's words
	Key, Payload  *dumpedText
}

type legacyFields struct {
	valid bool
	crc   uint32
}

// segmentName is what the name of a .log or .checkpoint file says.
func segmentName(file string) (string, error) {
	name := filepath.Base(file)
	if name == "bootstrap.checkpoint" {
		return "KRaft bootstrap snapshot", nil
	}
	if id, ok := strings.CutSuffix(name, ".checkpoint"); ok {
		offset, epoch, _ := strings.Cut(id, "-")
		n, err1 := strconv.ParseInt(offset, 10, 64)
		e, err2 := strconv.ParseInt(epoch, 10, 32)
		if err1 != nil || err2 != nil {
			return "", errors.New("a snapshot's name is offset-epoch.checkpoint")
		}
		return fmt.Sprintf("Snapshot end offset: %d, epoch: %d", n, e), nil
	}
	start, err := startOffset(file)
	return fmt.Sprintf("Log starting offset: %d", start), err
}

// startOffset is the number that the names of a segment's files begin with.
func startOffset(file string) (int64, error) {
	digits, _, _ := strings.Cut(filepath.Base(file), ".")
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("the name must begin with an offset, as in 00000000000000000000%s", filepath.Ext(file))
	}
	return n, nil
}

func (d *dumper) dumpSegment(file string) error {
	title, err := segmentName(file)
	if err != nil {
		return err
	}
	r, size, err := openSegment(file, 0, d.maxBytes)
	if err != nil {
		return err
	}
	defer r.close()
	d.print.title(title)
	var position int64
	last := int64(-1)
	for {
		if err := d.ctx.Err(); err != nil {
			return err
		}
		raw, err := r.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("at position %d: %w", position, err)
		}
		batch, records, err := describe(raw, position)
		if err != nil {
			return fmt.Errorf("at position %d: %w", position, err)
		}
		d.print.batch(batch)
		if d.deep {
			for rec, err := range records {
				if err != nil {
					d.print.batchEnd()
					return fmt.Errorf("at position %d: %w", position, err)
				}
				if rec.record.Offset != last+1 {
					d.errors.add(nonConsecutive, file, last, rec.record.Offset)
				}
				last = rec.record.Offset
				if err := d.dumpRecord(batch, rec); err != nil {
					d.print.batchEnd()
					return err
				}
			}
		}
		d.print.batchEnd()
		position += int64(len(raw))
	}
	if rest := size - position; rest > 0 && d.maxBytes == unlimited {
		d.print.trailing(rest, filepath.Base(file))
	}
	return nil
}

// opened is a record with what formats 0 and 1 say beside it.
type opened struct {
	record record.Record
	legacy *legacyFields
}

func (d *dumper) dumpRecord(b *dumpedBatch, o opened) error {
	r := o.record
	out := &dumpedRecord{
		Offset: r.Offset, TimestampType: b.TimestampType, Timestamp: r.Timestamp,
		KeySize: nullableLen(r.Key), ValueSize: nullableLen(r.Value), Sequence: record.NoSequence, Legacy: o.legacy,
	}
	if b.BaseSequence >= 0 {
		out.Sequence = int32((int64(b.BaseSequence) + r.Offset - b.BaseOffset) & 0x7fffffff)
	}
	out.HeaderKeys = []string{}
	for _, h := range r.Headers {
		out.HeaderKeys = append(out.HeaderKeys, h.Key)
	}
	var err error
	if b.IsControl {
		if out.Control, err = controlText(r); err != nil {
			return err
		}
	} else if d.printData {
		if out.Key, out.Payload, err = d.decode(r); err != nil {
			return err
		}
	}
	d.print.record(b, out)
	return nil
}

func nullableLen(b []byte) int {
	if b == nil {
		return -1
	}
	return len(b)
}

func describe(raw []byte, position int64) (*dumpedBatch, func(func(opened, error) bool), error) {
	b, _, err := record.Next(raw)
	if errors.Is(err, record.ErrOldMagic) {
		return describeMessage(raw, position)
	}
	if err != nil {
		return nil, nil, err
	}
	d := &dumpedBatch{
		BaseOffset: b.BaseOffset(), LastOffset: b.LastOffset(), Count: b.NumRecords(), BaseSequence: b.BaseSequence(), LastSequence: b.LastSequence(),
		ProducerID: b.ProducerID(), ProducerEpoch: b.ProducerEpoch(), LeaderEpoch: b.LeaderEpoch(), IsTransactional: b.IsTransactional(), IsControl: b.IsControl(),
		Position: position, TimestampType: "CreateTime", MaxTimestamp: b.MaxTimestamp(), Size: len(b), Magic: record.Magic,
		Codec: b.Codec().String(), CRC: b.CRC(), IsValid: b.CheckCRC() == nil,
	}
	if b.HasLogAppendTime() {
		d.TimestampType = "LogAppendTime"
	}
	if b.HasDeleteHorizon() {
		ms := b.BaseTimestamp()
		d.DeleteHorizonMs = &ms
	}
	return d, func(yield func(opened, error) bool) {
		for r, err := range b.Records() {
			if !yield(opened{record: r}, err) {
				return
			}
		}
	}, nil
}

func describeMessage(raw []byte, position int64) (*dumpedBatch, func(func(opened, error) bool), error) {
	m, _, err := record.NextMessage(raw)
	if err != nil {
		return nil, nil, err
	}
	d := &dumpedBatch{
		BaseOffset: m.Offset(), LastOffset: m.Offset(), BaseSequence: record.NoSequence, LastSequence: record.NoSequence,
		ProducerID: record.NoProducerID, ProducerEpoch: record.NoProducerEpoch, LeaderEpoch: record.NoLeaderEpoch,
		Position: position, TimestampType: "CreateTime", MaxTimestamp: m.Timestamp(), Size: len(m), Magic: m.Magic(),
		Codec: m.Codec().String(), CRC: m.CRC(), IsValid: m.CheckCRC() == nil,
	}
	switch {
	case m.Magic() == 0:
		d.TimestampType = "NoTimestampType"
	case m.HasLogAppendTime():
		d.TimestampType = "LogAppendTime"
	}
	return d, func(yield func(opened, error) bool) {
		for inner, err := range m.Messages() {
			o := opened{record: inner.Record}
			if err == nil {
				o.legacy = &legacyFields{inner.Message.CheckCRC() == nil, inner.Message.CRC()}
			}
			if !yield(o, err) {
				return
			}
		}
	}, nil
}

func controlText(r record.Record) (string, error) {
	_, kind, err := record.ParseControlKey(r.Key)
	if err != nil {
		return "", fmt.Errorf("offset %d: %w", r.Offset, err)
	}
	for _, c := range []struct {
		kind         record.ControlType
		text, schema string
	}{
		{record.ControlLeaderChange, "LeaderChange: ", "LeaderChangeMessage"},
		{record.ControlSnapshotHeader, "SnapshotHeader ", "SnapshotHeaderRecord"},
		{record.ControlSnapshotFooter, "SnapshotFooter ", "SnapshotFooterRecord"},
		{record.ControlKRaftVersion, "KRaftVersion ", "KRaftVersionRecord"},
		{record.ControlKRaftVoters, "KRaftVoters ", "VotersRecord"},
	} {
		if c.kind != kind {
			continue
		}
		if len(r.Value) < 2 {
			return "", fmt.Errorf("offset %d: %s: %w", r.Offset, c.schema, errShortRecord)
		}
		versions := loadRecordSchemas()[c.schema].versions
		s := versions[int16(r.Value[0])<<8|int16(r.Value[1])]
		if s == nil { // a later version: read as far as we know it
			s = versions[int16(len(versions)-1)]
		}
		json, err := recordJSON(s, r.Value, nil)
		if err != nil {
			return "", fmt.Errorf("offset %d: %s: %w", r.Offset, c.schema, err)
		}
		return c.text + json, nil
	}
	if kind == record.ControlAbort || kind == record.ControlCommit {
		m, err := record.ParseEndTxnMarker(r.Value)
		if err != nil {
			return "", fmt.Errorf("offset %d: %w", r.Offset, err)
		}
		return fmt.Sprintf("endTxnMarker: %s coordinatorEpoch: %d", kind, m.CoordinatorEpoch), nil
	}
	return fmt.Sprintf("controlType: %s(%d)", kind, int16(kind)), nil
}

// segmentReader gives the batches of a file one after the other; a batch is
// valid until the next one.
type segmentReader struct {
	file *os.File
	r    *bufio.Reader
	left int64
	buf  []byte
}

// openSegment begins at a position and goes no further than limit bytes. size is how many bytes that is.
func openSegment(file string, position, limit int64) (r *segmentReader, size int64, err error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err == nil && position > info.Size() {
		err = fmt.Errorf("position %d lies behind the end of %s, which has %d bytes", position, file, info.Size())
	}
	if err == nil {
		_, err = f.Seek(position, io.SeekStart)
	}
	if err != nil {
		_ = f.Close()
		return nil, 0, err
	}
	size = min(limit, info.Size()-position)
	return &segmentReader{file: f, r: bufio.NewReaderSize(f, 1<<20), left: size}, size, nil
}

func (s *segmentReader) close() { _ = s.file.Close() }

// next returns io.EOF at the end and before a batch that is not all there, as
// Kafka does: what is left counts as trailing bytes.
func (s *segmentReader) next() ([]byte, error) {
	const head = 17 // up to and with the magic
	if s.left < head {
		return nil, io.EOF
	}
	h, err := s.r.Peek(head)
	if err != nil {
		return nil, err
	}
	size, err := record.SizeOf(h)
	if err != nil {
		return nil, err
	}
	if size > s.left {
		return nil, io.EOF
	}
	if int64(cap(s.buf)) < size {
		s.buf = make([]byte, size)
	}
	s.buf = s.buf[:size]
	s.left -= size
	_, err = io.ReadFull(s.r, s.buf)
	return s.buf, err
}
