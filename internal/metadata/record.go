package metadata

import (
	"encoding/binary"
	"fmt"
)

// Record is one record of the metadata log.
type Record interface {
	// Type is the API key of the record's kind.
	Type() int16
	// TypeName is the kind's name in Kafka's tools, as in "REGISTER_BROKER_RECORD".
	TypeName() string
	// MaxVersion is the newest version of the kind; versions begin at 0.
	MaxVersion() int16
	// AppendTo appends the record's body in a version. A field that the version does not have is left out.
	AppendTo(b []byte, version int16) []byte
	// ReadFrom sets the record from a body. It errs with ErrBadRecord and keeps nothing of b.
	ReadFrom(b []byte, version int16) error
	// appendJSON writes the body as Kafka's own JSON converters do.
	appendJSON(w *jsonWriter, version int16)
}

// Versioned is a record and the version it is or was written in: Kafka's ApiMessageAndVersion.
type Versioned struct {
	Record  Record
	Version int16
}

// frameVersion is the only version of the frame around a record (KIP-631).
const frameVersion = 1

// Append appends the frame of a record, the value of a batch's record: frame version, type and version as varints,
// then the body.
func (v Versioned) Append(b []byte) []byte {
	b = binary.AppendUvarint(b, frameVersion)
	b = binary.AppendUvarint(b, uint64(v.Record.Type()))
	b = binary.AppendUvarint(b, uint64(v.Version))
	return v.Record.AppendTo(b, v.Version)
}

// Parse reads what Append writes. A type or version that we do not know is an error: skipping a record would fork
// our state from that of the others.
func Parse(value []byte) (Versioned, error) {
	d := decoder{b: value}
	frame, kind, version := d.uvarint(), d.uvarint(), d.uvarint()
	if d.err != nil {
		return Versioned{}, fmt.Errorf("frame: %w", d.err)
	}
	if frame != frameVersion {
		return Versioned{}, fmt.Errorf("%w: frame version %d (want %d)", ErrBadRecord, frame, frameVersion)
	}
	if kind > 0x7fff {
		return Versioned{}, fmt.Errorf("%w: type %d is not known", ErrBadRecord, kind)
	}
	r := NewRecord(int16(kind))
	if r == nil {
		return Versioned{}, fmt.Errorf("%w: type %d is not known", ErrBadRecord, kind)
	}
	if version > int(r.MaxVersion()) {
		return Versioned{}, fmt.Errorf("%w: %s version %d (newest known is %d)", ErrBadRecord, r.TypeName(), version, r.MaxVersion())
	}
	if err := r.ReadFrom(d.b, int16(version)); err != nil {
		return Versioned{}, fmt.Errorf("%s version %d: %w", r.TypeName(), version, err)
	}
	return Versioned{r, int16(version)}, nil
}

// JSON renders a record as kafka-dump-log --cluster-metadata-decoder prints it: {"type":...,"version":...,"data":...}.
func (v Versioned) JSON() string {
	var w jsonWriter
	w.open('{')
	w.key("type")
	w.string(v.Record.TypeName())
	w.key("version")
	w.int(int64(v.Version))
	w.key("data")
	v.Record.appendJSON(&w, v.Version)
	w.close('}')
	return string(w.b)
}

func (v Versioned) String() string { return v.JSON() }
