package rabbitmq

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"

	"gregor/bench/peers/drive"
)

// Frames of AMQP 0-9-1: type, channel, size, payload, 0xce.
const (
	frameMethod = 1
	frameHeader = 2
	frameBody   = 3
	frameBeat   = 8
	frameEnd    = 0xce
	frameMax    = 128 << 10
)

// Methods: class and number.
const (
	connectionStart   = 10<<16 | 10
	connectionStartOk = 10<<16 | 11
	connectionTune    = 10<<16 | 30
	connectionTuneOk  = 10<<16 | 31
	connectionOpen    = 10<<16 | 40
	connectionOpenOk  = 10<<16 | 41
	connectionClose   = 10<<16 | 50
	channelOpen       = 20<<16 | 10
	channelOpenOk     = 20<<16 | 11
	channelClose      = 20<<16 | 40
	queueDeclare      = 50<<16 | 10
	queueDeclareOk    = 50<<16 | 11
	queueDelete       = 50<<16 | 40
	queueDeleteOk     = 50<<16 | 41
	basicQos          = 60<<16 | 10
	basicQosOk        = 60<<16 | 11
	basicConsume      = 60<<16 | 20
	basicConsumeOk    = 60<<16 | 21
	basicPublish      = 60<<16 | 40
	basicDeliver      = 60<<16 | 60
	basicAck          = 60<<16 | 80
	basicNack         = 60<<16 | 120
	confirmSelect     = 85<<16 | 10
	confirmSelectOk   = 85<<16 | 11
)

const classBasic = 60

// amqp is a connection with one channel, 1. One goroutine may write while another reads.
type amqp struct {
	*drive.Conn
	in      *bufio.Reader
	payload []byte
}

func frame(b []byte, kind byte, channel int, payload []byte) []byte {
	b = u32(u16(append(b, kind), channel), len(payload))
	return append(append(b, payload...), frameEnd)
}

func method(b []byte, channel, id int, arguments []byte) []byte {
	return frame(b, frameMethod, channel, append(u32(nil, id), arguments...))
}

func dialAMQP(ctx context.Context, addr string) (*amqp, error) {
	nc, err := drive.Dial(ctx, addr)
	if err != nil {
		return nil, err
	}
	c := &amqp{Conn: nc, in: bufio.NewReaderSize(nc, 256<<10)}
	defer context.AfterFunc(ctx, func() { nc.Close() })()
	if err := c.open(); err != nil {
		nc.Close()
		return nil, fmt.Errorf("%s: connecting: %w", addr, err)
	}
	return c, nil
}

func (c *amqp) open() error {
	if _, err := io.WriteString(c, "AMQP\x00\x00\x09\x01"); err != nil {
		return err
	}
	if _, err := c.expect(connectionStart); err != nil {
		return err
	}
	startOk := short(u32(nil, 0), "PLAIN") // no properties
	startOk = short(long(startOk, plain), "en_US")
	if _, err := c.Write(method(nil, 0, connectionStartOk, startOk)); err != nil {
		return err
	}
	if _, err := c.expect(connectionTune); err != nil {
		return err
	}
	b := method(nil, 0, connectionTuneOk, u16(u32(u16(nil, 1), frameMax), 0)) // one channel, no heartbeat
	b = method(b, 0, connectionOpen, append(short(nil, "/"), 0, 0))
	if _, err := c.Write(b); err != nil {
		return err
	}
	if _, err := c.expect(connectionOpenOk); err != nil {
		return err
	}
	_, err := c.call(channelOpen, short(nil, ""), channelOpenOk)
	return err
}

// call sends a method on the channel and waits for its reply.
func (c *amqp) call(id int, arguments []byte, reply int) ([]byte, error) {
	if _, err := c.Write(method(nil, 1, id, arguments)); err != nil {
		return nil, err
	}
	return c.expect(reply)
}

func (c *amqp) expect(id int) ([]byte, error) {
	kind, p, err := c.next()
	if err != nil {
		return nil, err
	}
	if got := methodOf(kind, p); got != id {
		return nil, fmt.Errorf("method %d.%d in place of %d.%d", got>>16, got&0xffff, id>>16, id&0xffff)
	}
	return p[4:], nil
}

// methodOf is 0 for a frame that is none.
func methodOf(kind byte, payload []byte) int {
	if kind != frameMethod || len(payload) < 4 {
		return 0
	}
	return int(binary.BigEndian.Uint32(payload))
}

// next reads a frame, valid until the next; the server's word that it closes is an error.
func (c *amqp) next() (kind byte, payload []byte, err error) {
	for {
		head, err := c.in.Peek(7)
		if err != nil {
			return 0, nil, err
		}
		kind, size := head[0], int(binary.BigEndian.Uint32(head[3:]))
		if size > frameMax {
			return 0, nil, fmt.Errorf("a frame of %d bytes", size)
		}
		if _, err := c.in.Discard(7); err != nil {
			return 0, nil, err
		}
		if cap(c.payload) < size+1 {
			c.payload = make([]byte, frameMax+1)
		}
		p := c.payload[:size+1]
		if _, err := io.ReadFull(c.in, p); err != nil {
			return 0, nil, err
		}
		if p[size] != frameEnd {
			return 0, nil, errors.New("a frame without its end")
		}
		p = p[:size]
		if m := methodOf(kind, p); m == connectionClose || m == channelClose {
			return 0, nil, closed(p[4:])
		}
		if kind != frameBeat {
			return kind, p, nil
		}
	}
}

// closed reads a code and a reason.
func closed(p []byte) error {
	if len(p) < 3 || len(p) < 3+int(p[2]) {
		return errors.New("the server closed")
	}
	return fmt.Errorf("the server closed: %d %s", binary.BigEndian.Uint16(p), strings.TrimSpace(string(p[3:3+int(p[2])])))
}
