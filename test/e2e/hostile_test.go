package e2e

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/test/client"
	"gregor/test/server"
)

// TestBadInput sends what no client should, on connections of its own, while a well-behaved producer and consumer work
// on: they must not notice, the process must not end, and its memory must stay within bounds.
func TestBadInput(t *testing.T) {
	s := server.Start(t, server.Options{Extra: []string{"queued.max.request.bytes=134217728"}})
	client.Create(t, s.Addr, "calm", 1)
	client.Create(t, s.Addr, "target", 1)
	bystander := standBy(t, s.Addr)

	t.Run("frames", func(t *testing.T) { badFrames(t, s) })
	t.Run("random bytes", func(t *testing.T) { randomBytes(t, s) })
	t.Run("mutated requests", func(t *testing.T) { mutatedRequests(t, s) })
	t.Run("lying counts", func(t *testing.T) { lyingCounts(t, s) })
	t.Run("bad batches", func(t *testing.T) { badBatches(t, s) })
	t.Run("unknown keys and versions", func(t *testing.T) { unknownKeys(t, s) })
	t.Run("large claims and slow senders", func(t *testing.T) { slowSenders(t, s) })

	bystander.end(t)
	if !server.Apache() {
		if resident := s.ResidentBytes(); resident > 350<<20 {
			t.Errorf("the process holds %d MB", resident>>20)
		} else {
			t.Logf("the process holds %d MB", resident>>20)
		}
	}
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
}

// bystander produces and consumes on connections that must never break.
type bystander struct {
	cancel context.CancelFunc
	done   sync.WaitGroup
	count  atomic.Int64
	broken atomic.Int64
	err    error
}

// OnBrokerDisconnect counts broken connections (kgo.HookBrokerDisconnect).
func (b *bystander) OnBrokerDisconnect(kgo.BrokerMetadata, net.Conn) { b.broken.Add(1) }

func standBy(t *testing.T, addr string) *bystander {
	ctx, cancel := context.WithCancel(context.Background())
	b := &bystander{cancel: cancel}
	// The client itself closes connections that it has not used for 20 s, which a slow machine gets to see.
	c := client.New(t, addr, kgo.ConsumeTopics("calm"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.WithHooks(b),
		kgo.FetchMaxWait(200*time.Millisecond), kgo.ConnIdleTimeout(15*time.Minute))
	b.done.Go(func() {
		for ctx.Err() == nil {
			n := b.count.Load()
			if err := c.ProduceSync(ctx, &kgo.Record{Topic: "calm", Value: fmt.Append(nil, n)}).FirstErr(); err != nil {
				if ctx.Err() == nil {
					b.err = fmt.Errorf("produce %d: %w", n, err)
				}
				return
			}
			for read := 0; read == 0; {
				fetches := c.PollFetches(ctx)
				if ctx.Err() != nil {
					return
				}
				if err := fetches.Err(); err != nil {
					b.err = fmt.Errorf("fetch %d: %w", n, err)
					return
				}
				for _, r := range fetches.Records() {
					if string(r.Value) != fmt.Sprint(n) {
						b.err = fmt.Errorf("read %q, want %d", r.Value, n)
						return
					}
					read++
				}
			}
			b.count.Add(1)
		}
	})
	t.Cleanup(func() { cancel(); b.done.Wait() })
	return b
}

func (b *bystander) end(t *testing.T) {
	t.Helper()
	b.cancel()
	broken := b.broken.Load()
	b.done.Wait()
	if b.err != nil || broken != 0 {
		t.Errorf("another client was disturbed: %v, %d of its connections were closed", b.err, broken)
	}
	if b.count.Load() == 0 {
		t.Error("another client came to nothing")
	}
	t.Logf("another client wrote and read %d records meanwhile", b.count.Load())
}

func dial(t *testing.T, s *server.Server) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", s.Addr)
	if err != nil {
		t.Fatal("the broker takes no connections:", err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// closed checks that the broker ends a connection by itself.
func closed(t *testing.T, c net.Conn, after string) {
	t.Helper()
	c.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.Copy(io.Discard, c); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("after %s the connection is still open", after)
	}
}

func frame(body []byte) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...)
}

func header(key, version int16, correlation int32, flexible bool) []byte {
	b := binary.BigEndian.AppendUint16(nil, uint16(key))
	b = binary.BigEndian.AppendUint16(b, uint16(version))
	b = binary.BigEndian.AppendUint32(b, uint32(correlation))
	b = binary.BigEndian.AppendUint16(b, 3)
	b = append(b, "bad"...)
	if flexible {
		b = append(b, 0)
	}
	return b
}

func badFrames(t *testing.T, s *server.Server) {
	for name, bytes := range map[string][]byte{
		"a length of 2 GB":       {0x7f, 0xff, 0xff, 0xff, 0, 18, 0, 0},
		"a negative length":      {0x80, 0, 0, 0, 0, 18, 0, 0},
		"a length of -1":         {0xff, 0xff, 0xff, 0xff},
		"a length of zero":       {0, 0, 0, 0},
		"a length of three":      {0, 0, 0, 3, 0, 18, 0},
		"half a header":          {0, 0, 0, 6, 0, 18, 0, 3, 0, 0},
		"a long client id":       frame(append(binary.BigEndian.AppendUint64(nil, 0x0012000000000001), 0x7f, 0xff)),
		"a TLS greeting":         {0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc, 0x03, 0x03},
		"a request of a browser": []byte("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
	} {
		c := dial(t, s)
		if _, err := c.Write(bytes); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		closed(t, c, name)
	}
	// A peer that goes away in the middle of a frame.
	for n := range 30 {
		c := dial(t, s)
		request := frame(append(header(0, 9, 1, true), make([]byte, 60)...))
		c.Write(request[:n])
		c.Close()
	}
}

func randomBytes(t *testing.T, s *server.Server) {
	random := rand.New(rand.NewPCG(1, 1))
	for range 200 {
		c := dial(t, s)
		garbage := make([]byte, random.IntN(2000))
		for i := range garbage {
			garbage[i] = byte(random.Uint32())
		}
		if random.IntN(2) == 0 {
			garbage = frame(garbage)
		}
		c.Write(garbage)
		c.Close()
	}
}

// mutatedRequests takes valid requests of every key and version and changes a few bytes of each.
func mutatedRequests(t *testing.T, s *server.Server) {
	random := rand.New(rand.NewPCG(2, 2))
	format := kmsg.NewRequestFormatter(kmsg.FormatterClientID("mutant"))
	var mutants [][]byte
	for key := int16(0); key <= kmsg.MaxKey; key++ {
		request := kmsg.RequestForKey(key)
		if request == nil || key == int16(kmsg.UnregisterBroker) { // which might name the broker
			continue
		}
		for version := int16(0); version <= request.MaxVersion(); version++ {
			request.SetVersion(version)
			if d, ok := request.(interface{ Default() }); ok {
				d.Default()
			}
			valid := format.AppendRequest(nil, request, 7)
			for range 4 {
				mutant := bytes.Clone(valid)
				for range 1 + random.IntN(3) {
					if at := 12 + random.IntN(len(mutant)-12+1); at < len(mutant) {
						mutant[at] = byte(random.Uint32())
					}
				}
				if random.IntN(4) == 0 {
					mutant = frame(mutant[4 : 4+random.IntN(len(mutant)-4)])
				}
				mutants = append(mutants, mutant)
			}
		}
	}
	// An answer, the end of the connection, or (of what waits, as a join does) nothing for a while: all is well.
	work := make(chan []byte)
	var workers sync.WaitGroup
	for range 16 {
		workers.Go(func() {
			for mutant := range work {
				c, err := net.Dial("tcp", s.Addr)
				if err != nil {
					t.Error("the broker takes no connections:", err)
					continue
				}
				c.Write(mutant)
				c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
				c.Read(make([]byte, 1000))
				c.Close()
			}
		})
	}
	for _, mutant := range mutants {
		work <- mutant
	}
	close(work)
	workers.Wait()
	t.Logf("%d mutants", len(mutants))
}

// lyingCounts says that there are two thousand million elements, in requests of some bytes.
func lyingCounts(t *testing.T, s *server.Server) {
	many := []byte{0x7f, 0xff, 0xff, 0xff}
	compactMany := []byte{0xff, 0xff, 0xff, 0xff, 0x0f}
	for name, body := range map[string][]byte{
		"metadata v1":           append(header(3, 1, 1, false), many...),
		"metadata v12":          append(header(3, 12, 1, true), compactMany...),
		"produce v3":            append(append(header(0, 3, 1, false), 0xff, 0xff, 0, 1, 0, 0, 0, 1), many...),
		"produce v9":            append(append(header(0, 9, 1, true), 0, 0, 1, 0, 0, 0, 1), compactMany...),
		"fetch v12":             append(append(header(1, 12, 1, true), make([]byte, 25)...), compactMany...),
		"list offsets v1":       append(append(header(2, 1, 1, false), 0xff, 0xff, 0xff, 0xff), many...),
		"create topics v5":      append(header(19, 5, 1, true), compactMany...),
		"join group v6":         append(append(header(11, 6, 1, true), 2, 'g', 0, 0, 0, 1, 0, 0, 0, 1, 1, 0, 2, 'c'), compactMany...),
		"many tagged fields":    append(header(18, 3, 1, false), compactMany...),
		"a long tagged field":   append(append(header(18, 3, 1, false), 1, 0), compactMany...),
		"a long string":         append(append(header(18, 3, 1, true), compactMany...), 'x'),
		"offset commit v8":      append(append(header(8, 8, 1, true), 2, 'g', 0, 0, 0, 1, 1, 0), compactMany...),
		"describe configs v4":   append(header(32, 4, 1, true), compactMany...),
		"delete records v2":     append(header(21, 2, 1, true), compactMany...),
		"negative array length": append(header(3, 1, 1, false), 0x80, 0, 0, 1),
	} {
		c := dial(t, s)
		if _, err := c.Write(frame(body)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		c.SetReadDeadline(time.Now().Add(10 * time.Second))
		if _, err := io.ReadFull(c, make([]byte, 4)); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: neither an answer nor the end of the connection", name)
		}
	}
}

// badBatches produces batches that are not what they say. Each is refused, and nothing of it is in the log.
func badBatches(t *testing.T, s *server.Server) {
	good := batch(1, 0, recordBytes("k", "v"))
	edit := func(at int, to ...byte) []byte { // under a checksum that is right again
		b := bytes.Clone(good)
		copy(b[at:], to)
		binary.BigEndian.PutUint32(b[17:], crc32.Checksum(b[21:], crc32.MakeTable(crc32.Castagnoli)))
		return b
	}
	wrongSum := bytes.Clone(good)
	wrongSum[len(wrongSum)-1] ^= 1
	for name, records := range map[string][]byte{
		"a wrong checksum":            wrongSum,
		"a count too high":            edit(57, 0x7f, 0xff, 0xff, 0xff),
		"a count too low":             edit(57, 0, 0, 0, 0),
		"a negative count":            edit(57, 0xff, 0xff, 0xff, 0xff),
		"a last offset delta":         edit(23, 0, 0, 0, 9),
		"a negative last delta":       edit(23, 0xff, 0xff, 0xff, 0xff),
		"an unknown codec":            edit(21, 0, 7),
		"gzip that is none":           edit(21, 0, 1),
		"zstd that is none":           edit(21, 0, 4),
		"an unknown magic":            edit(16, 9),
		"a length beyond the end":     edit(8, 0x7f, 0xff, 0xff, 0xff),
		"a length of zero":            edit(8, 0, 0, 0, 0),
		"a cut batch":                 good[:len(good)-3],
		"less than a header":          good[:20],
		"a control batch":             edit(21, 0, 0x20),
		"a record longer than it is":  batch(1, 0, append([]byte{0x7e}, recordBytes("k", "v")[1:]...)),
		"a bomb":                      batch(1, 1, bomb(t, 300<<20)),
		"a bomb of one large varint":  batch(1<<30, 1, bomb(t, 1<<20)),
		"bytes after the last record": batch(1, 0, append(recordBytes("k", "v"), 1, 2, 3)),
	} {
		t.Run(name, func(t *testing.T) {
			c := client.New(t, s.Addr)
			request := kmsg.NewPtrProduceRequest()
			request.Acks, request.TimeoutMillis = -1, 5000
			topic, partition := kmsg.NewProduceRequestTopic(), kmsg.NewProduceRequestTopicPartition()
			topic.Topic, partition.Records = "target", records
			topic.Partitions = append(topic.Partitions, partition)
			request.Topics = append(request.Topics, topic)
			request.Version = 8
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			response, err := c.Broker(1).RetriableRequest(ctx, versioned(request))
			if errors.Is(err, context.DeadlineExceeded) {
				t.Fatal("no answer")
			}
			if err != nil {
				return // the connection was closed: a refusal as well
			}
			code := response.(*kmsg.ProduceResponse).Topics[0].Partitions[0].ErrorCode
			if code == 0 {
				t.Error("it was accepted")
			} else {
				t.Log(kerr.ErrorForCode(code))
			}
		})
	}
	for _, r := range client.ReadPartition(t, s.Addr, "target", 0, -1) {
		t.Errorf("the log holds %s", client.Show(r))
	}
}

// versioned keeps a request at the last version that names topics.
func versioned(r *kmsg.ProduceRequest) kmsg.Request { return &produceV8{r} }

type produceV8 struct{ *kmsg.ProduceRequest }

func (*produceV8) MaxVersion() int16 { return 8 }

func recordBytes(key, value string) []byte {
	body := []byte{0, 0, 0} // attributes, timestamp delta, offset delta
	body = append(binary.AppendVarint(body, int64(len(key))), key...)
	body = append(binary.AppendVarint(body, int64(len(value))), value...)
	body = append(body, 0) // headers
	return append(binary.AppendVarint(nil, int64(len(body))), body...)
}

func batch(count int32, attributes int16, records []byte) []byte {
	b := make([]byte, 61, 61+len(records))
	binary.BigEndian.PutUint32(b[8:], uint32(49+len(records)))
	b[16] = 2
	binary.BigEndian.PutUint16(b[21:], uint16(attributes))
	binary.BigEndian.PutUint32(b[23:], uint32(count-1))
	binary.BigEndian.PutUint64(b[27:], uint64(time.Now().UnixMilli()))
	binary.BigEndian.PutUint64(b[35:], uint64(time.Now().UnixMilli()))
	for i := 43; i < 57; i++ {
		b[i] = 0xff // no producer
	}
	binary.BigEndian.PutUint32(b[57:], uint32(count))
	b = append(b, records...)
	binary.BigEndian.PutUint32(b[17:], crc32.Checksum(b[21:], crc32.MakeTable(crc32.Castagnoli)))
	return b
}

// bomb is gzip of so many zeros.
func bomb(t *testing.T, size int) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	zeros := make([]byte, 1<<20)
	for range size / len(zeros) {
		if _, err := w.Write(zeros); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func unknownKeys(t *testing.T, s *server.Server) {
	for _, key := range []int16{-1, 4, 93, 999, 32767} {
		c := dial(t, s)
		c.Write(frame(header(key, 0, 1, false)))
		closed(t, c, fmt.Sprintf("API key %d", key))
	}
	for _, version := range []int16{-1, 2, 99} { // Produce began at version 3 in Kafka 4
		c := dial(t, s)
		c.Write(frame(append(header(0, version, 1, true), 0)))
		closed(t, c, fmt.Sprintf("Produce in version %d", version))
	}
	// ApiVersions in a version to come is answered in version 0, with what there is, and the connection lives on.
	c := dial(t, s)
	for range 2 {
		c.Write(frame(append(header(18, 99, 5, true), 1, 1, 0)))
		c.SetReadDeadline(time.Now().Add(10 * time.Second))
		var size uint32
		if err := binary.Read(c, binary.BigEndian, &size); err != nil {
			t.Fatal("ApiVersions in version 99:", err)
		}
		answer := make([]byte, size)
		if _, err := io.ReadFull(c, answer); err != nil {
			t.Fatal(err)
		}
		var response kmsg.ApiVersionsResponse
		if err := response.ReadFrom(answer[4:]); err != nil || response.ErrorCode != kerr.UnsupportedVersion.Code || len(response.ApiKeys) == 0 {
			t.Errorf("ApiVersions in version 99 was answered with code %d and %d keys (%v)", response.ErrorCode, len(response.ApiKeys), err)
		}
	}
}

// slowSenders claim large requests and send little of them: what they claim must not be taken from memory.
func slowSenders(t *testing.T, s *server.Server) {
	before := s.ResidentBytes()
	var conns []net.Conn
	for range 100 {
		c := dial(t, s)
		c.Write(binary.BigEndian.AppendUint32(nil, 90<<20))
		c.Write(header(0, 9, 1, true))
		conns = append(conns, c)
	}
	for range 200 {
		conns = append(conns, dial(t, s)) // half-open: connected, and silent
	}
	defer func() {
		for _, c := range conns {
			c.Close()
		}
	}()
	if server.Apache() {
		return // it keeps memory for what is claimed, and others wait
	}
	// A slow one, byte by byte, is served all the same.
	slow := dial(t, s)
	for _, b := range frame(append(header(18, 3, 9, true), 2, 'a', 2, 'b', 0)) {
		if _, err := slow.Write([]byte{b}); err != nil {
			t.Fatal(err)
		}
	}
	slow.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.ReadFull(slow, make([]byte, 20)); err != nil {
		t.Error("a request sent byte by byte:", err)
	}
	after := s.ResidentBytes()
	if after-before > 200<<20 {
		t.Errorf("memory grew from %d MB to %d MB by requests that were only announced", before>>20, after>>20)
	}
}
