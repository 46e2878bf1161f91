package broker

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"reflect"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func (c *client) write(b []byte) {
	c.t.Helper()
	if _, err := c.conn.Write(b); err != nil {
		c.t.Fatal(err)
	}
}

func apiVersions(version int16) *kmsg.ApiVersionsRequest {
	req := kmsg.NewPtrApiVersionsRequest()
	req.Version, req.ClientSoftwareName, req.ClientSoftwareVersion = version, "gregor-test", "1.0"
	return req
}

// alive checks that the broker serves another client.
func (tb *testBroker) alive() {
	tb.t.Helper()
	if r := do[*kmsg.ApiVersionsResponse](tb.dial(), apiVersions(3)); r.ErrorCode != 0 {
		tb.t.Fatalf("error %d", r.ErrorCode)
	}
}

// eventually waits for a condition that another goroutine brings about.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(15 * time.Second); !ok(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("did not come about: %s", what)
		}
	}
}

// prefixed puts the length in front.
func prefixed(b ...byte) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...)
}

// A bad request closes its own connection, with a line that says why, and nothing else.
func TestBadInputClosesOnlyItsConnection(t *testing.T) {
	tb := startBroker(t, nil)
	tb.createTopic("t", 1)
	other := tb.dial()
	header := func(key, version int16, body ...byte) []byte {
		b := binary.BigEndian.AppendUint16(nil, uint16(key))
		b = binary.BigEndian.AppendUint16(b, uint16(version))
		return append(append(b, 0, 0, 0, 1, 0xff, 0xff), body...)
	}
	produce := produceRequest(9, "t", 0, 1, batch("x")).AppendTo(nil)
	for _, tc := range []struct {
		name  string
		bytes []byte
		log   string
	}{
		{"negative length", []byte{0xff, 0xff, 0xff, 0xff}, "invalid frame size: -1 bytes"},
		{"2 GB", []byte{0x7f, 0xff, 0xff, 0xff}, "invalid frame size: 2147483647 bytes"},
		{"one byte above the limit", []byte{0x06, 0x40, 0x00, 0x01}, "socket.request.max.bytes"},
		{"empty frame", []byte{0, 0, 0, 0}, "invalid request header"},
		{"short header", prefixed(0, 3, 0), "invalid request header"},
		{"client id beyond the end", prefixed(0, 3, 0, 1, 0, 0, 0, 1, 0, 99), "invalid request header"},
		{"unknown key", prefixed(header(999, 0)...), "unsupported request: key 999"},
		{"negative key", prefixed(header(-1, 0)...), "unsupported request: key -1"},
		{"a key that Kafka removed", prefixed(header(4, 0)...), "unsupported request: key 4"},
		{"version below the lowest", prefixed(header(0, 2)...), "key 0 (Produce) version 2"},
		{"version above the highest", prefixed(header(1, 19)...), "key 1 (Fetch) version 19"},
		{"negative version", prefixed(header(1, -1)...), "version -1"},
		{"2 billion topics", prefixed(header(3, 1, 0x7f, 0xff, 0xff, 0xff)...), "malformed message"},
		{"-5 topics", prefixed(header(3, 1, 0xff, 0xff, 0xff, 0xfb)...), "malformed message"},
		{"4 billion header tags", prefixed(header(3, 12, 0xff, 0xff, 0xff, 0xff, 0x0f)...), "invalid request header"},
		{"half a produce", prefixed(header(0, 9, append([]byte{0}, produce[:len(produce)/2]...)...)...), "malformed message"},
		{"an HTTP request", []byte("GET / HTTP/1.1\r\n\r\n"), "invalid frame size"},
		{"a TLS hello", []byte{0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc}, "invalid frame size"},
	} {
		c := tb.dial()
		c.write(tc.bytes)
		c.ended()
		eventually(t, tc.name+" is logged: "+tc.log, func() bool { return strings.Contains(tb.logged.String(), tc.log) })
	}
	if r := do[*kmsg.ApiVersionsResponse](other, apiVersions(0)); r.ErrorCode != 0 {
		t.Fatal("another connection is disturbed")
	}
}

func TestRandomBytes(t *testing.T) {
	tb := startBroker(t, map[string]string{"connections.max.idle.ms": "300"})
	tb.createTopic("t", 1)
	r := rand.New(rand.NewPCG(5, 6))
	for range 300 {
		c := tb.dial()
		b := make([]byte, r.IntN(200))
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		if r.IntN(2) == 0 { // a frame around it, with a header that is known
			b = append([]byte{0, byte(r.IntN(80)), 0, byte(r.IntN(14)), 0, 0, 0, 1, 0xff, 0xff}, b...)
			b = prefixed(b...)
		}
		c.write(b)
		c.conn.Close()
	}
	tb.alive()
	eventually(t, "all connections are forgotten", func() bool { return tb.conns() == 0 })
}

func (tb *testBroker) conns() int {
	tb.b.server.mu.Lock()
	defer tb.b.server.mu.Unlock()
	return len(tb.b.server.conns)
}

func TestTruncatedFrames(t *testing.T) {
	tb := startBroker(t, nil)
	whole := tb.dial().encode(apiVersions(3))
	for n := range len(whole) {
		c := tb.dial()
		c.write(whole[:n])
		_ = c.conn.(*net.TCPConn).CloseWrite()
		c.ended()
	}
	tb.alive()
}

func TestApiVersions(t *testing.T) {
	tb := startBroker(t, nil)
	c := tb.dial()
	for v := int16(0); v <= 4; v++ {
		r := do[*kmsg.ApiVersionsResponse](c, apiVersions(v))
		if r.ErrorCode != 0 || len(r.ApiKeys) != len(tb.b.table.rows) {
			t.Fatalf("version %d: error %d, %d APIs", v, r.ErrorCode, len(r.ApiKeys))
		}
		if v < 3 {
			continue
		}
		if len(r.FinalizedFeatures) != 1 || r.FinalizedFeatures[0].MaxVersionLevel != 25 || r.FinalizedFeaturesEpoch != tb.image.Offset() {
			t.Errorf("version %d: finalized %+v epoch %d", v, r.FinalizedFeatures, r.FinalizedFeaturesEpoch)
		}
		// A range that begins at 0 is not for clients below version 4 (KIP-1022).
		if want := int(v - 2); len(r.SupportedFeatures) != want {
			t.Errorf("version %d: supported %+v, want %d", v, r.SupportedFeatures, want)
		}
	}
	// An unknown version gets version 0 and the range of ApiVersions.
	req := apiVersions(4)
	b := c.encode(req)
	binary.BigEndian.PutUint16(b[6:], 77)
	c.write(b)
	zero := kmsg.NewPtrApiVersionsRequest()
	r := c.receive(zero, c.corr).(*kmsg.ApiVersionsResponse)
	if want := []kmsg.ApiVersionsResponseApiKey{{ApiKey: 18, MaxVersion: 4}}; r.ErrorCode != kerr.UnsupportedVersion.Code || !reflect.DeepEqual(r.ApiKeys, want) {
		t.Errorf("unknown version: %+v", r)
	}
	bad := apiVersions(3)
	bad.ClientSoftwareName = "no spaces"
	if r := do[*kmsg.ApiVersionsResponse](c, bad); r.ErrorCode != kerr.InvalidRequest.Code {
		t.Errorf("software name: error %d", r.ErrorCode)
	}
}

// A request that waits does not hold up the ones behind it, and the replies keep the order of the requests.
func TestPipelinedRequests(t *testing.T) {
	tb := startBroker(t, nil)
	tb.createTopic("t", 1)
	c := tb.dial()
	poll := fetchRequest(12, "t", 0)
	poll.MaxWaitMillis = 20_000
	var reqs []kmsg.Request
	reqs = append(reqs, poll)
	for i := range 20 {
		reqs = append(reqs, apiVersions(int16(i%5)))
	}
	reqs = append(reqs, produceRequest(9, "t", 0, -1, batch("a"))) // ends the poll in front of it
	began := time.Now()
	c.send(reqs...)
	for i, req := range reqs {
		resp := c.receive(req, int32(i+1))
		if i == 0 {
			got := values(t, resp.(*kmsg.FetchResponse).Topics[0].Partitions[0].RecordBatches)
			if !reflect.DeepEqual(got, []string{"0:a"}) {
				t.Fatalf("the poll got %v", got)
			}
		}
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Fatalf("took %v", took)
	}
}

// Many pipelined clients at once, each with its own order.
func TestManyPipelinedClients(t *testing.T) {
	tb := startBroker(t, nil)
	tb.createTopic("t", 4)
	var wg sync.WaitGroup
	for n := range 16 {
		c := tb.dial()
		wg.Go(func() {
			var reqs []kmsg.Request
			for i := range 60 {
				switch i % 3 {
				case 0:
					reqs = append(reqs, produceRequest(9, "t", int32(n%4), int16(i%2), batch(fmt.Sprint(n, i))))
				case 1:
					f := fetchRequest(12, "t", 0, 0, 0, 0)
					f.MaxWaitMillis, f.MinBytes = 5, 1<<30
					reqs = append(reqs, f)
				case 2:
					reqs = append(reqs, apiVersions(3))
				}
			}
			c.send(reqs...)
			for i, req := range reqs {
				if p, ok := req.(*kmsg.ProduceRequest); ok && p.Acks == 0 {
					continue
				}
				if _, err := c.tryReceive(req, int32(i+1)); err != nil {
					t.Errorf("client %d request %d: %v", n, i, err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// A client that does not read its answers is not read further; others are served, and it is cut off in the end.
func TestSlowReader(t *testing.T) {
	tb := startBroker(t, map[string]string{"connections.max.idle.ms": "400", "socket.send.buffer.bytes": "8192"})
	tb.createTopic("t", 1)
	tb.dial().produce(9, "t", 0, 1, batch(strings.Repeat("x", 500_000)))
	slow := tb.dial()
	_ = slow.conn.(*net.TCPConn).SetReadBuffer(8192)
	done := make(chan struct{})
	go func() { // until the broker stops reading, and then until it hangs up
		defer close(done)
		b := slow.encode(fetchRequest(12, "t", 0))
		for {
			if _, err := slow.conn.Write(b); err != nil {
				return
			}
		}
	}()
	tb.alive()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		t.Fatal("the slow reader is still connected")
	}
	if !strings.Contains(tb.logged.String(), "does not read its replies") {
		t.Error(tb.logged.String())
	}
}

// Half-open connections, in the middle of a length or of a frame, cost little and end when they have idled.
func TestHalfOpenConnections(t *testing.T) {
	n := 2000
	if testing.Short() {
		n = 200
	}
	tb := startBroker(t, map[string]string{"connections.max.idle.ms": "2000"})
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := range n {
		c := tb.dial()
		switch i % 3 {
		case 0:
			c.write([]byte{0x00, 0x40}) // half a length
		case 1:
			c.write([]byte{0x06, 0x40, 0x00, 0x00, 0, 0}) // two bytes of 100 MB
		}
	}
	eventually(t, "all are open", func() bool { return tb.conns() == n })
	tb.alive()
	runtime.ReadMemStats(&after)
	if per := (after.HeapInuse - before.HeapInuse) / uint64(n); per > 100<<10 {
		t.Errorf("%d bytes of heap for each connection", per)
	}
	eventually(t, "all are closed", func() bool { return tb.conns() == 0 })
}

func TestConnectionLimits(t *testing.T) {
	tb := startBroker(t, map[string]string{"max.connections.per.ip": "3"})
	for range 3 {
		do[*kmsg.ApiVersionsResponse](tb.dial(), apiVersions(0))
	}
	tb.dial().ended()
	if !strings.Contains(tb.logged.String(), "max.connections.per.ip") {
		t.Error(tb.logged.String())
	}
	tb = startBroker(t, map[string]string{"max.connections": "2", "max.connections.per.ip.overrides": "127.0.0.1:100"})
	first := tb.dial()
	do[*kmsg.ApiVersionsResponse](first, apiVersions(0))
	do[*kmsg.ApiVersionsResponse](tb.dial(), apiVersions(0))
	tb.dial().ended()
	// One that leaves makes room.
	first.conn.Close()
	eventually(t, "room for one more", func() bool { return tb.conns() == 1 })
	tb.alive()
}

// Idle connections end; one that waits for its answer is not idle.
func TestIdleConnections(t *testing.T) {
	tb := startBroker(t, map[string]string{"connections.max.idle.ms": "200"})
	tb.createTopic("t", 1)
	waiting, idle := tb.dial(), tb.dial()
	poll := fetchRequest(12, "t", 0)
	poll.MaxWaitMillis = 1000
	waiting.send(poll)
	idle.ended()
	if p := waiting.receive(poll, waiting.corr).(*kmsg.FetchResponse).Topics[0].Partitions[0]; p.ErrorCode != 0 {
		t.Errorf("%+v", p)
	}
	waiting.ended()
}

// The memory of all requests together is bounded; requests wait for it and all are served.
func TestRequestMemoryIsBounded(t *testing.T) {
	tb := startBroker(t, map[string]string{"queued.max.request.bytes": "200000", "socket.request.max.bytes": "200000"})
	tb.createTopic("t", 1, "max.message.bytes", "1000000")
	var wg sync.WaitGroup
	var mu sync.Mutex
	most := int64(0)
	for range 20 {
		c := tb.dial()
		wg.Go(func() {
			for range 5 {
				req := produceRequest(9, "t", 0, -1, batch(strings.Repeat("x", 150_000)))
				c.send(req)
				if _, err := c.tryReceive(req, c.corr); err != nil {
					t.Error(err)
				}
				tb.b.server.budget.mu.Lock()
				mu.Lock()
				most = max(most, tb.b.server.budget.used)
				mu.Unlock()
				tb.b.server.budget.mu.Unlock()
			}
		})
	}
	wg.Wait()
	if most > 200_000+200_000 {
		t.Errorf("%d bytes were in use", most)
	}
	eventually(t, "the budget is given back", func() bool {
		tb.b.server.budget.mu.Lock()
		defer tb.b.server.budget.mu.Unlock()
		return tb.b.server.budget.used == 0 && len(tb.b.server.budget.begun)+len(tb.b.server.budget.notBegun) == 0
	})
	if got := tb.dial().fetch(12, "t", 0)[0].HighWatermark; got != 100 {
		t.Errorf("high watermark %d, want 100", got)
	}
}

// Connections that stop in the middle of a frame and hold all of the budget do not keep others from sending for long.
func TestHalfFramesGiveTheBudgetBack(t *testing.T) {
	tb := startBroker(t, map[string]string{"queued.max.request.bytes": "200000", "socket.request.max.bytes": "200000"})
	tb.createTopic("t", 1, "max.message.bytes", "1000000")
	limits := *tb.b.server.limits.Load()
	limits.frameGrace = 10 * time.Millisecond
	tb.b.server.limits.Store(&limits)
	for range 4 {
		half := append(binary.BigEndian.AppendUint32(nil, 150_000), make([]byte, 100)...)
		if _, err := tb.dial().conn.Write(half); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the budget is used up", func() bool {
		tb.b.server.budget.mu.Lock()
		defer tb.b.server.budget.mu.Unlock()
		return tb.b.server.budget.used > 150_000
	})
	c := tb.dial()
	if err := c.conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	req := produceRequest(9, "t", 0, -1, batch(strings.Repeat("x", 150_000)))
	c.send(req)
	if _, err := c.tryReceive(req, c.corr); err != nil {
		t.Error(err)
	}
}

func TestBudgetOrderAndCancel(t *testing.T) {
	b := newBudget(100)
	background := context.Background()
	ctx, cancel := context.WithCancel(background)
	for range 2 {
		if err := b.acquire(background, 45, false); err != nil {
			t.Fatal(err)
		}
	}
	got := make(chan string, 5)
	start := func(name string, ctx context.Context, n int64, begun bool) {
		queued := func() int { b.mu.Lock(); defer b.mu.Unlock(); return len(b.begun) + len(b.notBegun) }
		before := queued()
		go func() {
			if err := b.acquire(ctx, n, begun); err != nil {
				name += " gave up"
			}
			got <- name
		}()
		eventually(t, name+" waits", func() bool { return queued() == before+1 || len(got) > 0 })
	}
	next := func(want string) {
		t.Helper()
		if name := <-got; name != want {
			t.Fatalf("%s, want %s", name, want)
		}
	}
	start("large", ctx, 50, false)
	start("small", background, 5, false) // would fit, but it is not its turn
	start("first that holds some", background, 60, true)
	next("first that holds some") // overdraws
	start("second that holds some", background, 60, true)
	cancel()
	next("large gave up")
	b.release(105)
	next("second that holds some") // before the small one
	if b.used != 105 {
		t.Fatalf("%d in use, want 105", b.used)
	}
	b.release(105)
	next("small")
	start("larger than all", background, 500, false)
	b.release(5) // nobody holds any: the one that never fits gets it
	next("larger than all")
	b.release(500)
	if b.used != 0 {
		t.Fatalf("%d in use", b.used)
	}
}

// Waiting polls cost no processor time.
func TestLongPollsDoNotSpin(t *testing.T) {
	tb := startBroker(t, nil)
	tb.createTopic("t", 10)
	poll := fetchRequest(12, "t", 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
	poll.MaxWaitMillis = 1500
	var clients []*client
	for range 100 {
		c := tb.dial()
		c.send(poll)
		clients = append(clients, c)
	}
	eventually(t, "all are waiting", func() bool {
		n := 0
		tb.b.server.mu.Lock()
		defer tb.b.server.mu.Unlock()
		for c := range tb.b.server.conns {
			n += c.replies.pending()
		}
		return n == len(clients)
	})
	before, ok := cpuTime()
	if !ok {
		t.Skip("no processor time on this system")
	}
	began := time.Now()
	clients[0].receive(poll, clients[0].corr)
	used, waited := 0*time.Second, time.Since(began)
	if after, _ := cpuTime(); true {
		used = after - before
	}
	if waited > 500*time.Millisecond && used > waited/4 {
		t.Errorf("%v of processor time in %v of waiting", used, waited)
	}
	for _, c := range clients[1:] {
		c.receive(poll, c.corr)
	}
}

// Close answers what waits, and leaves no goroutine.
func TestCloseLeavesNothing(t *testing.T) {
	tb := startBroker(t, nil)
	tb.createTopic("t", 1)
	before := runtime.NumGoroutine()
	poll := fetchRequest(12, "t", 0)
	poll.MaxWaitMillis = 1 << 30
	var clients []*client
	for range 20 {
		c := tb.dial()
		c.send(apiVersions(3), poll)
		c.receive(apiVersions(3), 1)
		clients = append(clients, c)
	}
	eventually(t, "all are waiting", func() bool {
		tb.b.server.mu.Lock()
		defer tb.b.server.mu.Unlock()
		for c := range tb.b.server.conns {
			if c.replies.pending() != 1 {
				return false
			}
		}
		return true
	})
	half := tb.dial() // and one in the middle of a frame
	half.write([]byte{0, 0, 1, 0, 1, 2, 3})
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	began := time.Now()
	if err := tb.b.Close(ctx); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("Close took %v", took)
	}
	for _, c := range clients {
		if p := c.receive(poll, 2).(*kmsg.FetchResponse).Topics[0].Partitions[0]; p.ErrorCode != 0 {
			t.Errorf("%+v", p)
		}
		c.ended()
	}
	half.ended()
	eventually(t, "no goroutine is left", func() bool { return runtime.NumGoroutine() <= before })
	if t.Failed() {
		b := make([]byte, 1<<16)
		os.Stderr.Write(b[:runtime.Stack(b, true)])
	}
}

// TestReceiveBuffer: the system sizes the receive buffer, unless somebody has set it.
func TestReceiveBuffer(t *testing.T) {
	b := startBroker(t, nil)
	for _, want := range []int{-1, 65536} {
		values := b.live.Load()
		if want > 0 {
			var err error
			if values, err = values.Set(map[string]string{"socket.receive.buffer.bytes": strconv.Itoa(want)}); err != nil {
				t.Fatal(err)
			}
		}
		if got := receiveBuffer(values); got != want {
			t.Errorf("%d, want %d", got, want)
		}
	}
}
