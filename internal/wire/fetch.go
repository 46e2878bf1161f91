package wire

import "io"

// Range is a part of a file that a response contains, such as a slice of a log. Close is called once.
type Range interface {
	Len() int
	// WriteTo writes the bytes; if w is a TCP connection, without taking them through memory (sendfile).
	WriteTo(w io.Writer) (int64, error)
	Close()
}

// Part is a range of a file followed by bytes of the response.
type Part struct {
	Range Range
	After []byte
}
