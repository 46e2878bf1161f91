package tree

import (
	"encoding/binary"
	"hash/crc32"
	"strings"
)

// digestVersion is that of the calculation below (DigestCalculator.DIGEST_VERSION).
const digestVersion = 2

// procSubtree is left out of the digest, since quota nodes used to be changed without a transaction.
const procSubtree = "/zookeeper/"

// digestOf is a node's share of the digest: a CRC-32 of path, data and stat, the path of the root being empty.
func (t *Tree) digestOf(path string, n *node) uint32 {
	if strings.HasPrefix(path, procSubtree) {
		return 0
	}
	if path == "/" {
		path = ""
	}
	b := append(t.scratch[:0], path...)
	var sum uint32
	if len(n.data) <= 4096 { // one sum over a copy is faster than three over short pieces
		b = append(b, n.data...)
	} else {
		sum = crc32.Update(crc32.ChecksumIEEE(b), crc32.IEEETable, n.data)
		b = b[:0]
	}
	for _, v := range [...]int64{n.czxid, n.mzxid, n.pzxid, n.ctimeMs, n.mtimeMs} {
		b = binary.BigEndian.AppendUint64(b, uint64(v))
	}
	for _, v := range [...]int32{n.version, n.cversion, n.aversion} {
		b = binary.BigEndian.AppendUint32(b, uint32(v))
	}
	b = binary.BigEndian.AppendUint64(b, uint64(n.owner))
	t.scratch = b
	return crc32.Update(sum, crc32.IEEETable, b)
}

// changed keeps the digest after a change of a node's data or stat.
func (t *Tree) changed(path string, n *node) {
	t.digest -= uint64(n.digest)
	n.digest = t.digestOf(path, n)
	t.digest += uint64(n.digest)
}
