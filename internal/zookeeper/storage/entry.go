package storage

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/adler32"
	"io"
)

const (
	fileHeaderBytes  = 16
	entryHeaderBytes = 12 // checksum and length
	endOfRecord      = 'B'
	fileVersion      = 2
	logDatabase      = 0
	snapDatabase     = -1

	// txnHeaderBytes is TxnHeader: session 8, cxid 4, zxid 8, time 8, type 4.
	txnHeaderBytes = 32

	// maxTxnBytes bounds what is believed of a length. A transaction is hardly larger than the request that made it, and
	// that is smaller than jute.maxbuffer.
	maxTxnBytes = 1 << 30
)

var (
	logMagic      = [4]byte{'Z', 'K', 'L', 'G'}
	snapshotMagic = [4]byte{'Z', 'K', 'S', 'N'}
)

func appendFileHeader(b []byte, magic [4]byte, database int64) []byte {
	b = append(b, magic[:]...)
	b = binary.BigEndian.AppendUint32(b, fileVersion)
	return binary.BigEndian.AppendUint64(b, uint64(database))
}

func appendEntry(b, txn []byte) []byte {
	b = binary.BigEndian.AppendUint64(b, uint64(adler32.Checksum(txn)))
	b = binary.BigEndian.AppendUint32(b, uint32(len(txn)))
	b = append(b, txn...)
	return append(b, endOfRecord)
}

// txnZxid is the zxid in a transaction's header.
func txnZxid(txn []byte) int64 { return int64(binary.BigEndian.Uint64(txn[12:])) }

// entryReader reads the transactions of one log, which is in memory at most one transaction at a time.
type entryReader struct {
	r    *bufferedAt
	size int64
	pos  int64 // of the next entry
	bare bool  // there is no header: nothing can be read from the beginning
}

// errTail is wrapped when there is no valid entry at the reader's position: the end of the log, or damage.
var errTail = errors.New("no transaction")

func newEntryReader(r io.ReaderAt, size int64) (*entryReader, error) {
	e := &entryReader{r: &bufferedAt{src: r, size: size}, size: size, pos: fileHeaderBytes}
	head, err := e.r.bytes(0, fileHeaderBytes)
	if err != nil {
		return nil, err
	}
	switch {
	case len(head) < fileHeaderBytes || allZero(head):
		e.pos, e.bare = 0, true // a crash while it was created; if it is damage, following finds what is behind
		return e, nil
	case [4]byte(head) != logMagic:
		return nil, fmt.Errorf("%w: it begins with %q instead of %q", ErrDamaged, head[:4], logMagic[:])
	case binary.BigEndian.Uint32(head[4:]) != fileVersion:
		return nil, fmt.Errorf("%w: its version is %d instead of %d", ErrDamaged, binary.BigEndian.Uint32(head[4:]), fileVersion)
	}
	return e, nil
}

// next gives the transaction at the reader's position, valid until the next call. An error that wraps errTail says that
// there is none.
func (e *entryReader) next() ([]byte, error) {
	if e.bare {
		return nil, fmt.Errorf("%w: the file has no header", errTail)
	}
	txn, n, why, err := e.at(e.pos)
	if err != nil {
		return nil, err
	}
	if why != "" {
		return nil, fmt.Errorf("%w: %s", errTail, why)
	}
	e.pos += n
	return txn, nil
}

// at reads the entry at a position; why says what is wrong with it, and err that the disk does not give it.
func (e *entryReader) at(pos int64) (txn []byte, n int64, why string, err error) {
	head, err := e.r.bytes(pos, min(entryHeaderBytes, e.size-pos))
	if err != nil {
		return nil, 0, "", err
	}
	switch {
	case allZero(head):
		return nil, 0, "nothing is written", nil
	case len(head) < entryHeaderBytes:
		return nil, 0, "the last transaction is incomplete", nil
	}
	sum, length := binary.BigEndian.Uint64(head), int64(binary.BigEndian.Uint32(head[8:]))
	switch {
	case length < txnHeaderBytes || length > maxTxnBytes || sum>>32 != 0:
		return nil, 0, "this is no transaction", nil
	case pos+entryHeaderBytes+length+1 > e.size:
		return nil, 0, "the last transaction is incomplete", nil
	}
	end, err := e.r.bytes(pos+entryHeaderBytes+length, 1)
	if err != nil {
		return nil, 0, "", err
	}
	if end[0] != endOfRecord {
		return nil, 0, "the transaction has no end", nil
	}
	body, err := e.r.bytes(pos+entryHeaderBytes, length)
	if err != nil {
		return nil, 0, "", err
	}
	if uint64(adler32.Checksum(body)) != sum {
		return nil, 0, "CRC check failed", nil
	}
	return body, entryHeaderBytes + length + 1, "", nil
}

// following looks for a valid transaction anywhere from a position on, which tells damage from a tail that was being written
// when the machine stopped.
func (e *entryReader) following(from int64) (at, zxid int64, ok bool, err error) {
	const step = 1 << 18
	for pos := from; pos < e.size; {
		chunk, err := e.r.bytes(pos, min(step, e.size-pos))
		if err != nil {
			return 0, 0, false, err
		}
		if allZero(chunk) {
			pos += int64(len(chunk))
			if pos < e.size {
				pos -= entryHeaderBytes // a header may begin with zeros, as its checksum does
			}
			continue
		}
		for end := pos + int64(len(chunk)); pos < end; pos++ {
			txn, _, why, err := e.at(pos)
			if err != nil {
				return 0, 0, false, err
			}
			if why == "" {
				return pos, txnZxid(txn), true, nil
			}
		}
	}
	return 0, 0, false, nil
}

// sectorBytes is what a disk writes as a whole or not at all, at least.
const sectorBytes = 512

// missing tells whether a sector between two positions was never written: it is zero, as it was allocated. The first one may
// have older transactions in it, before the position. A transaction begins with four zeros anyway.
func (e *entryReader) missing(from, to int64) (bool, error) {
	for from < to {
		end := min((from/sectorBytes+1)*sectorBytes, e.size)
		b, err := e.r.bytes(from, end-from)
		if err != nil {
			return false, err
		}
		if len(b) > 4 && allZero(b) {
			return true, nil
		}
		from = end
	}
	return false, nil
}

// zeros is compared with: most of a log that was not ended cleanly is zero, and that is the fastest way to see it.
var zeros [1 << 16]byte

func allZero(b []byte) bool {
	for ; len(b) > len(zeros); b = b[len(zeros):] {
		if !bytes.Equal(b[:len(zeros)], zeros[:]) {
			return false
		}
	}
	return bytes.Equal(b, zeros[:len(b)])
}

// bufferedAt reads a file in large pieces.
type bufferedAt struct {
	src   io.ReaderAt
	size  int64
	buf   []byte
	start int64 // of buf in the file
}

const readAheadBytes = 1 << 18

// bytes gives n bytes from a position, fewer at the end of the file. They are valid until the next call.
func (b *bufferedAt) bytes(pos, n int64) ([]byte, error) {
	n = max(min(n, b.size-pos), 0)
	if pos < b.start || pos+n > b.start+int64(len(b.buf)) {
		want := max(n, min(readAheadBytes, b.size-pos))
		if int64(cap(b.buf)) < want {
			b.buf = make([]byte, want)
		}
		b.buf, b.start = b.buf[:want], pos
		if got, err := b.src.ReadAt(b.buf, pos); int64(got) < want {
			b.buf = b.buf[:0]
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
	}
	return b.buf[pos-b.start:][:n], nil
}
