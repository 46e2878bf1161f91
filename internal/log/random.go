package log

import "crypto/rand"

// randomID makes a version 4 UUID.
func randomID(id *[16]byte) {
	rand.Read(id[:])
	id[6] = id[6]&0x0f | 0x40
	id[8] = id[8]&0x3f | 0x80
}
