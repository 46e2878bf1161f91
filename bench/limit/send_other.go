//go:build !linux

package limit

import (
	"io"
	"net"
)

func sendSpan(c net.Conn, head []byte, r span) error {
	if _, err := c.Write(head); err != nil {
		return err
	}
	_, err := io.Copy(c, io.NewSectionReader(r.segment.file, r.at, r.bytes))
	return err
}
