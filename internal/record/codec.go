package record

import (
	"fmt"
	"strings"
)

// Codec is how the records of a batch are compressed: the low three bits of the attributes.
type Codec int8

// The codecs that Kafka defines.
const (
	None   Codec = 0
	Gzip   Codec = 1
	Snappy Codec = 2
	LZ4    Codec = 3
	Zstd   Codec = 4
)

var codecNames = [...]string{"none", "gzip", "snappy", "lz4", "zstd"}

// Valid tells whether the codec is one that Kafka defines.
func (c Codec) Valid() bool { return c >= None && int(c) < len(codecNames) }

// String is the name used in configuration and on the command line.
func (c Codec) String() string {
	if !c.Valid() {
		return fmt.Sprintf("unknown(%d)", int8(c))
	}
	return codecNames[c]
}

// ParseCodec reads a name as compression.type has it: none (or uncompressed), gzip, snappy, lz4, zstd.
func ParseCodec(name string) (Codec, error) {
	name = strings.ToLower(strings.TrimSpace(name))
	if name == "uncompressed" {
		return None, nil
	}
	for i, n := range codecNames {
		if n == name {
			return Codec(i), nil
		}
	}
	return None, fmt.Errorf("%w: %q is none of %s", ErrUnsupportedCodec, name, strings.Join(codecNames[:], ", "))
}
