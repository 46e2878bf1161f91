//go:build !unix

package broker

import (
	"io"
	"net"
	"syscall"
)

func frameSource(c net.Conn) io.Reader { return c }

const canWriteRaw = false

type rawWriter struct{}

func (*rawWriter) writeRaw(syscall.RawConn, []byte) (int, error) { panic("broker: no raw writes here") }
