package cli

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
)

// dumpPrinter prints what is found, in order: for every file begin, then
// titles, batches with their records, or entries, then finish; end at last.
type dumpPrinter interface {
	begin(file string)
	title(line string)
	batch(b *dumpedBatch)
	record(b *dumpedBatch, r *dumpedRecord)
	batchEnd()
	entry(fields []dumpedField)
	trailing(bytes int64, name string)
	finish()
	end()
}

// dumpedField is one named value of an index entry or a producer.
type dumpedField struct {
	name  string
	value any
}

// optionalLong prints as Java's OptionalLong; in JSON it is a number or null.
type optionalLong struct{ v *int64 }

func (o optionalLong) String() string {
	if o.v == nil {
		return "OptionalLong.empty"
	}
	return fmt.Sprintf("OptionalLong[%d]", *o.v)
}

// MarshalJSON gives the number or null.
func (o optionalLong) MarshalJSON() ([]byte, error) { return json.Marshal(o.v) }

// dumpText prints line for line what Apache Kafka's tool prints.
type dumpText struct {
	w            *bufio.Writer
	skipMetadata bool
}

func (p *dumpText) begin(file string) { fmt.Fprintf(p.w, "Dumping %s\n", file) }
func (p *dumpText) title(line string) { fmt.Fprintln(p.w, line) }
func (p *dumpText) batchEnd()         {}
func (p *dumpText) finish()           {}
func (p *dumpText) end()              {}

func (p *dumpText) trailing(bytes int64, name string) {
	fmt.Fprintf(p.w, "Found %d invalid bytes at the end of %s\n", bytes, name)
}

func (p *dumpText) entry(fields []dumpedField) {
	for i, f := range fields {
		if i > 0 {
			p.w.WriteByte(' ')
		}
		fmt.Fprintf(p.w, "%s: %v", f.name, f.value)
	}
	p.w.WriteByte('\n')
}

func (p *dumpText) batch(b *dumpedBatch) {
	if b.Magic >= 2 {
		fmt.Fprintf(p.w, "baseOffset: %d lastOffset: %d count: %d baseSequence: %d lastSequence: %d producerId: %d producerEpoch: %d partitionLeaderEpoch: %d isTransactional: %t isControl: %t deleteHorizonMs: %s",
			b.BaseOffset, b.LastOffset, b.Count, b.BaseSequence, b.LastSequence, b.ProducerID, b.ProducerEpoch, b.LeaderEpoch, b.IsTransactional, b.IsControl, optionalLong{b.DeleteHorizonMs})
	} else {
		fmt.Fprintf(p.w, "offset: %d", b.LastOffset)
	}
	fmt.Fprintf(p.w, " position: %d %s: %d size: %d magic: %d compresscodec: %s crc: %d isvalid: %t\n",
		b.Position, b.TimestampType, b.MaxTimestamp, b.Size, b.Magic, b.Codec, b.CRC, b.IsValid)
}

func (p *dumpText) record(b *dumpedBatch, r *dumpedRecord) {
	separator := "| "
	if !p.skipMetadata {
		fmt.Fprintf(p.w, "| offset: %d %s: %d keySize: %d valueSize: %d", r.Offset, r.TimestampType, r.Timestamp, r.KeySize, r.ValueSize)
		if b.Magic >= 2 {
			fmt.Fprintf(p.w, " sequence: %d headerKeys: [%s]", r.Sequence, strings.Join(r.HeaderKeys, ","))
		}
		if r.Legacy != nil {
			fmt.Fprintf(p.w, " isValid: %t crc: %d", r.Legacy.valid, r.Legacy.crc)
		}
		if r.Control != "" {
			p.w.WriteString(" " + r.Control)
		}
		separator = " "
	}
	if r.Key != nil {
		p.w.WriteString(separator + "key: " + r.Key.text)
		separator = " "
	}
	if r.Payload != nil {
		p.w.WriteString(separator + "payload: " + r.Payload.text)
	}
	p.w.WriteByte('\n')
}

// dumpJSON prints one array with an object for each file, a batch or entry a line.
type dumpJSON struct {
	w       *bufio.Writer
	files   int
	list    string // the list that is open in the current file
	items   int
	current *dumpedBatch
}

func (p *dumpJSON) put(v any) {
	b, err := json.Marshal(v)
	if err != nil { // only our own types are printed
		panic("cli: " + err.Error())
	}
	p.w.Write(b)
}

func (p *dumpJSON) begin(file string) {
	p.w.WriteString([]string{"[\n", ",\n"}[min(p.files, 1)] + `{"file":`)
	p.files++
	p.put(file)
	p.list, p.items = "", 0
}

func (p *dumpJSON) title(line string) {
	p.w.WriteString(`,"summary":`)
	p.put(line)
}

func (p *dumpJSON) item(list string) {
	if p.list == "" {
		p.list = list
		p.w.WriteString(`,"` + list + `":[`)
	}
	p.w.WriteString([]string{"\n", ",\n"}[min(p.items, 1)])
	p.items++
}

func (p *dumpJSON) batch(b *dumpedBatch)                   { p.current = b }
func (p *dumpJSON) record(b *dumpedBatch, r *dumpedRecord) { b.Records = append(b.Records, r) }

func (p *dumpJSON) batchEnd() {
	p.item("batches")
	p.put(p.current)
}

func (p *dumpJSON) entry(fields []dumpedField) {
	p.item("entries")
	for i, f := range fields {
		p.w.WriteString([]string{"{", ","}[min(i, 1)] + quoteJSON(f.name) + ":")
		p.put(f.value)
	}
	p.w.WriteByte('}')
}

func (p *dumpJSON) closeList() {
	if p.list != "" {
		p.w.WriteString("\n]")
		p.list = ""
	}
}

func (p *dumpJSON) trailing(bytes int64, _ string) {
	p.closeList()
	fmt.Fprintf(p.w, `,"invalidBytesAtEnd":%d`, bytes)
}

func (p *dumpJSON) finish() {
	p.closeList()
	p.w.WriteByte('}')
}

func (p *dumpJSON) end() { p.w.WriteString("\n]\n") }

// MarshalJSON leaves out what is not there and puts in as JSON what was printed as JSON.
func (r *dumpedRecord) MarshalJSON() ([]byte, error) {
	m := struct {
		Offset     int64    `json:"offset"`
		Timestamp  int64    `json:"timestamp"`
		KeySize    int      `json:"keySize"`
		ValueSize  int      `json:"valueSize"`
		Sequence   int32    `json:"sequence"`
		HeaderKeys []string `json:"headerKeys"`
		CRC        *uint32  `json:"crc,omitempty"`
		IsValid    *bool    `json:"isValid,omitempty"`
		Control    string   `json:"control,omitempty"`
		Key        any      `json:"key,omitempty"`
		Payload    any      `json:"payload,omitempty"`
	}{Offset: r.Offset, Timestamp: r.Timestamp, KeySize: r.KeySize, ValueSize: r.ValueSize, Sequence: r.Sequence, HeaderKeys: r.HeaderKeys, Control: r.Control}
	if r.Legacy != nil {
		m.CRC, m.IsValid = &r.Legacy.crc, &r.Legacy.valid
	}
	m.Key, m.Payload = r.Key.forJSON(), r.Payload.forJSON()
	return json.Marshal(m)
}

func (t *dumpedText) forJSON() any {
	switch {
	case t == nil:
		return nil
	case t.json && json.Valid([]byte(t.text)):
		return json.RawMessage(t.text)
	}
	return t.text
}

// dumpErrors are what a dump reports on standard error at the end: for every kind and file, pairs of numbers.
type dumpErrors map[dumpErrorKind]map[string][][2]int64

type dumpErrorKind struct {
	title, line string
	sorted      int // by the first number: 1 up, -1 down, 0 as found
}

var (
	indexMismatch     = dumpErrorKind{"Mismatches in :%s\n", "  Index offset: %d, log offset: %d\n", -1}
	timestampMismatch = dumpErrorKind{"Found timestamp mismatch in :%s\n", "  Index timestamp: %d, log timestamp: %d\n", 0}
	timestampOrder    = dumpErrorKind{"Found out of order timestamp in :%s\n", "  Index timestamp: %d, Previously indexed timestamp: %d\n", 0}
	offsetNotFound    = dumpErrorKind{"The following indexed offsets are not found in :%s\n", "Indexed offset: %d, found log offset: %d\n", 0}
	nonConsecutive    = dumpErrorKind{"Non-consecutive offsets in %s\n", "  %d is followed by %d\n", 1}
)

func (e dumpErrors) add(kind dumpErrorKind, file string, first, second int64) {
	if path, err := filepath.Abs(file); err == nil {
		file = path
	}
	if e[kind] == nil {
		e[kind] = map[string][][2]int64{}
	}
	e[kind][file] = append(e[kind][file], [2]int64{first, second})
}

func (e dumpErrors) print(w io.Writer) {
	for _, kind := range []dumpErrorKind{indexMismatch, timestampMismatch, timestampOrder, offsetNotFound, nonConsecutive} {
		var files []string
		for file := range e[kind] {
			files = append(files, file)
		}
		slices.Sort(files)
		for _, file := range files {
			fmt.Fprintf(w, kind.title, file)
			pairs := e[kind][file]
			if kind.sorted != 0 {
				slices.SortStableFunc(pairs, func(a, b [2]int64) int {
					switch {
					case a[0] < b[0]:
						return -kind.sorted
					case a[0] > b[0]:
						return kind.sorted
					}
					return 0
				})
			}
			for _, p := range pairs {
				fmt.Fprintf(w, kind.line, p[0], p[1])
			}
		}
	}
}
