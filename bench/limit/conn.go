package limit

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// maxRequest bounds what a client may make a connection allocate.
const maxRequest = 64 << 20

// conn serves one client, request by request: a reply leaves when there is no whole request after it that has come already.
type conn struct {
	server *Server
	c      net.Conn
	in     *bufio.Reader
	frame  []byte // of large requests
	out    []byte // replies
	timer  *time.Timer

	topic     string // that was asked for last, and its partitions
	partition []*partition
}

var errShort = errors.New("a request that is too short")

func (c *conn) serve(ctx context.Context) error {
	c.in = bufio.NewReaderSize(c.c, 64<<10)
	for {
		body, err := c.next()
		if err != nil {
			return err
		}
		if err := c.handle(ctx, body); err != nil {
			return err
		}
		if c.in.Buffered() >= 4 {
			if head, _ := c.in.Peek(4); int(binary.BigEndian.Uint32(head))+4 <= c.in.Buffered() {
				continue
			}
		}
		if len(c.out) > 0 {
			if _, err := c.c.Write(c.out); err != nil {
				return err
			}
			c.out = c.out[:0]
		}
	}
}

// next is the next request without its length, which holds until the one after it.
func (c *conn) next() ([]byte, error) {
	head, err := c.in.Peek(4)
	if err != nil {
		return nil, err
	}
	size := int(binary.BigEndian.Uint32(head))
	if size > maxRequest {
		return nil, fmt.Errorf("a request of %d bytes", size)
	}
	_, _ = c.in.Discard(4)
	if size <= c.in.Buffered() { // as it lies in the buffer
		body, _ := c.in.Peek(size)
		_, _ = c.in.Discard(size)
		return body, nil
	}
	if cap(c.frame) < size {
		c.frame = make([]byte, size)
	}
	_, err = io.ReadFull(c.in, c.frame[:size])
	return c.frame[:size], err
}

// fields reads what is in a request, one after the other.
type fields struct {
	b     []byte
	short bool
}

func (f *fields) take(n int) []byte {
	if n < 0 || n > len(f.b) {
		f.short = true
		return make([]byte, 8)
	}
	b := f.b[:n]
	f.b = f.b[n:]
	return b
}
func (f *fields) i16() int16 { return int16(binary.BigEndian.Uint16(f.take(2))) }
func (f *fields) i32() int32 { return int32(binary.BigEndian.Uint32(f.take(4))) }
func (f *fields) i64() int64 { return int64(binary.BigEndian.Uint64(f.take(8))) }
func (f *fields) string() []byte {
	if n := f.i16(); n > 0 {
		return f.take(int(n))
	}
	return nil
}

func (c *conn) handle(ctx context.Context, body []byte) error {
	f := &fields{b: body}
	key, version, correlation := f.i16(), f.i16(), f.i32()
	f.string() // client id
	if f.short {
		return errShort
	}
	switch {
	case key == 0 && version == 8:
		return c.produce(f, correlation)
	case key == 1 && version == 11:
		return c.fetch(ctx, f, correlation)
	}
	return c.other(key, version, correlation, f.b)
}

// begin appends the beginning of a reply, whose length end sets.
func (c *conn) begin(correlation int32) (at int) {
	at = len(c.out)
	c.out = append(c.out, 0, 0, 0, 0)
	c.out = binary.BigEndian.AppendUint32(c.out, uint32(correlation))
	return at
}

func (c *conn) end(at int, more int64) {
	binary.BigEndian.PutUint32(c.out[at:], uint32(int64(len(c.out)-at-4)+more))
}

func (c *conn) find(topic []byte, index int32) *partition {
	if string(topic) != c.topic {
		c.server.partition(topic, 0)
		c.server.mu.Lock()
		c.topic, c.partition = string(topic), c.server.partitions[string(topic)]
		c.server.mu.Unlock()
	}
	if index < 0 || int(index) >= len(c.partition) {
		return nil
	}
	return c.partition[index]
}

func (c *conn) produce(f *fields, correlation int32) error {
	f.string() // transactional id
	f.take(2 + 4)
	topics := f.i32()
	at := c.begin(correlation)
	c.out = binary.BigEndian.AppendUint32(c.out, uint32(topics))
	for range topics {
		name := f.string()
		partitions := f.i32()
		c.out = append(binary.BigEndian.AppendUint16(c.out, uint16(len(name))), name...)
		c.out = binary.BigEndian.AppendUint32(c.out, uint32(partitions))
		for range partitions {
			index := f.i32()
			batch := f.take(int(f.i32()))
			if f.short {
				return errShort
			}
			code, offset := int16(0), int64(0)
			if p := c.find(name, index); p == nil {
				code = kerr.UnknownTopicOrPartition.Code
			} else if o, err := p.append(batch); errors.Is(err, errCorrupt) {
				code = kerr.CorruptMessage.Code
			} else if err != nil {
				return err
			} else {
				offset = o
			}
			c.out = binary.BigEndian.AppendUint32(c.out, uint32(index))
			c.out = binary.BigEndian.AppendUint16(c.out, uint16(code))
			c.out = binary.BigEndian.AppendUint64(c.out, uint64(offset))
			c.out = binary.BigEndian.AppendUint64(c.out, 0xffffffffffffffff) // no append time
			c.out = binary.BigEndian.AppendUint64(c.out, 0)                  // log start
			c.out = binary.BigEndian.AppendUint32(c.out, 0)                  // no record errors
			c.out = binary.BigEndian.AppendUint16(c.out, 0xffff)             // no message
		}
		if f.short {
			return errShort
		}
	}
	c.out = binary.BigEndian.AppendUint32(c.out, 0) // throttle
	c.end(at, 0)
	return nil
}

// fetch answers for the first partition that is asked for.
func (c *conn) fetch(ctx context.Context, f *fields, correlation int32) error {
	f.take(4)
	maxWait := time.Duration(f.i32()) * time.Millisecond
	f.take(4 + 4 + 1 + 4 + 4)
	if c.timer == nil { // the first: this client reads
		c.timer = time.NewTimer(maxWait)
		_ = c.c.(*net.TCPConn).SetWriteBuffer(socketBytes)
		_ = c.c.(*net.TCPConn).SetReadBuffer(socketBytes)
	}
	if topics := f.i32(); topics < 1 {
		return errShort
	}
	name := f.string()
	if partitions := f.i32(); partitions < 1 {
		return errShort
	}
	index := f.i32()
	f.take(4)
	offset := f.i64()
	f.take(8)
	maxBytes := int64(f.i32())
	if f.short {
		return errShort
	}
	code := int16(0)
	var r span
	if p := c.find(name, index); p == nil {
		code = kerr.UnknownTopicOrPartition.Code
	} else {
		var err error
		if r, err = p.read(offset, maxBytes); err == nil && r.bytes == 0 && maxWait > 0 && c.wait(ctx, r.grown, maxWait) {
			r, err = p.read(offset, maxBytes)
		}
		if err != nil {
			code = kerr.OffsetOutOfRange.Code
		}
	}
	at := c.begin(correlation)
	c.out = append(c.out, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0) // throttle, error, session
	c.out = binary.BigEndian.AppendUint32(c.out, 1)
	c.out = append(binary.BigEndian.AppendUint16(c.out, uint16(len(name))), name...)
	c.out = binary.BigEndian.AppendUint32(c.out, 1)
	c.out = binary.BigEndian.AppendUint32(c.out, uint32(index))
	c.out = binary.BigEndian.AppendUint16(c.out, uint16(code))
	c.out = binary.BigEndian.AppendUint64(c.out, uint64(r.end))
	c.out = binary.BigEndian.AppendUint64(c.out, uint64(r.end))
	c.out = binary.BigEndian.AppendUint64(c.out, 0)
	c.out = binary.BigEndian.AppendUint32(c.out, 0xffffffff) // no aborted transactions
	c.out = binary.BigEndian.AppendUint32(c.out, 0xffffffff) // no other replica
	c.out = binary.BigEndian.AppendUint32(c.out, uint32(r.bytes))
	c.end(at, r.bytes)
	if r.bytes == 0 {
		return nil
	}
	err := sendSpan(c.c, c.out, r)
	c.out = c.out[:0]
	return errors.Join(err, r.release())
}

// wait says whether something came in time.
func (c *conn) wait(ctx context.Context, grown <-chan struct{}, atMost time.Duration) bool {
	c.timer.Reset(atMost)
	defer c.timer.Stop()
	select {
	case <-grown:
		return true
	case <-c.timer.C:
	case <-ctx.Done():
	}
	return false
}

// other answers what a client asks before it begins; how long that takes does not count.
func (c *conn) other(key, version int16, correlation int32, body []byte) error {
	req := kmsg.RequestForKey(key)
	if req == nil {
		return fmt.Errorf("request %d, which the limit does not speak", key)
	}
	req.SetVersion(version)
	resp := req.ResponseKind()
	resp.SetVersion(version)
	switch r := resp.(type) {
	case *kmsg.ApiVersionsResponse:
		if version > 3 {
			r.SetVersion(0)
			r.ErrorCode = kerr.UnsupportedVersion.Code
		}
		for _, k := range [][3]int16{{0, 8, 8}, {1, 11, 11}, {3, 0, 8}, {18, 0, 3}} {
			r.ApiKeys = append(r.ApiKeys, kmsg.ApiVersionsResponseApiKey{ApiKey: k[0], MinVersion: k[1], MaxVersion: k[2]})
		}
	case *kmsg.MetadataResponse:
		if err := req.ReadFrom(body); err != nil {
			return err
		}
		c.metadata(req.(*kmsg.MetadataRequest), r)
	default:
		return fmt.Errorf("request %d, which the limit does not speak", key)
	}
	at := c.begin(correlation)
	c.out = resp.AppendTo(c.out)
	c.end(at, 0)
	return nil
}

func (c *conn) metadata(req *kmsg.MetadataRequest, resp *kmsg.MetadataResponse) {
	b := kmsg.NewMetadataResponseBroker()
	b.NodeID, b.Host, b.Port = 1, c.server.host, c.server.port
	resp.Brokers = append(resp.Brokers, b)
	resp.ControllerID = 1
	for _, asked := range req.Topics {
		t := kmsg.NewMetadataResponseTopic()
		t.Topic = asked.Topic
		for i := range c.server.options.Partitions {
			p := kmsg.NewMetadataResponseTopicPartition()
			p.Partition, p.Leader, p.Replicas, p.ISR = int32(i), 1, []int32{1}, []int32{1}
			t.Partitions = append(t.Partitions, p)
		}
		resp.Topics = append(resp.Topics, t)
	}
}
