package broker

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gregor/internal/wire"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func queue() *replyQueue {
	q := new(replyQueue)
	q.init(new(wire.Pool))
	return q
}

func reply(s string) outgoing {
	b := append(make([]byte, 0, 512), s...)
	return outgoing{buf: b, head: b}
}

// all takes what is ready, as one text.
func (q *replyQueue) all() (sent string, replies int) {
	for {
		batch, ok := q.take(make([]outgoing, 0, maxReplies), maxReplyBytes)
		if !ok {
			return sent, replies
		}
		for i := range batch {
			sent += string(batch[i].head)
			replies++
		}
	}
}

// Replies leave in the order of requests, whoever finishes them when, and as few pieces as their memory allows.
func TestRepliesKeepTheirOrder(t *testing.T) {
	q := queue()
	var ids []slotID
	for i := range 100 { // more than the ring begins with
		ids = append(ids, q.add(false))
		if i%3 == 2 {
			q.finish(ids[i-1], reply(fmt.Sprintf("%d ", i-1)))
		}
	}
	q.uncork()
	for i := len(ids) - 1; i > 0; i-- {
		if i%3 == 1 && i < 98 {
			continue
		}
		if kept, write := q.finish(ids[i], reply(fmt.Sprintf("%d ", i))); !kept || write {
			t.Fatalf("request %d, behind one that is not answered: kept %v, to be written %v", i, kept, write)
		}
	}
	if _, write := q.finish(ids[0], reply("0 ")); !write {
		t.Fatal("nobody writes")
	}
	var want strings.Builder
	for i := range ids {
		fmt.Fprintf(&want, "%d ", i)
	}
	if got, pieces := q.all(); got != want.String() || pieces > 1 {
		t.Fatalf("%q in %d pieces, want %q", got, pieces, want.String())
	}
	if q.pending() != 0 || q.slots != nil || q.bytes != 0 {
		t.Errorf("%d pending, a ring of %d, %d bytes are left", q.pending(), len(q.slots), q.bytes)
	}
}

// While the reader is at work it sees to what gets ready; before it waits it is told; afterwards whoever finishes is.
func TestWhoWrites(t *testing.T) {
	q := queue()
	first, second, third := q.add(false), q.add(false), q.add(false)
	if _, write := q.finish(first, reply("1")); write {
		t.Error("the reader was going to write")
	}
	if write, _ := q.uncork(); !write {
		t.Error("the reader is not told to write")
	}
	if _, write := q.finish(second, reply("2")); write {
		t.Error("two are to write")
	}
	if got, _ := q.all(); got != "12" {
		t.Errorf("%q was written", got)
	}
	if write, _ := q.uncork(); write {
		t.Error("the reader is to write nothing")
	}
	if _, write := q.finish(third, reply("3")); !write {
		t.Error("nobody writes the reply that came while the reader waits")
	}
	if got, _ := q.all(); got != "3" {
		t.Errorf("%q was written", got)
	}
}

func TestAnswerTwice(t *testing.T) {
	for _, taken := range []bool{false, true} {
		func() {
			q := queue()
			id := q.add(false)
			q.finish(id, reply("1"))
			if taken {
				q.uncork()
				q.all()
			}
			defer func() {
				if recover() == nil {
					t.Errorf("a second answer was taken; the first had left: %v", taken)
				}
			}()
			q.finish(id, reply("2"))
		}()
	}
}

// Who waits for the end of a queue waits for whoever writes.
func TestQueueEndsWhenNobodyWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := queue()
		q.finish(q.add(false), reply("1"))
		q.uncork()
		q.close()
		ended := false
		go func() { q.waitUntilClosed(); ended = true }()
		synctest.Wait()
		if ended {
			t.Fatal("it ended while somebody had the right to write")
		}
		q.all()
		synctest.Wait()
		if !ended {
			t.Fatal("it does not end")
		}
		if kept, _ := q.finish(q.add(false), reply("2")); kept {
			t.Error("a closed queue keeps replies")
		}
	})
}

// The answers to requests that came together leave together, and no goroutine stays for them.
func TestOneGoroutineForAConnection(t *testing.T) {
	tb := startBroker(t, nil)
	tb.createTopic("t", 1)
	tb.alive()
	before := runtime.NumGoroutine()
	const conns = 50
	for range conns {
		c := tb.dial()
		var frames []byte
		for range 10 {
			frames = append(frames, c.encode(produceRequest(9, "t", 0, -1, batch("x")))...)
		}
		c.write(frames)
		for i := range 10 {
			if _, err := c.tryReceive(produceRequest(9, "t", 0, -1, nil), int32(i+1)); err != nil {
				t.Fatal(err)
			}
		}
	}
	eventually(t, "a goroutine for each connection", func() bool { return runtime.NumGoroutine() <= before+conns })
}

// A request that takes long does not hold up the replies to those in front of it that came with it.
func TestASlowHandlerHoldsUpNothingBeforeIt(t *testing.T) {
	tb := startBroker(t, nil)
	tb.createTopic("t", 1)
	release := make(chan struct{})
	c := tb.dial()
	serve := tb.b.table.find(3).serve
	tb.b.table.find(3).serve = func(b *Broker, ctx context.Context, r *Request) {
		<-release
		serve(b, ctx, r)
	}
	metadata := kmsg.NewPtrMetadataRequest()
	metadata.Version = 9
	produce := produceRequest(9, "t", 0, -1, batch("x"))
	c.send(produce, apiVersions(3), metadata)
	c.receive(produce, 1)
	c.receive(apiVersions(3), 2)
	close(release)
	c.receive(metadata, 3)
}

// roundTripRaw allocates nothing.
func roundTripRaw(t testing.TB, conn net.Conn, frame, answer []byte) {
	if _, err := conn.Write(frame); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(conn, answer[:4]); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(conn, answer[4:4+binary.BigEndian.Uint32(answer)]); err != nil {
		t.Fatal(err)
	}
}

// From the socket to the file and back, a Produce request allocates nothing. The race detector has pools forget some of
// what they are given, so a few are allowed; there were twenty.
func TestProduceAllocatesNothing(t *testing.T) {
	tb := startBroker(t, nil)
	tb.createTopic("t", 1)
	for _, acks := range []int16{1, -1} {
		c := tb.dial()
		frame, answer := c.encode(produceRequest(12, "t", 0, acks, batch("x"))), make([]byte, 1<<10)
		roundTripRaw(t, c.conn, frame, answer)
		if n := testing.AllocsPerRun(300, func() { roundTripRaw(t, c.conn, frame, answer) }); n > 5 {
			t.Errorf("acks=%d: %v allocations for each request", acks, n)
		}
	}
}

// One request's memory holds nothing of another's answer.
func TestReusedRequests(t *testing.T) {
	tb := startBroker(t, nil)
	tb.createTopic("t", 2)
	c := tb.dial()
	for range 3 {
		if p := c.produce(9, "absent", 0, -1, batch("x")); p.ErrorCode == 0 {
			t.Fatalf("%+v", p)
		}
		if p := c.produce(9, "t", 1, -1, nil); p.ErrorCode == 0 || p.ErrorMessage == nil {
			t.Fatalf("%+v", p)
		}
		if p := c.produce(9, "t", 0, 1, batch("x")); p.ErrorCode != 0 || p.ErrorMessage != nil || len(p.ErrorRecords) > 0 || p.BaseOffset < 0 {
			t.Fatalf("%+v", p)
		}
	}
}

// A socket is read as if it were read in the usual way.
func TestFrameSource(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	peer, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	r := frameSource(c)
	if _, err := peer.Write([]byte("some bytes")); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 4)
	if _, err := io.ReadFull(r, b); err != nil || string(b) != "some" {
		t.Fatalf("%q, %v", b, err)
	}
	if p, ok := r.(wire.PooledReader); ok {
		buf, n, err := p.ReadPooled(new(wire.Pool), 100)
		if err != nil || !bytes.Equal(buf[:n], []byte(" bytes")) || len(buf) != 100 {
			t.Fatalf("%q, %v", buf[:n], err)
		}
	}
	_ = c.SetReadDeadline(time.Unix(1, 0))
	if _, err := r.Read(b); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("after the deadline: %v", err)
	}
	_ = c.SetReadDeadline(time.Time{})
	_ = peer.(*net.TCPConn).CloseWrite()
	if n, err := r.Read(b); n != 0 || err != io.EOF {
		t.Errorf("at the end: %d bytes, %v", n, err)
	}
	c.Close()
	if _, err := r.Read(b); !errors.Is(err, net.ErrClosed) {
		t.Errorf("closed: %v", err)
	}
}
