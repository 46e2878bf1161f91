package nats

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"gregor/bench/peers/drive"
)

// conn is a connection. Nothing of it may be called by two goroutines, but that one may write while another reads.
type conn struct {
	*drive.Conn
	in      *bufio.Reader
	payload []byte
	fields  [][]byte
}

func dial(ctx context.Context, addr string) (*conn, error) {
	nc, err := drive.Dial(ctx, addr)
	if err != nil {
		return nil, err
	}
	c := &conn{Conn: nc, in: bufio.NewReaderSize(nc, 256<<10)}
	stop := context.AfterFunc(ctx, func() { nc.Close() })
	defer stop()
	if _, err = c.in.ReadSlice('\n'); err == nil { // INFO
		if err = c.write(`CONNECT {"verbose":false,"pedantic":false,"headers":true,"no_responders":true}` + "\r\nPING\r\n"); err == nil {
			err = c.pong()
		}
	}
	if err != nil {
		nc.Close()
		return nil, fmt.Errorf("%s: connecting: %w", addr, err)
	}
	return c, nil
}

func (c *conn) write(s string) error {
	_, err := io.WriteString(c, s)
	return err
}

func (c *conn) pong() error {
	for {
		line, err := c.in.ReadSlice('\n')
		if err != nil {
			return err
		}
		if bytes.HasPrefix(line, []byte("PONG")) {
			return nil
		}
		if bytes.HasPrefix(line, []byte("-ERR")) {
			return errors.New(string(bytes.TrimSpace(line)))
		}
	}
}

// message is valid until the next is read.
type message struct {
	subject []byte
	head    []byte // "NATS/1.0 ...", if it has headers
	payload []byte
}

// next reads the next message, and answers what the server asks between messages.
func (c *conn) next() (message, error) {
	for {
		line, err := c.in.ReadSlice('\n')
		if err != nil {
			return message{}, err
		}
		switch {
		case bytes.HasPrefix(line, []byte("MSG ")), bytes.HasPrefix(line, []byte("HMSG ")):
			return c.message(line)
		case bytes.HasPrefix(line, []byte("PING")):
			err = c.write("PONG\r\n")
		case bytes.HasPrefix(line, []byte("-ERR")):
			err = errors.New(string(bytes.TrimSpace(line)))
		}
		if err != nil {
			return message{}, err
		}
	}
}

// message reads what follows "MSG subject sid [reply] bytes" or "HMSG subject sid [reply] headBytes bytes".
func (c *conn) message(line []byte) (m message, err error) {
	f := c.fields[:0]
	for rest := bytes.TrimSpace(line); len(rest) > 0; {
		var field []byte
		field, rest, _ = bytes.Cut(rest, []byte(" "))
		f = append(f, field)
	}
	c.fields = f
	if len(f) < 4 {
		return m, fmt.Errorf("not a message: %q", line)
	}
	size, err := strconv.Atoi(string(f[len(f)-1]))
	if err != nil || size < 0 || size > 64<<20 {
		return m, fmt.Errorf("not a message's size: %q", line)
	}
	head := 0
	if line[0] == 'H' {
		if head, err = strconv.Atoi(string(f[len(f)-2])); err != nil || head < 0 || head > size {
			return m, fmt.Errorf("not a head's size: %q", line)
		}
	}
	subject := len(f[1])
	// The line is in the reader's buffer, which the payload may overwrite.
	if need := subject + size + 2; cap(c.payload) < need {
		c.payload = make([]byte, 2*need)
	}
	b := c.payload[:subject+size+2]
	copy(b, f[1])
	if _, err := io.ReadFull(c.in, b[subject:]); err != nil {
		return m, err
	}
	return message{subject: b[:subject], head: b[subject : subject+head], payload: b[subject+head : subject+size]}, nil
}

// request asks JetStream's interface something, and returns an error if the answer is one.
func request(ctx context.Context, addr, subject string, body any) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	c, err := dial(ctx, addr)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	text := []byte{}
	if body != nil {
		if text, err = json.Marshal(body); err != nil {
			return nil, err
		}
	}
	if err := c.write(fmt.Sprintf("SUB _INBOX.ask 1\r\nPUB %s _INBOX.ask %d\r\n%s\r\n", subject, len(text), text)); err != nil {
		return nil, err
	}
	m, err := c.next()
	if err != nil {
		return nil, fmt.Errorf("%s: %s: %w", addr, subject, err)
	}
	var answer struct{ Error *struct{ Description string } }
	if len(m.head) > 0 {
		return nil, fmt.Errorf("%s: %s: %s", addr, subject, bytes.TrimSpace(m.head)) // no responders: JetStream is not up
	}
	if err := json.Unmarshal(m.payload, &answer); err != nil {
		return nil, fmt.Errorf("%s: %s: %w", addr, subject, err)
	}
	if answer.Error != nil {
		return nil, fmt.Errorf("%s: %s: %s", addr, subject, answer.Error.Description)
	}
	return m.payload, nil
}
