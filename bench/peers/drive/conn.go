package drive

import (
	"context"
	"net"
)

// Conn is a connection whose requests wait until there is nothing more to read: all that a batch of acknowledgements makes
// room for goes out in one write.
type Conn struct {
	net.Conn
	queued  []byte
	queuing bool
}

// Dial connects.
func Dial(ctx context.Context, addr string) (*Conn, error) {
	c, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	return &Conn{Conn: c}, nil
}

// Queue says that requests may wait for the next read, which then has to be made by the goroutine that sends. At a rate, each
// goes out when it is due.
func (c *Conn) Queue(l Load) { c.queuing = l.PerSecond == 0 }

// Direct is the size from which on a request is not copied, but sent by itself.
const Direct = 16 << 10

// Send sends a request, or lets it wait.
func (c *Conn) Send(request []byte) error {
	if c.queuing && len(request) < Direct {
		c.queued = append(c.queued, request...)
		return nil
	}
	if err := c.flush(); err != nil {
		return err
	}
	_, err := c.Write(request)
	return err
}

func (c *Conn) flush() error {
	if len(c.queued) == 0 {
		return nil
	}
	_, err := c.Write(c.queued)
	c.queued = c.queued[:0]
	return err
}

// Read sends what waits, and reads.
func (c *Conn) Read(p []byte) (int, error) {
	if c.queuing {
		if err := c.flush(); err != nil {
			return 0, err
		}
	}
	return c.Conn.Read(p)
}
