package zookeeper

import "crypto/subtle"

const (
	passwordBytes = 16

	// superSecret is ZooKeeper's (ZooKeeperServer.superSecret). It is no secret, and says so itself; with it, clients
	// go on with their sessions when one server takes the data directory over from the other.
	superSecret = 0xB3415C00
)

// password is what proves that a client is who opened the session: the first bytes that java.util.Random gives.
func password(session int64) []byte {
	const (
		multiplier = 0x5DEECE66D
		mask       = 1<<48 - 1
	)
	seed := (uint64(session^superSecret) ^ multiplier) & mask
	p := make([]byte, 0, passwordBytes)
	for len(p) < passwordBytes {
		seed = (seed*multiplier + 0xB) & mask
		for n, i := uint32(seed>>16), 0; i < 4; i++ {
			p = append(p, byte(n))
			n >>= 8
		}
	}
	return p
}

func checkPassword(session int64, p []byte) bool {
	return session != 0 && subtle.ConstantTimeCompare(p, password(session)) == 1
}
