package cli

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
)

var errShortRecord = errors.New("lengths do not fit")

// recordJSON renders body, which is described by s, as Kafka's JSON
// converters do: no spaces, tagged fields only if they differ from their
// default, bytes in base64, ids as 22 characters.
func recordJSON(s *schema, body []byte, inside func(field string, value []byte) (string, bool)) (string, error) {
	d := recordDecoder{p: body, inside: inside}
	json := d.value(s, "")
	if d.bad {
		return "", fmt.Errorf("%w: %d bytes", errShortRecord, len(body))
	}
	return json, nil
}

// recordDecoder is a cursor over a record; after the first error it gives nothing more.
type recordDecoder struct {
	p   []byte
	bad bool
	// inside may replace the JSON of a bytes field by that of what the bytes hold.
	inside func(field string, value []byte) (string, bool)
}

func (d *recordDecoder) take(n uint64) []byte {
	if d.bad || n > uint64(len(d.p)) {
		d.bad, d.p = true, nil
		return nil
	}
	b := d.p[:n]
	d.p = d.p[n:]
	return b
}

func (d *recordDecoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.p)
	if n <= 0 {
		d.bad, d.p = true, nil
		return 0
	}
	d.p = d.p[n:]
	return v
}

func (d *recordDecoder) number(size uint64) int64 {
	b := d.take(size)
	if b == nil {
		return 0
	}
	switch size {
	case 1:
		return int64(int8(b[0]))
	case 2:
		return int64(int16(binary.BigEndian.Uint16(b)))
	case 4:
		return int64(int32(binary.BigEndian.Uint32(b)))
	}
	return int64(binary.BigEndian.Uint64(b))
}

// length reads a length in the form that the type has; -1 is null.
func (d *recordDecoder) length(s *schema) int64 {
	switch {
	case s.compact:
		return int64(d.uvarint()) - 1
	case s.kind == "string":
		return d.number(2)
	}
	return d.number(4)
}

func (d *recordDecoder) value(s *schema, name string) string {
	switch s.kind {
	case "int8":
		return strconv.FormatInt(d.number(1), 10)
	case "int16":
		return strconv.FormatInt(d.number(2), 10)
	case "uint16":
		return strconv.FormatInt(d.number(2)&0xffff, 10)
	case "int32":
		return strconv.FormatInt(d.number(4), 10)
	case "int64":
		return strconv.FormatInt(d.number(8), 10)
	case "boolean":
		return strconv.FormatBool(d.number(1) != 0)
	case "uuid":
		return `"` + base64.RawURLEncoding.EncodeToString(d.take(16)) + `"`
	case "string", "bytes":
		n := d.length(s)
		if n == -1 {
			return "null"
		}
		b := d.take(uint64(n))
		if s.kind == "string" {
			return quoteJSON(string(b))
		}
		if d.inside != nil {
			if json, ok := d.inside(name, b); ok {
				return json
			}
		}
		return `"` + base64.StdEncoding.EncodeToString(b) + `"`
	case "array":
		return d.array(s, name)
	case "struct":
		if s.nullable && d.number(1) < 0 {
			return "null"
		}
		return d.structure(s)
	}
	d.bad = true
	return ""
}

func (d *recordDecoder) array(s *schema, name string) string {
	n := d.length(s)
	if n == -1 {
		return "null"
	}
	// Every element takes a byte at least, so a larger count is a lie.
	if n < 0 || n > int64(len(d.p)) {
		d.bad = true
		return ""
	}
	json := []byte{'['}
	for i := range n {
		if i > 0 {
			json = append(json, ',')
		}
		json = append(json, d.value(s.element, name)...)
		if d.bad {
			return ""
		}
	}
	return string(append(json, ']'))
}

func (d *recordDecoder) structure(s *schema) string {
	values := make([]string, len(s.fields))
	for i, f := range s.fields {
		if f.tag < 0 {
			values[i] = d.value(f.schema, f.name)
		} else {
			values[i] = f.defaultJSON()
		}
	}
	if s.tagged {
		d.tags(s, values)
	}
	json := []byte{'{'}
	for i, f := range s.fields {
		if f.tag >= 0 && values[i] == f.defaultJSON() {
			continue
		}
		if len(json) > 1 {
			json = append(json, ',')
		}
		json = append(append(json, quoteJSON(f.name)...), ':')
		json = append(json, values[i]...)
	}
	return string(append(json, '}'))
}

func (d *recordDecoder) tags(s *schema, values []string) {
	for n := d.uvarint(); n > 0 && !d.bad; n-- {
		tag := d.uvarint()
		section := recordDecoder{p: d.take(d.uvarint()), inside: d.inside}
		for i, f := range s.fields {
			if f.tag >= 0 && uint64(f.tag) == tag {
				values[i] = section.taggedValue(f)
				d.bad = d.bad || section.bad
			}
		}
	}
}

// taggedValue reads a field inside its tagged section, where a nullable struct
// is marked by a varint; elsewhere the mark is an int8.
func (d *recordDecoder) taggedValue(f schemaField) string {
	if f.schema.kind == "struct" && f.schema.nullable {
		if d.uvarint() == 0 {
			return "null"
		}
		return d.structure(f.schema)
	}
	return d.value(f.schema, f.name)
}

// defaultJSON is the JSON of a tagged field's default.
func (f *schemaField) defaultJSON() string {
	if f.schema.kind == "uuid" || f.schema.kind == "string" {
		return quoteJSON(f.fallback)
	}
	return f.fallback
}

// quoteJSON escapes what JSON demands and no more.
func quoteJSON(s string) string {
	const hex = "0123456789ABCDEF"
	b := []byte{'"'}
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b = append(b, '\\', byte(r))
		case r == '\n':
			b = append(b, `\n`...)
		case r == '\r':
			b = append(b, `\r`...)
		case r == '\t':
			b = append(b, `\t`...)
		case r == '\b':
			b = append(b, `\b`...)
		case r == '\f':
			b = append(b, `\f`...)
		case r < 0x20:
			b = append(b, '\\', 'u', '0', '0', hex[r>>4], hex[r&15])
		default:
			b = append(b, string(r)...)
		}
	}
	return string(append(b, '"'))
}
