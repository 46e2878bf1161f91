package rabbitmq

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"gregor/bench/peers/drive"
)

// Commands of the stream protocol, all of version 1: size, command, version, and a correlation id if it has an answer.
const (
	streamDeclarePublisher = 1
	streamPublish          = 2
	streamConfirm          = 3
	streamPublishError     = 4
	streamSubscribe        = 7
	streamDeliver          = 8
	streamCredit           = 9
	streamCreate           = 13
	streamDelete           = 14
	streamPeerProperties   = 17
	streamHandshake        = 18
	streamAuthenticate     = 19
	streamTune             = 20
	streamOpen             = 21
	streamClose            = 22

	streamAnswer = 0x8000 // added to a command
	streamOK     = 1
)

// streams is a connection. One goroutine may write while another reads.
type streams struct {
	*drive.Conn
	in      *bufio.Reader
	payload []byte
}

func command(b []byte, id int, arguments []byte) []byte {
	b = u16(u16(u32(b, 4+len(arguments)), id), 1)
	return append(b, arguments...)
}

func dialStreams(ctx context.Context, addr string) (*streams, error) {
	nc, err := drive.Dial(ctx, addr)
	if err != nil {
		return nil, err
	}
	c := &streams{Conn: nc, in: bufio.NewReaderSize(nc, 256<<10)}
	defer context.AfterFunc(ctx, func() { nc.Close() })()
	if err := c.open(); err != nil {
		nc.Close()
		return nil, fmt.Errorf("%s: connecting: %w", addr, err)
	}
	return c, nil
}

func (c *streams) open() error {
	if err := c.call(streamPeerProperties, u32(nil, 0)); err != nil {
		return err
	}
	if err := c.call(streamHandshake, nil); err != nil {
		return err
	}
	if err := c.call(streamAuthenticate, long(text(nil, "PLAIN"), plain)); err != nil {
		return err
	}
	id, tune, err := c.next()
	if err != nil || id != streamTune || len(tune) < 8 {
		return errors.Join(fmt.Errorf("command %#x in place of tune", id), err)
	}
	binary.BigEndian.PutUint32(tune[4:], 0) // no heartbeat
	if _, err := c.Write(command(nil, streamTune|streamAnswer, tune)); err != nil {
		return err
	}
	return c.call(streamOpen, text(nil, "/"))
}

// call sends a command and waits until the answer says that it was done.
func (c *streams) call(id int, arguments []byte) error {
	if _, err := c.Write(command(nil, id, append(u32(nil, id), arguments...))); err != nil {
		return err
	}
	got, p, err := c.next()
	if err != nil {
		return err
	}
	if got != id|streamAnswer || len(p) < 6 {
		return fmt.Errorf("command %#x in place of the answer to %#x", got, id)
	}
	if code := binary.BigEndian.Uint16(p[4:]); code != streamOK {
		return fmt.Errorf("command %d: the server answers %d", id, code)
	}
	return nil
}

// next reads a command without its size and version, valid until the next.
func (c *streams) next() (id int, p []byte, err error) {
	head, err := c.in.Peek(8)
	if err != nil {
		return 0, nil, err
	}
	size := int(binary.BigEndian.Uint32(head)) - 4
	id = int(binary.BigEndian.Uint16(head[4:]))
	if size < 0 || size > 64<<20 {
		return 0, nil, fmt.Errorf("a command of %d bytes", size)
	}
	if _, err := c.in.Discard(8); err != nil {
		return 0, nil, err
	}
	if cap(c.payload) < size {
		c.payload = make([]byte, size)
	}
	p = c.payload[:size]
	if _, err := io.ReadFull(c.in, p); err != nil {
		return 0, nil, err
	}
	if id == streamClose {
		return 0, nil, fmt.Errorf("the server closes: %q", p)
	}
	return id, p, nil
}
