package cli

import (
	"encoding/binary"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// deserializer turns bytes into what is printed. Null never comes here.
type deserializer func([]byte) ([]byte, error)

// findDeserializer knows the classes of org.apache.kafka.common.serialization by name.
func findDeserializer(class string) (deserializer, error) {
	name := strings.TrimPrefix(strings.TrimSpace(class), "org.apache.kafka.common.serialization.")
	switch name {
	case "", "StringDeserializer", "ByteArrayDeserializer", "BytesDeserializer", "ByteBufferDeserializer":
		return func(b []byte) ([]byte, error) { return b, nil }, nil
	case "ShortDeserializer":
		return sized(name, 2, func(b []byte) string { return strconv.Itoa(int(int16(binary.BigEndian.Uint16(b)))) }), nil
	case "IntegerDeserializer":
		return sized(name, 4, func(b []byte) string { return strconv.Itoa(int(int32(binary.BigEndian.Uint32(b)))) }), nil
	case "LongDeserializer":
		return sized(name, 8, func(b []byte) string { return strconv.FormatInt(int64(binary.BigEndian.Uint64(b)), 10) }), nil
	case "FloatDeserializer":
		return sized(name, 4, func(b []byte) string {
			return javaFloat(float64(math.Float32frombits(binary.BigEndian.Uint32(b))), 32)
		}), nil
	case "DoubleDeserializer":
		return sized(name, 8, func(b []byte) string { return javaFloat(math.Float64frombits(binary.BigEndian.Uint64(b)), 64) }), nil
	case "BooleanDeserializer":
		return sized(name, 1, func(b []byte) string { return strconv.FormatBool(b[0] == 1) }), nil
	case "UUIDDeserializer":
		return func(b []byte) ([]byte, error) { return b, nil }, nil // its bytes are the text
	case "VoidDeserializer":
		return func(b []byte) ([]byte, error) {
			return nil, fmt.Errorf("Data should be null for a VoidDeserializer.") //nolint:staticcheck // Kafka's words
		}, nil
	}
	return nil, fmt.Errorf("deserializer %q is a Java class that cannot be loaded here: use one of org.apache.kafka.common.serialization (StringDeserializer, IntegerDeserializer, LongDeserializer, ...)", class)
}

func sized(name string, size int, format func([]byte) string) deserializer {
	return func(b []byte) ([]byte, error) {
		if len(b) != size {
			return nil, fmt.Errorf("Size of data received by %s is not %d", name, size) //nolint:staticcheck // Kafka's words
		}
		return []byte(format(b)), nil
	}
}

// javaFloat prints a number as Java does: 1.0, 1.5E10, NaN, Infinity.
func javaFloat(v float64, bits int) string {
	abs := math.Abs(v)
	switch {
	case math.IsNaN(v):
		return "NaN"
	case math.IsInf(v, 0):
		return strings.TrimPrefix(strings.Replace(strconv.FormatFloat(v, 'g', -1, bits), "Inf", "Infinity", 1), "+")
	case abs != 0 && (abs < 1e-3 || abs >= 1e7):
		text := strconv.FormatFloat(v, 'E', -1, bits)
		mantissa, exponent, _ := strings.Cut(text, "E")
		if !strings.Contains(mantissa, ".") {
			mantissa += ".0"
		}
		n, _ := strconv.Atoi(exponent)
		return mantissa + "E" + strconv.Itoa(n)
	}
	text := strconv.FormatFloat(v, 'f', -1, bits)
	if !strings.Contains(text, ".") {
		text += ".0"
	}
	return text
}
