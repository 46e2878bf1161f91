package broker

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"runtime"
	"strings"
	"testing"
)

// roundTrip writes a prepared frame and takes its answer, of which it returns the size.
func (c *client) roundTrip(frame []byte) int {
	if _, err := c.conn.Write(frame); err != nil {
		c.t.Fatal(err)
	}
	f, err := c.in.Read(1 << 30)
	if err != nil {
		c.t.Fatal(err)
	}
	defer f.Release()
	return len(f.Bytes)
}

// The way of a produced batch, from the socket to the file and back; the client's part is a write and a read.
func BenchmarkProduce(b *testing.B) {
	for _, size := range []int{100, 16 << 10, 900 << 10} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			tb := startBroker(b, nil)
			tb.createTopic("t", 1)
			c := tb.dial()
			records := batch(strings.Repeat("x", size))
			frame := c.encode(produceRequest(12, "t", 0, -1, records))
			b.SetBytes(int64(len(records)))
			b.ReportAllocs()
			for b.Loop() {
				c.roundTrip(frame)
			}
		})
	}
}

// The way of fetched batches, from the file to the socket.
func BenchmarkFetch(b *testing.B) {
	for _, size := range []int{100, 16 << 10, 900 << 10} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			tb := startBroker(b, nil)
			tb.createTopic("t", 1)
			c := tb.dial()
			for range 4 {
				c.produce(9, "t", 0, 1, batch(strings.Repeat("x", size)))
			}
			req := fetchRequest(17, "t", 2)
			req.Topics[0].Partitions[0].PartitionMaxBytes = 1
			frame := c.encode(req)
			b.SetBytes(int64(c.roundTrip(frame)))
			b.ReportAllocs()
			for b.Loop() {
				c.roundTrip(frame)
			}
		})
	}
}

// A poll that finds nothing, in a session of many partitions.
func BenchmarkEmptySessionFetch(b *testing.B) {
	tb := startBroker(b, nil)
	tb.createTopic("t", 1000)
	c := tb.dial()
	offsets := make([]int64, 1000)
	req := fetchRequest(17, "t", offsets...)
	req.SessionEpoch = 0
	c.send(req)
	_, err := c.tryReceive(req, c.corr)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	epoch := int32(1)
	for b.Loop() {
		next := sessionFetch(17, tb.onlySession(), epoch, "t", nil)
		epoch++
		c.roundTrip(c.encode(next))
	}
}

func (tb *testBroker) onlySession() int32 {
	tb.b.sessions.mu.Lock()
	defer tb.b.sessions.mu.Unlock()
	for id := range tb.b.sessions.sessions {
		return id
	}
	return 0
}

// A record on its way to readers that wait for it, and of their next requests. The readers' part is a write and a read each.
func BenchmarkTail(b *testing.B) {
	for _, readers := range []int{1, 10} {
		b.Run(fmt.Sprint(readers), func(b *testing.B) {
			tb := startBroker(b, nil)
			tb.createTopic("t", 1)
			writer := tb.dial()
			produce := writer.encode(produceRequest(12, "t", 0, -1, batch("x")))
			var clients []*client
			for range readers {
				clients = append(clients, tb.dial())
			}
			part, err := tb.b.replicas.Partition("t", 0)
			if err != nil {
				b.Fatal(err)
			}
			req := fetchRequest(12, "t", 0)
			req.MaxWaitMillis, req.MinBytes = 60_000, 1
			req.Topics[0].Partitions[0].FetchOffset = 0x0102030405060708
			frame := clients[0].encode(req)
			at := bytes.Index(frame, []byte{1, 2, 3, 4, 5, 6, 7, 8})
			b.ReportAllocs()
			for offset := uint64(0); b.Loop(); offset++ {
				binary.BigEndian.PutUint64(frame[at:], offset)
				for _, c := range clients {
					if _, err := c.conn.Write(frame); err != nil {
						b.Fatal(err)
					}
				}
				for part.Waiters() < readers {
					runtime.Gosched()
				}
				writer.roundTrip(produce)
				for _, c := range clients {
					f, err := c.in.Read(1 << 30)
					if err != nil {
						b.Fatal(err)
					}
					f.Release()
				}
			}
		})
	}
}
