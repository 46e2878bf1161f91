package forward

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"gregor/internal/controller"
	"gregor/internal/wire"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// world is the controllers of a test: who leads, and what each answers.
type world struct {
	t      *testing.T
	leader atomic.Int32

	mu    sync.Mutex
	nodes map[string]*remote // by address
	dials atomic.Int32
}

// remote is a controller elsewhere.
type remote struct {
	w *world
	// answer is called for each request; inside says that it came in an Envelope. nil hangs.
	answer func(from controller.Caller, req kmsg.Request, inside bool) kmsg.Response
	down   bool
	raw    []byte // what it answers instead
	offset int64  // of its metadata
	conns  []net.Conn
	asked  int
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, nodes: make(map[string]*remote)}
	w.leader.Store(-1)
	return w
}

func (w *world) add(addr string, answer func(controller.Caller, kmsg.Request, bool) kmsg.Response) *remote {
	r := &remote{w: w, answer: answer}
	w.nodes[addr] = r
	return r
}

func (w *world) forwarder(local Controller) *Forwarder {
	f := New(Options{
		NodeID: 1, Local: local, Leader: w.leader.Load, Dial: w.dial,
		Endpoint: func(id int32) (string, bool) { return string(rune('a' + id)), id > 0 },
	})
	w.t.Cleanup(f.Close)
	return f
}

func (w *world) dial(ctx context.Context, addr string) (net.Conn, error) {
	if addr == "z" { // its host swallows every packet
		<-ctx.Done()
		return nil, ctx.Err()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.dials.Add(1)
	r := w.nodes[addr]
	if r == nil || r.down {
		return nil, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
	}
	near, far := net.Pipe()
	r.conns = append(r.conns, far)
	go r.serve(far)
	return near, nil
}

// end is the end of a process.
func (r *remote) end() {
	r.w.mu.Lock()
	defer r.w.mu.Unlock()
	r.down = true
	for _, c := range r.conns {
		_ = c.Close()
	}
}

func (r *remote) serve(c net.Conn) {
	defer c.Close()
	var pool wire.Pool
	frames := wire.NewFrameReader(c, &pool, nil)
	for {
		f, err := frames.Read(1 << 20)
		if err != nil {
			return
		}
		h, body, err := wire.ReadRequestHeader(f.Bytes)
		if err != nil {
			r.w.t.Error(err)
			return
		}
		var resp kmsg.Response
		if h.Key == wire.ApiVersionsKey {
			v := kmsg.NewPtrApiVersionsResponse()
			v.SetVersion(h.Version)
			v.ApiKeys = []kmsg.ApiVersionsResponseApiKey{{ApiKey: 58}, {ApiKey: 63, MaxVersion: 1}, {ApiKey: 18, MaxVersion: 4}}
			resp = v
		} else if resp = r.request(h, body); resp == nil {
			continue // it hangs
		}
		frame := wire.AppendResponse(nil, h.CorrelationID, resp)
		r.w.mu.Lock()
		if r.raw != nil && h.Key != wire.ApiVersionsKey {
			frame = r.raw
		}
		r.w.mu.Unlock()
		if _, err := c.Write(frame); err != nil {
			return
		}
	}
}

func (r *remote) request(h wire.RequestHeader, body []byte) kmsg.Response {
	r.w.mu.Lock()
	r.asked++
	r.w.mu.Unlock()
	from := controller.Caller{ClientID: h.ClientID}
	req := r.decode(h, body)
	e, inside := req.(*kmsg.EnvelopeRequest)
	if !inside {
		return r.answer(from, req, false)
	}
	var err error
	if from.Principal, from.ClientHost, err = Sender(e); err != nil {
		r.w.t.Error(err)
	}
	h, body, err = wire.ReadRequestHeader(e.RequestData)
	if err != nil {
		r.w.t.Error(err)
	}
	from.ClientID = h.ClientID
	inner := r.answer(from, r.decode(h, body), true)
	if inner == nil {
		return nil
	}
	resp := e.ResponseKind().(*kmsg.EnvelopeResponse)
	if controller.IsNotController(inner) {
		resp.ErrorCode = kerr.NotController.Code
	} else {
		SetOffset(resp, r.offset)
		inner.SetVersion(h.Version)
		resp.ResponseData = inner.AppendTo(wire.AppendResponseHeader(nil, h.CorrelationID, inner))
	}
	return resp
}

func (r *remote) decode(h wire.RequestHeader, body []byte) kmsg.Request {
	req := kmsg.RequestForKey(h.Key)
	req.SetVersion(h.Version)
	var err error
	if req.IsFlexible() {
		if body, err = wire.SkipTags(body); err != nil {
			r.w.t.Error(err)
		}
	}
	if err := req.ReadFrom(body); err != nil {
		r.w.t.Error(err)
	}
	return req
}

func createTopic(version int16, timeoutMs int32) *kmsg.CreateTopicsRequest {
	req := kmsg.NewPtrCreateTopicsRequest()
	req.SetVersion(version)
	req.TimeoutMillis = timeoutMs
	t := kmsg.NewCreateTopicsRequestTopic()
	t.Topic = "t"
	req.Topics = append(req.Topics, t)
	return req
}

// created is what a controller answers that has made the topics; ThrottleMillis says which one it was.
func created(who int32) func(controller.Caller, kmsg.Request, bool) kmsg.Response {
	return func(_ controller.Caller, req kmsg.Request, _ bool) kmsg.Response {
		if resp, ok := controller.Refusal(req, kerr.NotController).(*kmsg.CreateTopicsResponse); ok {
			resp.ThrottleMillis, resp.Topics[0].ErrorCode, resp.Topics[0].ErrorMessage = who, 0, nil
			return resp
		}
		resp := req.ResponseKind().(*kmsg.BrokerHeartbeatResponse)
		resp.ThrottleMillis = who
		return resp
	}
}

func refusing(_ controller.Caller, req kmsg.Request, _ bool) kmsg.Response {
	return controller.Refusal(req, kerr.NotController)
}

func hanging(controller.Caller, kmsg.Request, bool) kmsg.Response { return nil }

var someone = controller.Caller{Principal: "User:ann", ClientID: "app", ClientHost: "/10.1.2.3"}

func do(f *Forwarder, req kmsg.Request) chan kmsg.Response {
	answer := make(chan kmsg.Response, 2)
	f.Do(context.Background(), someone, req, func(resp kmsg.Response) { answer <- resp })
	return answer
}

func by(t *testing.T, resp kmsg.Response) int32 {
	t.Helper()
	switch r := resp.(type) {
	case *kmsg.CreateTopicsResponse:
		if r.Topics[0].ErrorCode != 0 {
			t.Fatalf("answered with %v", kerr.ErrorForCode(r.Topics[0].ErrorCode))
		}
		return r.ThrottleMillis
	case *kmsg.BrokerHeartbeatResponse:
		if r.ErrorCode != 0 {
			t.Fatalf("answered with %v", kerr.ErrorForCode(r.ErrorCode))
		}
		return r.ThrottleMillis
	}
	t.Fatalf("answered with %T", resp)
	return 0
}

func TestClientRequestsGoInAnEnvelope(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		for v := int16(2); v <= 7; v++ {
			w.add("c", func(from controller.Caller, req kmsg.Request, inside bool) kmsg.Response {
				if !inside || from != someone {
					t.Errorf("it came from %+v, in an Envelope: %v", from, inside)
				}
				if req.GetVersion() != v {
					t.Errorf("it has version %d, want %d", req.GetVersion(), v)
				}
				return created(2)(from, req, inside)
			})
			w.leader.Store(2)
			if got := by(t, <-do(w.forwarder(nil), createTopic(v, 1000))); got != 2 {
				t.Errorf("answered by %d", got)
			}
		}
	})
}

func TestOwnRequestsGoAsTheyAre(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.add("c", func(from controller.Caller, req kmsg.Request, inside bool) kmsg.Response {
			if inside {
				t.Error("a heartbeat came in an Envelope")
			}
			return created(2)(from, req, inside)
		})
		w.leader.Store(2)
		if got := by(t, <-do(w.forwarder(nil), kmsg.NewPtrBrokerHeartbeatRequest())); got != 2 {
			t.Errorf("answered by %d", got)
		}
	})
}

// local is the controller of this node.
type local struct {
	active atomic.Bool
	asked  atomic.Int32
}

func (l *local) Do(_ context.Context, from controller.Caller, req kmsg.Request, done func(kmsg.Response)) {
	l.asked.Add(1)
	if l.active.Load() {
		done(created(1)(from, req, false))
	} else {
		done(controller.Refusal(req, kerr.NotController))
	}
}

func TestLocalController(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, l := newWorld(t), &local{}
		f := w.forwarder(l)
		w.leader.Store(1)
		answer := do(f, createTopic(7, 10_000))
		time.Sleep(time.Second)
		if n := l.asked.Load(); n < 10 || n > 100 {
			t.Errorf("a controller that is not active yet was asked %d times in a second", n)
		}
		l.active.Store(true)
		if got := by(t, <-answer); got != 1 {
			t.Errorf("answered by %d", got)
		}
		if w.dials.Load() != 0 {
			t.Errorf("%d connections", w.dials.Load())
		}
	})
}

func TestLeaderChangesInFlight(t *testing.T) {
	for name, first := range map[string]func(controller.Caller, kmsg.Request, bool) kmsg.Response{"refuses": refusing, "hangs": hanging} {
		for _, req := range []kmsg.Request{createTopic(7, 20_000), kmsg.NewPtrBrokerHeartbeatRequest()} {
			t.Run(name+" "+kmsg.NameForKey(req.Key()), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t)
					w.add("c", first)
					w.add("d", created(3))
					f := w.forwarder(nil)
					w.leader.Store(2)
					answer := do(f, req)
					time.Sleep(3 * time.Second)
					if len(answer) > 0 {
						t.Fatal("answered by who does not lead")
					}
					began := time.Now()
					w.leader.Store(3)
					if got := by(t, <-answer); got != 3 {
						t.Errorf("answered by %d", got)
					}
					if d := time.Since(began); d > 100*time.Millisecond {
						t.Errorf("the next leader was asked after %s", d)
					}
				})
			})
		}
	}
}

// A leader whose host swallows every packet does not keep the next one waiting.
func TestLeaderChangesWhileDialing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.add("d", created(3))
		f := w.forwarder(nil)
		w.leader.Store('z' - 'a')
		answer := do(f, createTopic(7, 20_000))
		time.Sleep(time.Second)
		began := time.Now()
		w.leader.Store(3)
		if got := by(t, <-answer); got != 3 || time.Since(began) > 100*time.Millisecond {
			t.Errorf("answered by %d after %s", got, time.Since(began))
		}
	})
}

func TestConnectionBreaksInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		old := w.add("c", hanging)
		w.add("d", created(3))
		f := w.forwarder(nil)
		w.leader.Store(2)
		var answers []chan kmsg.Response
		for range 50 {
			answers = append(answers, do(f, createTopic(7, 20_000)))
		}
		time.Sleep(time.Second)
		old.end()
		time.Sleep(5 * time.Second) // an election
		if w.dials.Load() > 60 {
			t.Errorf("%d connections in five seconds to a process that has ended", w.dials.Load())
		}
		w.leader.Store(3)
		for _, a := range answers {
			if got := by(t, <-a); got != 3 {
				t.Errorf("answered by %d", got)
			}
		}
	})
}

func TestTimeouts(t *testing.T) {
	for _, c := range []struct {
		name   string
		leader int32
		ms     int32
		want   time.Duration
	}{
		{"no leader", -1, 5000, 5 * time.Second},
		{"no leader, a long timeout", -1, 500_000, DefaultTimeout},
		{"a leader that refuses", 2, 5000, 5 * time.Second},
		{"a leader that hangs", 3, 5000, 5 * time.Second},
		{"a leader that is gone", 4, 5000, 5 * time.Second},
		{"a leader whose address nobody knows", 0, 5000, 5 * time.Second},
		{"a leader that answers with what is no response", 5, 5000, 5 * time.Second},
		{"a leader that answers with a size and no more", 6, 5000, 5 * time.Second},
		{"a leader that answers for another request", 7, 5000, 5 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.add("c", refusing)
				w.add("d", hanging)
				w.add("f", created(5)).raw = []byte("HTTP/1.1 400 Bad Request\r\n\r\n")
				w.add("g", created(6)).raw = []byte{0, 0, 1, 0}
				w.add("h", created(7)).raw = []byte{0, 0, 0, 8, 0, 0, 0, 99, 0, 0, 0, 0}
				w.leader.Store(c.leader)
				f := w.forwarder(nil)
				began := time.Now()
				resp := (<-do(f, createTopic(7, c.ms))).(*kmsg.CreateTopicsResponse)
				if code := resp.Topics[0].ErrorCode; code != kerr.RequestTimedOut.Code {
					t.Errorf("answered with %v", kerr.ErrorForCode(code))
				}
				if d := time.Since(began); d < c.want || d > c.want+lookEvery {
					t.Errorf("answered after %s, want %s", d, c.want)
				}
				if w.dials.Load() > 400 {
					t.Errorf("%d connections", w.dials.Load())
				}
			})
		})
	}
}

// A request that its client has given up does not wait any longer.
func TestContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		f := w.forwarder(nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		answer := make(chan kmsg.Response, 1)
		began := time.Now()
		f.Do(ctx, someone, createTopic(7, 20_000), func(r kmsg.Response) { answer <- r })
		<-answer
		if d := time.Since(began); d > time.Second+lookEvery {
			t.Errorf("answered after %s", d)
		}
	})
}

func TestCloseAnswersAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, leader := range []int32{-1, 2, 3} {
			w := newWorld(t)
			w.add("c", hanging)
			f := w.forwarder(nil)
			w.leader.Store(leader)
			a, b := do(f, createTopic(7, 20_000)), do(f, kmsg.NewPtrBrokerHeartbeatRequest())
			synctest.Wait()
			f.Close()
			if !controller.IsNotController(<-a) || !controller.IsNotController(<-b) || !controller.IsNotController(<-do(f, createTopic(7, 1))) {
				t.Error("not answered with NOT_CONTROLLER")
			}
			synctest.Wait()
			if len(a)+len(b) > 0 {
				t.Error("answered twice")
			}
		}
	})
}

func TestSender(t *testing.T) {
	for _, c := range []controller.Caller{someone, {Principal: "User:a:b", ClientHost: "/fe80::1"}, {Principal: "Group:ü", ClientHost: "/::1"}} {
		principal, host, err := Sender(wrap(c, createTopic(7, 1)))
		if err != nil || principal != c.Principal || host != c.ClientHost {
			t.Errorf("%+v came as %q %q %v", c, principal, host, err)
		}
	}
	for _, c := range []struct {
		principal, host []byte
		want            error
	}{
		{appendPrincipal(nil, "User:a"), nil, kerr.InvalidRequest},
		{appendPrincipal(nil, "User:a"), []byte{1, 2, 3}, kerr.InvalidRequest},
		{nil, []byte{1, 2, 3, 4}, kerr.PrincipalDeserializationFailure},
		{[]byte{0, 1, 2, 'a', 2, 'b', 0, 0}, []byte{1, 2, 3, 4}, kerr.PrincipalDeserializationFailure},
		{[]byte{0, 0, 200, 'a'}, []byte{1, 2, 3, 4}, kerr.PrincipalDeserializationFailure},
	} {
		if _, _, err := Sender(&kmsg.EnvelopeRequest{RequestPrincipal: c.principal, ClientHostAddress: c.host}); !errors.Is(err, c.want) {
			t.Errorf("%v %v: %v, want %v", c.principal, c.host, err, c.want)
		}
	}
}

// FuzzSender: bytes from outside never panic, and a principal that is read is written as it was.
func FuzzSender(f *testing.F) {
	f.Add(appendPrincipal(nil, "User:ann"), []byte{127, 0, 0, 1})
	f.Add([]byte{0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}, []byte{})
	f.Fuzz(func(t *testing.T, principal, host []byte) {
		name, addr, err := Sender(&kmsg.EnvelopeRequest{RequestPrincipal: principal, ClientHostAddress: host})
		if err != nil {
			return
		}
		again, addrAgain, err := Sender(wrap(controller.Caller{Principal: name, ClientHost: addr}, createTopic(2, 1)))
		if err != nil || again != name && len(name) < 1<<15 || netOf(addrAgain) != netOf(addr) {
			t.Errorf("%q %q, then %q %q, %v", name, addr, again, addrAgain, err)
		}
	})
}

func netOf(host string) string { return net.ParseIP(host[1:]).String() }

// FuzzUnwrap: the answer of a controller never panics.
func FuzzUnwrap(f *testing.F) {
	f.Add([]byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0}, uint8(7))
	f.Add([]byte{}, uint8(2))
	f.Fuzz(func(t *testing.T, data []byte, version uint8) {
		req := createTopic(int16(2+version%6), 1)
		resp, err := unwrap(req, &kmsg.EnvelopeResponse{ResponseData: data})
		if (resp == nil) == (err == nil) {
			t.Errorf("%v, %v", resp, err)
		}
	})
}
