package load

import (
	"bufio"
	"context"
	"fmt"
	"net"

	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Conn is a connection that carries one request at a time, in whatever version the request is set to. It is for what is
// asked seldom, or by many connections, so that a whole client would be the heavier part.
type Conn struct {
	conn  net.Conn
	in    *bufio.Reader
	id    int32
	frame []byte
	reply []byte
}

// connBuffer is small, since there are thousands of connections; a larger reply is read past it.
const connBuffer = 512

// Dial connects to a broker.
func Dial(ctx context.Context, addr string) (*Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	return &Conn{conn: conn, in: bufio.NewReaderSize(conn, connBuffer)}, nil
}

// Close ends what waits for a reply, too.
func (c *Conn) Close() error { return c.conn.Close() }

// Do sends a request and waits for its reply. The connection is of no use after an error.
func (c *Conn) Do(req kmsg.Request) (kmsg.Response, error) {
	c.id++
	c.frame = kmsg.NewRequestFormatter(kmsg.FormatterClientID(clientID)).AppendRequest(c.frame[:0], req, c.id)
	if _, err := c.conn.Write(c.frame); err != nil {
		return nil, err
	}
	id, body, err := readReply(c.in, c.reply)
	if err != nil {
		return nil, err
	}
	c.reply = body
	if int32(id) != c.id {
		return nil, fmt.Errorf("the reply to request %d in place of %d's", id, c.id)
	}
	resp := req.ResponseKind()
	if resp.IsFlexible() && req.Key() != int16(kmsg.ApiVersions) {
		b := kbin.Reader{Src: body}
		if kmsg.SkipTags(&b); b.Complete() != nil {
			return nil, fmt.Errorf("tags of a reply to %T: %w", req, b.Complete())
		}
		body = b.Src
	}
	if err := resp.ReadFrom(body); err != nil {
		return nil, fmt.Errorf("a reply to %T: %w", req, err)
	}
	return resp, nil
}

// do is Do for a caller that knows what reply there must be.
func do[R kmsg.Response](c *Conn, req kmsg.Request) (R, error) {
	resp, err := c.Do(req)
	if err != nil {
		var none R
		return none, err
	}
	return resp.(R), nil
}
