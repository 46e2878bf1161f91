package record

import "math/bits"

const (
	maxVarint  = 5  // bytes of a 32-bit number
	maxVarlong = 10 // bytes of a 64-bit number
)

// readVarlong reads a zigzag-coded number of at most limit bytes from p. size is 0 when p ends too early, -1 when the number is too long.
func readVarlong(p []byte, limit int) (v int64, size int) {
	var u uint64
	for i, c := range p {
		if i == limit {
			return 0, -1
		}
		u |= uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			if limit == maxVarint {
				u = uint64(uint32(u))
			}
			return int64(u>>1) ^ -int64(u&1), i + 1
		}
	}
	if len(p) >= limit {
		return 0, -1
	}
	return 0, 0
}

func appendVarlong(p []byte, v int64) []byte {
	u := uint64(v)<<1 ^ uint64(v>>63)
	for u >= 0x80 {
		p = append(p, byte(u)|0x80)
		u >>= 7
	}
	return append(p, byte(u))
}

func sizeVarlong(v int64) int {
	u := uint64(v)<<1 ^ uint64(v>>63)
	return (bits.Len64(u|1) + 6) / 7
}
