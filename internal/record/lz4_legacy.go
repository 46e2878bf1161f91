package record

import (
	"encoding/binary"
	"math/bits"
)

// repairLZ4Header gives an LZ4 frame whose header checksum is right. In format
// 0 Kafka's clients computed it over the frame's magic too (KAFKA-3160), and
// the reader is right to refuse that.
func repairLZ4Header(frame []byte) []byte {
	const flagsAt, contentSize = 4, 0x08
	descriptor := 2
	if len(frame) > flagsAt && frame[flagsAt]&contentSize != 0 {
		descriptor += 8
	}
	sumAt := flagsAt + descriptor
	if len(frame) <= sumAt {
		return frame
	}
	fixed := append([]byte(nil), frame...)
	fixed[sumAt] = byte(shortXXH32(frame[flagsAt:sumAt]) >> 8)
	return fixed
}

// shortXXH32 is xxHash32 with seed 0 of fewer than 16 bytes.
func shortXXH32(p []byte) uint32 {
	const (
		prime1 = 2654435761
		prime2 = 2246822519
		prime3 = 3266489917
		prime4 = 668265263
		prime5 = 374761393
	)
	h := uint32(prime5 + len(p))
	for ; len(p) >= 4; p = p[4:] {
		h = bits.RotateLeft32(h+binary.LittleEndian.Uint32(p)*prime3, 17) * prime4
	}
	for _, c := range p {
		h = bits.RotateLeft32(h+uint32(c)*prime5, 11) * prime1
	}
	h = (h ^ h>>15) * prime2
	h = (h ^ h>>13) * prime3
	return h ^ h>>16
}
