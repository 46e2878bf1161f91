package metadata

import (
	"encoding/base64"
	"math"
	"strconv"
	"strings"
)

// jsonWriter writes JSON byte for byte as Kafka's tools print it (Jackson's compact form): fields in the order of the
// schema, no escapes but those that JSON demands.
type jsonWriter struct {
	b     []byte
	comma bool // a value came before this one in the same object or array
}

func (w *jsonWriter) sep() {
	if w.comma {
		w.b = append(w.b, ',')
	}
	w.comma = true
}

func (w *jsonWriter) open(bracket byte) {
	w.sep()
	w.b = append(w.b, bracket)
	w.comma = false
}

func (w *jsonWriter) close(bracket byte) {
	w.b = append(w.b, bracket)
	w.comma = true
}

func (w *jsonWriter) key(k string) {
	w.sep()
	w.quote(k)
	w.b = append(w.b, ':')
	w.comma = false
}

func (w *jsonWriter) raw(s string) {
	w.sep()
	w.b = append(w.b, s...)
}

func (w *jsonWriter) string(s string)   { w.sep(); w.quote(s) }
func (w *jsonWriter) int(v int64)       { w.raw(strconv.FormatInt(v, 10)) }
func (w *jsonWriter) bool(v bool)       { w.raw(strconv.FormatBool(v)) }
func (w *jsonWriter) uuid(v UUID)       { w.string(v.String()) }
func (w *jsonWriter) float64(v float64) { w.raw(javaDouble(v)) }
func (w *jsonWriter) bytes(v []byte)    { w.string(base64.StdEncoding.EncodeToString(v)) }

func (w *jsonWriter) nullString(s *string) {
	if s == nil {
		w.raw("null")
		return
	}
	w.string(*s)
}

func jsonArray[T any](w *jsonWriter, items []T, item func(*jsonWriter, T)) {
	w.open('[')
	for _, v := range items {
		item(w, v)
	}
	w.close(']')
}

func jsonNullArray[T any](w *jsonWriter, items []T, item func(*jsonWriter, T)) {
	if items == nil {
		w.raw("null")
		return
	}
	jsonArray(w, items, item)
}

func (w *jsonWriter) quote(s string) {
	const hex = "0123456789ABCDEF"
	w.b = append(w.b, '"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			w.b = append(w.b, '\\', byte(r))
		case r == '\n':
			w.b = append(w.b, `\n`...)
		case r == '\r':
			w.b = append(w.b, `\r`...)
		case r == '\t':
			w.b = append(w.b, `\t`...)
		case r == '\b':
			w.b = append(w.b, `\b`...)
		case r == '\f':
			w.b = append(w.b, `\f`...)
		case r < 0x20:
			w.b = append(w.b, '\\', 'u', '0', '0', hex[r>>4], hex[r&15])
		default:
			w.b = append(w.b, string(r)...)
		}
	}
	w.b = append(w.b, '"')
}

// javaDouble is Double.toString: at least one digit after the point, and an exponent outside 10^-3 ..10^7.
func javaDouble(v float64) string {
	switch abs := math.Abs(v); {
	case math.IsNaN(v):
		return `"NaN"`
	case math.IsInf(v, 1):
		return `"Infinity"`
	case math.IsInf(v, -1):
		return `"-Infinity"`
	case abs != 0 && (abs < 1e-3 || abs >= 1e7):
		mantissa, exponent, _ := strings.Cut(strconv.FormatFloat(v, 'E', -1, 64), "E")
		if !strings.Contains(mantissa, ".") {
			mantissa += ".0"
		}
		n, _ := strconv.Atoi(exponent)
		return mantissa + "E" + strconv.Itoa(n)
	default:
		s := strconv.FormatFloat(v, 'f', -1, 64)
		if !strings.Contains(s, ".") {
			s += ".0"
		}
		return s
	}
}
