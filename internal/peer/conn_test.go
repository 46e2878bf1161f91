package peer_test

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gregor/internal/peer"
	"gregor/internal/wire"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// remote is the other end of a connection: it reads requests and writes what the test wants.
type remote struct {
	t    *testing.T
	conn net.Conn
}

// connect returns a connection to a peer that serves Fetch up to version 17, Metadata and BrokerHeartbeat, and has
// answered ApiVersions.
func connect(t *testing.T, o peer.Options) (*peer.Conn, *remote) {
	t.Helper()
	near, far := net.Pipe()
	t.Cleanup(func() { _ = far.Close() })
	r := &remote{t, far}
	o.Addr = "remote:9092"
	o.Dial = func(context.Context, string) (net.Conn, error) { return near, nil }
	go func() {
		_, correlation := r.read(kmsg.NewPtrApiVersionsRequest())
		r.write(correlation, versions())
	}()
	c, err := peer.Dial(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c, r
}

func versions() *kmsg.ApiVersionsResponse {
	resp := kmsg.NewPtrApiVersionsResponse()
	resp.SetVersion(3)
	for _, v := range [][3]int16{{1, 4, 17}, {3, 0, 13}, {63, 0, 1}} {
		resp.ApiKeys = append(resp.ApiKeys, kmsg.ApiVersionsResponseApiKey{ApiKey: v[0], MinVersion: v[1], MaxVersion: v[2]})
	}
	return resp
}

// read reads one request into req, which gets its version. It returns false at the end of the connection.
func (r *remote) read(req kmsg.Request) (ok bool, correlation int32) {
	var size [4]byte
	if _, err := io.ReadFull(r.conn, size[:]); err != nil {
		return false, 0
	}
	frame := make([]byte, binary.BigEndian.Uint32(size[:]))
	if _, err := io.ReadFull(r.conn, frame); err != nil {
		return false, 0
	}
	h, body, err := wire.ReadRequestHeader(frame)
	if err != nil {
		r.t.Error(err)
		return false, 0
	}
	if h.Key != req.Key() {
		r.t.Errorf("request has key %d, want %d", h.Key, req.Key())
		return false, 0
	}
	req.SetVersion(h.Version)
	if req.IsFlexible() {
		if body, err = wire.SkipTags(body); err != nil {
			r.t.Error(err)
		}
	}
	if err := req.ReadFrom(body); err != nil {
		r.t.Error(err)
	}
	return true, h.CorrelationID
}

func (r *remote) write(correlation int32, resp kmsg.Response) {
	_, _ = r.conn.Write(wire.AppendResponse(nil, correlation, resp))
}

// heartbeat answers a heartbeat for the broker that is in it.
func (r *remote) heartbeat() bool {
	req := kmsg.NewPtrBrokerHeartbeatRequest()
	ok, correlation := r.read(req)
	if ok {
		resp := req.ResponseKind().(*kmsg.BrokerHeartbeatResponse)
		resp.ThrottleMillis = req.BrokerID
		r.write(correlation, resp)
	}
	return ok
}

func heartbeatOf(id int32) *kmsg.BrokerHeartbeatRequest {
	req := kmsg.NewPtrBrokerHeartbeatRequest()
	req.BrokerID = id
	return req
}

func TestDoUsesTheHighestCommonVersion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, r := connect(t, peer.Options{ClientID: "raft"})
		go func() {
			req := kmsg.NewPtrFetchRequest()
			if ok, correlation := r.read(req); ok {
				if req.Version != 17 {
					t.Errorf("Fetch has version %d, want 17", req.Version)
				}
				r.write(correlation, req.ResponseKind())
			}
			r.heartbeat()
		}()
		if _, err := c.Do(t.Context(), kmsg.NewPtrFetchRequest()); err != nil {
			t.Fatal(err)
		}
		resp, err := c.Do(t.Context(), heartbeatOf(7))
		if err != nil || resp.(*kmsg.BrokerHeartbeatResponse).ThrottleMillis != 7 {
			t.Fatalf("answer %v, %v", resp, err)
		}
		if _, err := c.Do(t.Context(), kmsg.NewPtrVoteRequest()); !errors.Is(err, peer.ErrUnsupported) {
			t.Errorf("a request that the peer does not serve: %v", err)
		}
	})
}

func TestSendIsPipelinedAndInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, r := connect(t, peer.Options{})
		const n = 100
		var got []int32
		all := make(chan struct{})
		for i := range int32(n) {
			c.Send(heartbeatOf(i), func(resp kmsg.Response, err error) {
				if err != nil {
					t.Error(err)
				} else {
					got = append(got, resp.(*kmsg.BrokerHeartbeatResponse).ThrottleMillis)
				}
				if i == n-1 {
					close(all)
				}
			})
		}
		// The remote reads all of them before it answers the first.
		var correlations []int32
		for range n {
			_, correlation := r.read(kmsg.NewPtrBrokerHeartbeatRequest())
			correlations = append(correlations, correlation)
		}
		for i, correlation := range correlations {
			resp := kmsg.NewPtrBrokerHeartbeatResponse()
			resp.SetVersion(1)
			resp.ThrottleMillis = int32(i)
			r.write(correlation, resp)
		}
		<-all
		for i, v := range got {
			if v != int32(i) {
				t.Fatalf("answers %v", got)
			}
		}
	})
}

func TestEndOfConnectionTellsEveryRequest(t *testing.T) {
	for _, end := range []struct {
		name string
		do   func(*peer.Conn, *remote)
		want error
	}{
		{"the peer closes", func(_ *peer.Conn, r *remote) { _ = r.conn.Close() }, peer.ErrPeerClosed},
		{"the peer closes inside a response", func(_ *peer.Conn, r *remote) {
			_, _ = r.conn.Write([]byte{0, 0, 0, 10, 0})
			_ = r.conn.Close()
		}, peer.ErrPeerClosed},
		{"this side closes", func(c *peer.Conn, _ *remote) { c.Close() }, peer.ErrClosed},
		{"a size beyond the limit", func(_ *peer.Conn, r *remote) { _, _ = r.conn.Write([]byte{0x7f, 0, 0, 0}) }, peer.ErrProtocol},
		{"a negative size", func(_ *peer.Conn, r *remote) { _, _ = r.conn.Write([]byte{0xff, 0, 0, 0}) }, peer.ErrProtocol},
		{"a response without a correlation id", func(_ *peer.Conn, r *remote) { _, _ = r.conn.Write([]byte{0, 0, 0, 2, 0, 0}) }, peer.ErrProtocol},
		{"another's correlation id", func(_ *peer.Conn, r *remote) { r.write(99, kmsg.NewPtrBrokerHeartbeatResponse()) }, peer.ErrProtocol},
		{"text", func(_ *peer.Conn, r *remote) { _, _ = io.WriteString(r.conn, "HTTP/1.1 400 Bad Request\r\n\r\n") }, peer.ErrProtocol},
		{"a response that is too short", func(_ *peer.Conn, r *remote) { _, _ = r.conn.Write([]byte{0, 0, 0, 6, 0, 0, 0, 1, 0, 0}) }, peer.ErrProtocol},
		{"silence", func(*peer.Conn, *remote) { time.Sleep(31 * time.Second) }, peer.ErrTimeout},
	} {
		t.Run(end.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, r := connect(t, peer.Options{})
				told := make(chan error, 10)
				for i := range int32(3) {
					c.Send(heartbeatOf(i), func(_ kmsg.Response, err error) { told <- err })
				}
				for range 3 {
					r.read(kmsg.NewPtrBrokerHeartbeatRequest())
				}
				end.do(c, r)
				<-c.Done()
				synctest.Wait()
				if len(told) != 3 {
					t.Fatalf("%d of 3 requests were told", len(told))
				}
				for range 3 {
					if err := <-told; !errors.Is(err, end.want) {
						t.Errorf("a request was told %v, want %v", err, end.want)
					}
				}
				// And what comes afterwards.
				if _, err := c.Do(t.Context(), heartbeatOf(1)); !errors.Is(err, end.want) {
					t.Errorf("a later request got %v, want %v", err, end.want)
				}
			})
		})
	}
}

// A peer that answers slowly but does answer is no reason to give up; one that stops is.
func TestTimeoutCountsFromTheLastResponse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, r := connect(t, peer.Options{Timeout: 10 * time.Second})
		began := time.Now()
		told := make(chan error, 10)
		for i := range int32(4) {
			c.Send(heartbeatOf(i), func(_ kmsg.Response, err error) { told <- err })
		}
		for range 3 {
			time.Sleep(9 * time.Second)
			r.heartbeat()
		}
		r.read(kmsg.NewPtrBrokerHeartbeatRequest())
		<-c.Done()
		for i := range 4 {
			if err := <-told; (err == nil) != (i < 3) {
				t.Errorf("request %d: %v", i, err)
			}
		}
		if d := time.Since(began); d != 37*time.Second {
			t.Errorf("gave up after %s, want 37s: ten after the third answer", d)
		}
	})
}

// A connection on which nothing is asked may be silent for ever.
func TestIdleConnectionStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, r := connect(t, peer.Options{Timeout: 10 * time.Second})
		time.Sleep(time.Hour)
		go r.heartbeat()
		if _, err := c.Do(t.Context(), heartbeatOf(1)); err != nil {
			t.Fatal(err)
		}
	})
}

// A peer that reads nothing must not make this node's memory grow, nor block who sends.
func TestPeerThatDoesNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := connect(t, peer.Options{})
		req := kmsg.NewPtrMetadataRequest()
		topic := kmsg.NewMetadataRequestTopic()
		topic.Topic = kmsg.StringPtr(string(make([]byte, 8<<20)))
		req.Topics = append(req.Topics, topic)
		busy, told := 0, make(chan error, 100)
		for range 20 {
			c.Send(req, func(_ kmsg.Response, err error) { told <- err })
		}
		for range len(told) {
			if err := <-told; errors.Is(err, peer.ErrBusy) {
				busy++
			} else {
				t.Error(err)
			}
		}
		if busy < 10 || busy > 15 {
			t.Errorf("%d of 20 requests of 8 MB were refused", busy)
		}
		<-c.Done()
		if err := c.Err(); !errors.Is(err, peer.ErrTimeout) {
			t.Errorf("the connection ended with %v", err)
		}
	})
}

// Over a socket who sends writes at once; what the socket does not take the writer sends, in the order of the requests.
func TestSendOverASocket(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	accepted := make(chan *remote, 1)
	go func() {
		conn, err := ln.Accept()
		if err != nil {
			t.Error(err)
			return
		}
		r := &remote{t, conn}
		_, correlation := r.read(kmsg.NewPtrApiVersionsRequest())
		r.write(correlation, versions())
		accepted <- r
	}()
	c, err := peer.Dial(t.Context(), peer.Options{Addr: ln.Addr().String()})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	r := <-accepted
	defer r.conn.Close()
	metadata := kmsg.NewPtrMetadataRequest()
	topic := kmsg.NewMetadataRequestTopic()
	topic.Topic = kmsg.StringPtr(string(make([]byte, 1<<20)))
	metadata.Topics = append(metadata.Topics, topic)
	const n = 60 // megabytes, which no socket buffers
	told := make(chan error, 2*n)
	var senders sync.WaitGroup
	for i := range int32(2) {
		metadata := *metadata
		senders.Go(func() {
			for range n / 2 {
				c.Send(&metadata, func(_ kmsg.Response, err error) { told <- err })
				c.Send(heartbeatOf(i), func(resp kmsg.Response, err error) {
					if err == nil && resp.(*kmsg.BrokerHeartbeatResponse).ThrottleMillis != i {
						err = errors.New("another's answer")
					}
					told <- err
				})
			}
		})
	}
	senders.Wait() // though nobody reads
	for range 2 * n {
		var size [4]byte
		if _, err := io.ReadFull(r.conn, size[:]); err != nil {
			t.Fatal(err)
		}
		frame := make([]byte, binary.BigEndian.Uint32(size[:]))
		if _, err := io.ReadFull(r.conn, frame); err != nil {
			t.Fatal(err)
		}
		h, body, err := wire.ReadRequestHeader(frame)
		if err != nil {
			t.Fatal(err)
		}
		req := kmsg.RequestForKey(h.Key)
		req.SetVersion(h.Version)
		if body, err = wire.SkipTags(body); err == nil {
			err = req.ReadFrom(body)
		}
		if err != nil {
			t.Fatal(err)
		}
		resp := req.ResponseKind()
		if b, ok := req.(*kmsg.BrokerHeartbeatRequest); ok {
			resp.(*kmsg.BrokerHeartbeatResponse).ThrottleMillis = b.BrokerID
		}
		r.write(h.CorrelationID, resp)
	}
	for range 2 * n {
		if err := <-told; err != nil {
			t.Fatal(err)
		}
	}
}

func TestDoGivesUpWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, r := connect(t, peer.Options{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := c.Do(ctx, heartbeatOf(1)); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		go func() { r.heartbeat(); r.heartbeat() }()
		resp, err := c.Do(t.Context(), heartbeatOf(2))
		if err != nil || resp.(*kmsg.BrokerHeartbeatResponse).ThrottleMillis != 2 {
			t.Errorf("the request behind it got %v, %v", resp, err)
		}
	})
}

func TestFetchedKeepsItsRecordsUntilRelease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, r := connect(t, peer.Options{})
		records := []byte("some bytes of a batch")
		go func() {
			for range 2 {
				req := kmsg.NewPtrFetchRequest()
				_, correlation := r.read(req)
				resp := req.ResponseKind().(*kmsg.FetchResponse)
				resp.Topics = []kmsg.FetchResponseTopic{{Partitions: []kmsg.FetchResponseTopicPartition{{RecordBatches: records}}}}
				r.write(correlation, resp)
			}
		}()
		first, err := fetch(c)
		if err != nil {
			t.Fatal(err)
		}
		second, err := fetch(c)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range []*peer.Fetched{first, second} {
			if got := f.Topics[0].Partitions[0].RecordBatches; string(got) != string(records) {
				t.Errorf("records %q", got)
			}
			f.Release()
			f.Release()
		}
	})
}

// An old peer answers our version of ApiVersions in version 0.
func TestPeerThatKnowsOnlyOldApiVersions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		defer func() { _ = far.Close() }()
		r := &remote{t, far}
		go func() {
			_, correlation := r.read(kmsg.NewPtrApiVersionsRequest())
			refusal := kmsg.NewPtrApiVersionsResponse()
			refusal.ErrorCode = kerr.UnsupportedVersion.Code
			r.write(correlation, refusal)
			req := kmsg.NewPtrApiVersionsRequest()
			_, correlation = r.read(req)
			if req.Version != 0 {
				t.Errorf("asked again in version %d", req.Version)
			}
			resp := versions()
			resp.SetVersion(0)
			r.write(correlation, resp)
			r.heartbeat()
		}()
		c, err := peer.Dial(t.Context(), peer.Options{Dial: func(context.Context, string) (net.Conn, error) { return near, nil }})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := c.Do(t.Context(), heartbeatOf(1)); err != nil {
			t.Fatal(err)
		}
	})
}

func TestDialGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		defer func() { _ = far.Close() }()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		_, err := peer.Dial(ctx, peer.Options{Dial: func(context.Context, string) (net.Conn, error) { return near, nil }})
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a peer that is silent: %v", err)
		}
	})
}

func TestIsRefused(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	_ = l.Close()
	if _, err := peer.Dial(t.Context(), peer.Options{Addr: addr}); !peer.IsRefused(err) {
		t.Errorf("nobody listens: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := peer.Dial(ctx, peer.Options{Addr: addr}); peer.IsRefused(err) {
		t.Errorf("a dial that was given up: %v", err)
	}
}

// A response whose counts lie costs neither memory nor time.
func TestLyingResponse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, r := connect(t, peer.Options{})
		go func() {
			_, correlation := r.read(kmsg.NewPtrFetchRequest())
			b := binary.BigEndian.AppendUint32(nil, uint32(correlation))
			b = append(b, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1) // no tags, throttle, error, session, no topics
			b = append(b, 0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0) // four billion tags
			_, _ = r.conn.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...))
		}()
		if _, err := fetch(c); !errors.Is(err, peer.ErrProtocol) {
			t.Errorf("%v", err)
		}
	})
}

// fetch sends a Fetch and waits for its answer.
func fetch(c *peer.Conn) (*peer.Fetched, error) {
	var fetched *peer.Fetched
	ended := make(chan error, 1)
	c.SendFetch(kmsg.NewPtrFetchRequest(), func(f *peer.Fetched, err error) {
		fetched = f
		ended <- err
	})
	err := <-ended
	return fetched, err
}

// FuzzResponse: whatever a peer answers, the request is told of it once, without a panic.
func FuzzResponse(f *testing.F) {
	f.Add(uint8(0), []byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0})
	f.Add(uint8(1), []byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Add(uint8(2), []byte{0, 0, 0, 0, 0, 1, 1, 0, 0, 1, 1})
	f.Fuzz(func(t *testing.T, which uint8, body []byte) {
		synctest.Test(t, func(t *testing.T) {
			c, r := connect(t, peer.Options{})
			req := []kmsg.Request{kmsg.NewPtrFetchRequest(), kmsg.NewPtrBrokerHeartbeatRequest(), kmsg.NewPtrMetadataRequest()}[which%3]
			there := kmsg.RequestForKey(req.Key())
			go func() {
				_, correlation := r.read(there)
				b := append(binary.BigEndian.AppendUint32(nil, uint32(correlation)), body...)
				_, _ = r.conn.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...))
			}()
			resp, err := c.Do(t.Context(), req)
			if (resp == nil) == (err == nil) {
				t.Errorf("%v, %v", resp, err)
			}
		})
	})
}
