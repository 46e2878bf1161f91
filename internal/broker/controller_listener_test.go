package broker

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"gregor/internal/config"
	"gregor/internal/controller"
	"gregor/internal/journal"
	"gregor/internal/metadata"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// controllerHost is a controllers' listener over a quorum and a controller that the test makes.
type controllerHost struct {
	*testBroker
	quorum *testQuorum
	ctl    *clusterController
	dialed func(addr string) error // how probes fare; nil: every one is refused
}

const testController2 = 3000 // node id of the controller under test

func startController(t testing.TB) *controllerHost {
	t.Helper()
	values, _, err := config.ParseBroker(map[string]string{
		"node.id": "3000", "process.roles": "controller", "listeners": "CONTROLLER://127.0.0.1:1", "controller.listener.names": "CONTROLLER",
		"controller.quorum.voters": "3000@127.0.0.1:1", "log.dirs": t.TempDir(),
	})
	if err != nil {
		t.Fatal(err)
	}
	h := &controllerHost{
		testBroker: &testBroker{t: t, live: config.NewLive(values), logged: &logBuffer{}},
		quorum:     &testQuorum{status: journal.Status{Leader: testController2, Epoch: 7}, news: make(chan struct{})},
		ctl:        &clusterController{lost: make(chan int32, 100)},
	}
	h.ctl.isActive.Store(true)
	h.image = metadata.NewImage("cluster")
	h.b = NewController(ControllerOptions{
		NodeID: testController2, ClusterID: "cluster", Config: h.live, Controller: h.ctl, Quorum: h.quorum,
		Logger: slog.New(slog.NewTextHandler(h.logged, nil)),
		Image: func() *metadata.Image {
			h.mu.Lock()
			defer h.mu.Unlock()
			return h.image
		},
		Private: []PrivateAPI{{
			New: func() kmsg.Request { return &secretRequest{} },
			Serve: func(_ context.Context, req kmsg.Request, reply func(kmsg.Response)) {
				reply(&secretResponse{text: "got " + req.(*secretRequest).text})
			},
		}},
		Dial: func(_ context.Context, addr string) (net.Conn, error) {
			h.mu.Lock()
			dialed := h.dialed
			h.mu.Unlock()
			err := error(&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED})
			if dialed != nil {
				err = dialed(addr)
			}
			near, _ := net.Pipe()
			return near, err
		},
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h.addr = l.Addr().String()
	served := make(chan error, 1)
	go func() { served <- h.b.Serve("CONTROLLER", l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if err := errors.Join(h.b.Close(ctx), <-served); err != nil {
			t.Error(err)
		}
	})
	return h
}

// register puts brokers into the image.
func (h *controllerHost) register(ids ...int32) {
	h.mu.Lock()
	defer h.mu.Unlock()
	d := metadata.NewDelta(h.image)
	for _, id := range ids {
		r := &metadata.RegisterBrokerRecord{BrokerID: id, BrokerEpoch: int64(id) * 10, EndPoints: []metadata.RecordEndpoint{{Name: "PLAINTEXT", Host: "host", Port: uint16(9000 + id)}}}
		if err := d.Apply(r); err != nil {
			h.t.Fatal(err)
		}
	}
	h.image = d.Image(h.image.Offset()+1, 1)
}

// secretRequest is a private request: its bytes are a text.
type secretRequest struct {
	kmsg.Request
	text string
}

type secretResponse struct {
	kmsg.Response
	text string
}

func (*secretRequest) Key() int16                    { return 26499 }
func (*secretRequest) SetVersion(int16)              {}
func (*secretRequest) GetVersion() int16             { return 0 }
func (*secretRequest) IsFlexible() bool              { return false }
func (r *secretRequest) AppendTo(b []byte) []byte    { return append(b, r.text...) }
func (r *secretRequest) ResponseKind() kmsg.Response { return &secretResponse{} }
func (r *secretRequest) ReadFrom(b []byte) error {
	if string(b) == "bad" {
		return errors.New("bad")
	}
	r.text = string(b)
	return nil
}
func (*secretResponse) Key() int16                 { return 26499 }
func (*secretResponse) SetVersion(int16)           {}
func (*secretResponse) IsFlexible() bool           { return false }
func (r *secretResponse) AppendTo(b []byte) []byte { return append(b, r.text...) }
func (r *secretResponse) ReadFrom(b []byte) error  { r.text = string(b); return nil }

// clusterController answers as an active controller that says yes, or as one that is not active.
type clusterController struct {
	isActive atomic.Bool
	lost     chan int32

	mu   sync.Mutex
	from []Caller
	reqs []kmsg.Request
}

func (c *clusterController) Active() bool               { return c.isActive.Load() }
func (c *clusterController) Lost(broker int32, _ int64) { c.lost <- broker }

func (c *clusterController) KRaftVersion() int16 { return 0 }

func (c *clusterController) Do(_ context.Context, from Caller, req kmsg.Request, done func(kmsg.Response)) {
	c.mu.Lock()
	c.from, c.reqs = append(c.from, from), append(c.reqs, req)
	c.mu.Unlock()
	if !c.isActive.Load() {
		go done(controller.Refusal(req, kerr.NotController))
		return
	}
	go done(req.ResponseKind())
}

func (c *clusterController) asked() ([]Caller, []kmsg.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.from), slices.Clone(c.reqs)
}

// testQuorum is a metadata log of offsets; each "batch" is one letter.
type testQuorum struct {
	mu       sync.Mutex
	status   journal.Status
	log      string
	snapshot string // of everything before snapEnd
	snapEnd  int64
	news     chan struct{}
	fetched  []int32
	waiting  atomic.Int32
}

func (q *testQuorum) change(f func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	f()
	close(q.news)
	q.news = make(chan struct{})
}

func (q *testQuorum) Status() journal.Status {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.status
}

func (q *testQuorum) Describe() journal.QuorumState {
	return journal.QuorumState{Leader: q.Status().Leader}
}

func (q *testQuorum) Voters() []journal.Voter {
	return []journal.Voter{
		{ID: testController2, Endpoints: []journal.Endpoint{{Name: "OTHER", Host: "x", Port: 1}, {Name: "CONTROLLER", Host: "c0", Port: 9093}}},
		{ID: 3001, Endpoints: []journal.Endpoint{{Name: "CONTROLLER", Host: "c1", Port: 9094}}},
		{ID: 3002},
	}
}

func (q *testQuorum) ReadLog(from journal.FetchPosition, maxBytes int) (journal.LogRead, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	r := journal.LogRead{HighWatermark: int64(len(q.log)), StartOffset: q.snapEnd}
	switch {
	case from.Offset < q.snapEnd:
		r.Snapshot = &journal.SnapshotID{End: q.snapEnd, Epoch: 2}
	case from.Offset > r.HighWatermark:
		return r, journal.ErrOffsetOutOfRange
	case from.LastEpoch == 99:
		r.Diverging = &journal.EpochEnd{Epoch: 3, Offset: 1}
	case from.Offset < r.HighWatermark:
		r.Records = []byte(q.log[from.Offset:])
		r.Records = r.Records[:min(len(r.Records), maxBytes)]
	}
	return r, nil
}

func (q *testQuorum) ReadSnapshot(id journal.SnapshotID, position int64, maxBytes int) ([]byte, int64, error) {
	size := int64(len(q.snapshot))
	switch {
	case id.End != q.snapEnd:
		return nil, 0, journal.ErrSnapshotNotFound
	case position >= size:
		return nil, size, journal.ErrPositionOutOfRange
	}
	return []byte(q.snapshot[position:min(size, position+int64(maxBytes))]), size, nil
}

func (q *testQuorum) WaitCommitted(ctx context.Context, above int64) error {
	q.waiting.Add(1)
	defer q.waiting.Add(-1)
	began := q.Status()
	for {
		q.mu.Lock()
		news, end, now := q.news, int64(len(q.log)), q.status
		q.mu.Unlock()
		if end > above || now.Leader != began.Leader {
			return nil
		}
		select {
		case <-news:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (q *testQuorum) ObserverFetched(id int32, _ journal.DirectoryID, offset, _ int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.fetched = append(q.fetched, id, int32(offset))
}

func (q *testQuorum) ChangeVoters(context.Context, journal.VoterChange) error { return nil }

func TestControllerListenerServes(t *testing.T) {
	h := startController(t)
	resp := do[*kmsg.ApiVersionsResponse](h.dial(), apiVersions(4))
	var keys []int
	for _, k := range resp.ApiKeys {
		keys = append(keys, int(k.ApiKey))
	}
	for _, want := range []kmsg.Key{kmsg.Fetch, kmsg.ApiVersions, kmsg.CreateTopics, kmsg.DescribeQuorum, kmsg.AlterPartition, kmsg.Envelope, kmsg.FetchSnapshot,
		kmsg.DescribeCluster, kmsg.BrokerRegistration, kmsg.BrokerHeartbeat, kmsg.AllocateProducerIDs, kmsg.ControllerRegistration, kmsg.AssignReplicasToDirs, kmsg.UpdateRaftVoter} {
		if !slices.Contains(keys, int(want.Int16())) {
			t.Errorf("%s is not advertised", want.Name())
		}
	}
	for _, not := range []int{0, 3, 11, 26499} {
		if slices.Contains(keys, not) {
			t.Errorf("key %d is advertised", not)
		}
	}
	if len(resp.SupportedFeatures) == 0 {
		t.Error("no feature is supported")
	}
	c := h.dial()
	c.send(produceRequest(9, "t", 0, 1, batch("a"))) // brokers' business
	c.ended()
	h.alive()
}

func TestBrokerListenerHasNoControllerRequests(t *testing.T) {
	tb := startBroker(t, nil)
	for _, req := range []kmsg.Request{kmsg.NewPtrBrokerHeartbeatRequest(), kmsg.NewPtrEnvelopeRequest(), kmsg.NewPtrFetchSnapshotRequest(), &secretRequest{}} {
		c := tb.dial()
		c.send(req)
		c.ended()
	}
	tb.alive()
}

func TestPrivateRequests(t *testing.T) {
	h := startController(t)
	c := h.dial()
	if got := do[*secretResponse](c, &secretRequest{text: "hello"}).text; got != "got hello" {
		t.Errorf("answered %q", got)
	}
	c.send(&secretRequest{text: "bad"})
	c.ended()
	h.alive()
}

func metadataFetch(version int16, offset int64, waitMs int32) *kmsg.FetchRequest {
	req := kmsg.NewPtrFetchRequest()
	req.Version, req.MaxWaitMillis, req.MaxBytes, req.SessionEpoch = version, waitMs, 1<<20, -1
	req.ReplicaID, req.ReplicaState.ID = 5, 5
	p := kmsg.NewFetchRequestTopicPartition()
	p.FetchOffset, p.CurrentLeaderEpoch, p.LastFetchedEpoch, p.PartitionMaxBytes = offset, 7, 1, 1<<20
	t := kmsg.NewFetchRequestTopic()
	t.Topic, t.TopicID = metadataLog, metadataLogID
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	return req
}

func TestFetchMetadata(t *testing.T) {
	h := startController(t)
	h.quorum.log, h.quorum.snapEnd = "--cdef", 2
	c := h.dial()
	for v := int16(4); v <= 18; v++ {
		resp := do[*kmsg.FetchResponse](c, metadataFetch(v, 3, 0))
		if resp.ErrorCode != 0 || len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
			t.Fatalf("version %d: %+v", v, resp)
		}
		p := resp.Topics[0].Partitions[0]
		if p.ErrorCode != 0 || string(p.RecordBatches) != "def" || p.HighWatermark != 6 || v >= 12 && (p.CurrentLeader.LeaderID != testController2 || p.CurrentLeader.LeaderEpoch != 7) {
			t.Errorf("version %d: %+v", v, p)
		}
	}
	h.quorum.mu.Lock()
	got := h.quorum.fetched
	h.quorum.mu.Unlock()
	if len(got) != 30 || got[0] != 5 || got[1] != 3 {
		t.Errorf("the quorum was told of fetches %v", got)
	}
	for name, c1 := range map[string]struct {
		change func(*kmsg.FetchRequest)
		want   func(*kmsg.FetchResponse, *kmsg.FetchResponseTopicPartition) bool
	}{
		"another cluster": {func(r *kmsg.FetchRequest) { r.ClusterID = kmsg.StringPtr("other") },
			func(r *kmsg.FetchResponse, _ *kmsg.FetchResponseTopicPartition) bool {
				return r.ErrorCode == kerr.InconsistentClusterID.Code
			}},
		"this cluster": {func(r *kmsg.FetchRequest) { r.ClusterID = kmsg.StringPtr("cluster") },
			func(r *kmsg.FetchResponse, p *kmsg.FetchResponseTopicPartition) bool { return p.ErrorCode == 0 }},
		"nothing asked": {func(r *kmsg.FetchRequest) { r.Topics = nil },
			func(r *kmsg.FetchResponse, _ *kmsg.FetchResponseTopicPartition) bool {
				return r.ErrorCode == kerr.InvalidRequest.Code
			}},
		"two topics": {func(r *kmsg.FetchRequest) { r.Topics = append(r.Topics, r.Topics[0]) },
			func(r *kmsg.FetchResponse, _ *kmsg.FetchResponseTopicPartition) bool {
				return r.ErrorCode == kerr.InvalidRequest.Code
			}},
		"no partition": {func(r *kmsg.FetchRequest) { r.Topics[0].Partitions = nil },
			func(r *kmsg.FetchResponse, _ *kmsg.FetchResponseTopicPartition) bool {
				return r.ErrorCode == kerr.InvalidRequest.Code
			}},
		"another topic": {func(r *kmsg.FetchRequest) { r.Topics[0].TopicID[0]++ },
			func(_ *kmsg.FetchResponse, p *kmsg.FetchResponseTopicPartition) bool {
				return p.ErrorCode == kerr.UnknownTopicID.Code
			}},
		"partition 1": {func(r *kmsg.FetchRequest) { r.Topics[0].Partitions[0].Partition = 1 },
			func(_ *kmsg.FetchResponse, p *kmsg.FetchResponseTopicPartition) bool {
				return p.ErrorCode == kerr.UnknownTopicOrPartition.Code
			}},
		"an old epoch": {func(r *kmsg.FetchRequest) { r.Topics[0].Partitions[0].CurrentLeaderEpoch = 6 },
			func(_ *kmsg.FetchResponse, p *kmsg.FetchResponseTopicPartition) bool {
				return p.ErrorCode == kerr.FencedLeaderEpoch.Code && p.CurrentLeader.LeaderEpoch == 7
			}},
		"a later epoch": {func(r *kmsg.FetchRequest) { r.Topics[0].Partitions[0].CurrentLeaderEpoch = 8 },
			func(_ *kmsg.FetchResponse, p *kmsg.FetchResponseTopicPartition) bool {
				return p.ErrorCode == kerr.UnknownLeaderEpoch.Code
			}},
		"behind the end": {func(r *kmsg.FetchRequest) { r.Topics[0].Partitions[0].FetchOffset = 7 },
			func(_ *kmsg.FetchResponse, p *kmsg.FetchResponseTopicPartition) bool {
				return p.ErrorCode == kerr.OffsetOutOfRange.Code
			}},
		"another history": {func(r *kmsg.FetchRequest) { r.Topics[0].Partitions[0].LastFetchedEpoch = 99 },
			func(_ *kmsg.FetchResponse, p *kmsg.FetchResponseTopicPartition) bool {
				return p.ErrorCode == 0 && p.DivergingEpoch.Epoch == 3 && p.DivergingEpoch.EndOffset == 1
			}},
		"before the log": {func(r *kmsg.FetchRequest) { r.Topics[0].Partitions[0].FetchOffset = 0 },
			func(_ *kmsg.FetchResponse, p *kmsg.FetchResponseTopicPartition) bool {
				return p.ErrorCode == 0 && p.SnapshotID.EndOffset == 2 && p.SnapshotID.Epoch == 2 && len(p.RecordBatches) == 0
			}},
		"little room": {func(r *kmsg.FetchRequest) { r.MaxBytes = 1 },
			func(_ *kmsg.FetchResponse, p *kmsg.FetchResponseTopicPartition) bool {
				return string(p.RecordBatches) == "d"
			}},
		"negative room": {func(r *kmsg.FetchRequest) { r.MaxBytes = -5 },
			func(_ *kmsg.FetchResponse, p *kmsg.FetchResponseTopicPartition) bool {
				return string(p.RecordBatches) == "d"
			}},
	} {
		req := metadataFetch(17, 3, 0)
		c1.change(req)
		resp := do[*kmsg.FetchResponse](c, req)
		var p *kmsg.FetchResponseTopicPartition
		if len(resp.Topics) > 0 && len(resp.Topics[0].Partitions) > 0 {
			p = &resp.Topics[0].Partitions[0]
		}
		if !c1.want(resp, p) {
			t.Errorf("%s: %+v", name, resp)
		}
	}
}

func TestFetchMetadataWaits(t *testing.T) {
	h := startController(t)
	c := h.dial()
	began := time.Now()
	if p := do[*kmsg.FetchResponse](c, metadataFetch(17, 0, 50)).Topics[0].Partitions[0]; p.ErrorCode != 0 || len(p.RecordBatches) > 0 || time.Since(began) < 50*time.Millisecond {
		t.Errorf("after %s: %+v", time.Since(began), p)
	}
	req := metadataFetch(17, 0, 60_000)
	c.send(req)
	eventually(t, "the fetch waits", func() bool { return h.quorum.waiting.Load() == 1 })
	h.quorum.change(func() { h.quorum.log = "ab" })
	if p := c.receive(req, c.corr).(*kmsg.FetchResponse).Topics[0].Partitions[0]; string(p.RecordBatches) != "ab" {
		t.Errorf("%+v", p)
	}
	// The leader changes while somebody waits: he is told, and where the next one is.
	req = metadataFetch(17, 2, 60_000)
	c.send(req)
	eventually(t, "the fetch waits", func() bool { return h.quorum.waiting.Load() == 1 })
	h.quorum.change(func() { h.quorum.status.Leader = 3001 })
	resp := c.receive(req, c.corr).(*kmsg.FetchResponse)
	if p := resp.Topics[0].Partitions[0]; p.ErrorCode != kerr.NotLeaderForPartition.Code || p.CurrentLeader.LeaderID != 3001 || len(resp.Brokers) != 1 || resp.Brokers[0].Host != "c1" || resp.Brokers[0].Port != 9094 {
		t.Errorf("%+v", resp)
	}
	// A connection that ends takes its wait with it.
	h.quorum.change(func() { h.quorum.status.Leader = testController2 })
	gone := h.dial()
	gone.send(metadataFetch(17, 2, 600_000))
	eventually(t, "the fetch waits", func() bool { return h.quorum.waiting.Load() == 1 })
	_ = gone.conn.Close()
	eventually(t, "nobody waits", func() bool { return h.quorum.waiting.Load() == 0 })
}

func TestFetchSnapshot(t *testing.T) {
	h := startController(t)
	h.quorum.snapshot, h.quorum.snapEnd = "0123456789", 4
	ask := func(change func(*kmsg.FetchSnapshotRequest, *kmsg.FetchSnapshotRequestTopicPartition)) *kmsg.FetchSnapshotResponse {
		req := kmsg.NewPtrFetchSnapshotRequest()
		req.Version, req.MaxBytes = 1, 1<<20
		p := kmsg.NewFetchSnapshotRequestTopicPartition()
		p.CurrentLeaderEpoch, p.SnapshotID.EndOffset, p.SnapshotID.Epoch, p.Position = 7, 4, 2, 3
		change(req, &p)
		tp := kmsg.NewFetchSnapshotRequestTopic()
		tp.Topic, tp.Partitions = metadataLog, append(tp.Partitions, p)
		req.Topics = append(req.Topics, tp)
		return do[*kmsg.FetchSnapshotResponse](h.dial(), req)
	}
	for name, c := range map[string]struct {
		change func(*kmsg.FetchSnapshotRequest, *kmsg.FetchSnapshotRequestTopicPartition)
		code   *kerr.Error
		want   string
	}{
		"the rest": {func(*kmsg.FetchSnapshotRequest, *kmsg.FetchSnapshotRequestTopicPartition) {}, nil, "3456789"},
		"a part":   {func(r *kmsg.FetchSnapshotRequest, _ *kmsg.FetchSnapshotRequestTopicPartition) { r.MaxBytes = 2 }, nil, "34"},
		"another one": {func(_ *kmsg.FetchSnapshotRequest, p *kmsg.FetchSnapshotRequestTopicPartition) {
			p.SnapshotID.EndOffset = 5
		}, kerr.SnapshotNotFound, ""},
		"behind it": {func(_ *kmsg.FetchSnapshotRequest, p *kmsg.FetchSnapshotRequestTopicPartition) { p.Position = 10 }, kerr.PositionOutOfRange, ""},
		"before it": {func(_ *kmsg.FetchSnapshotRequest, p *kmsg.FetchSnapshotRequestTopicPartition) { p.Position = -1 }, kerr.PositionOutOfRange, ""},
		"an old epoch": {func(_ *kmsg.FetchSnapshotRequest, p *kmsg.FetchSnapshotRequestTopicPartition) {
			p.CurrentLeaderEpoch = 1
		}, kerr.FencedLeaderEpoch, ""},
		"partition 1": {func(_ *kmsg.FetchSnapshotRequest, p *kmsg.FetchSnapshotRequestTopicPartition) { p.Partition = 1 }, kerr.UnknownTopicOrPartition, ""},
	} {
		resp := ask(c.change)
		p := resp.Topics[0].Partitions[0]
		if err := kerr.ErrorForCode(p.ErrorCode); err != error(nil) && c.code == nil || c.code != nil && p.ErrorCode != c.code.Code || string(p.Bytes) != c.want {
			t.Errorf("%s: %+v", name, p)
		}
	}
	h.quorum.change(func() { h.quorum.status.Leader = 3001 })
	resp := ask(func(*kmsg.FetchSnapshotRequest, *kmsg.FetchSnapshotRequestTopicPartition) {})
	if p := resp.Topics[0].Partitions[0]; p.ErrorCode != kerr.NotLeaderForPartition.Code || len(resp.NodeEndpoints) != 1 || resp.NodeEndpoints[0].Host != "c1" {
		t.Errorf("%+v", resp)
	}
	if resp := ask(func(r *kmsg.FetchSnapshotRequest, _ *kmsg.FetchSnapshotRequestTopicPartition) {
		r.ClusterID = kmsg.StringPtr("x")
	}); resp.ErrorCode != kerr.InconsistentClusterID.Code {
		t.Errorf("%+v", resp)
	}
}

func TestEnvelope(t *testing.T) {
	h := startController(t)
	c := h.dial()
	inner := kmsg.NewPtrCreateTopicsRequest()
	inner.Version = 5
	wrap := func(req kmsg.Request) *kmsg.EnvelopeRequest {
		e := kmsg.NewPtrEnvelopeRequest()
		e.RequestData = kmsg.NewRequestFormatter(kmsg.FormatterClientID("app")).AppendRequest(nil, req, 42)[4:]
		e.RequestPrincipal = []byte{0, 0, 5, 'U', 's', 'e', 'r', 4, 'a', 'n', 'n', 0, 0}
		e.ClientHostAddress = []byte{10, 1, 2, 3}
		return e
	}
	resp := do[*kmsg.EnvelopeResponse](c, wrap(inner))
	if resp.ErrorCode != 0 || len(resp.ResponseData) < 5 || resp.ResponseData[3] != 42 {
		t.Fatalf("%+v", resp)
	}
	want := Caller{Principal: "User:ann", ClientID: "app", ClientHost: "/10.1.2.3", Listener: "CONTROLLER"}
	if from, reqs := h.ctl.asked(); len(from) != 1 || from[0] != want || reqs[0].GetVersion() != 5 {
		t.Errorf("the controller was asked by %+v", from)
	}
	heartbeat := kmsg.NewPtrBrokerHeartbeatRequest()
	future := kmsg.NewPtrCreateTopicsRequest()
	future.Version = 99
	nested := wrap(inner)
	for name, bad := range map[string]struct {
		e    *kmsg.EnvelopeRequest
		code *kerr.Error
	}{
		"nothing":            {&kmsg.EnvelopeRequest{}, kerr.InvalidRequest},
		"no principal":       {&kmsg.EnvelopeRequest{RequestData: nested.RequestData, ClientHostAddress: []byte{1, 2, 3, 4}}, kerr.PrincipalDeserializationFailure},
		"cut off":            {&kmsg.EnvelopeRequest{RequestData: nested.RequestData[:len(nested.RequestData)-3], RequestPrincipal: nested.RequestPrincipal, ClientHostAddress: []byte{1, 2, 3, 4}}, kerr.InvalidRequest},
		"a broker's request": {wrap(heartbeat), kerr.InvalidRequest},
		"an Envelope":        {wrap(nested), kerr.InvalidRequest},
		"a private request":  {wrap(&secretRequest{text: "x"}), kerr.InvalidRequest},
		"a future version":   {wrap(future), kerr.UnsupportedVersion},
	} {
		if resp := do[*kmsg.EnvelopeResponse](c, bad.e); resp.ErrorCode != bad.code.Code {
			t.Errorf("%s: %v, want %v", name, kerr.ErrorForCode(resp.ErrorCode), bad.code)
		}
	}
	if from, _ := h.ctl.asked(); len(from) != 1 {
		t.Errorf("the controller was asked by %+v", from)
	}
	h.ctl.isActive.Store(false)
	topic := kmsg.NewCreateTopicsRequestTopic()
	inner.Topics = append(inner.Topics, topic)
	if resp := do[*kmsg.EnvelopeResponse](c, wrap(inner)); resp.ErrorCode != kerr.NotController.Code || resp.ResponseData != nil {
		t.Errorf("a controller that is not active answers %+v", resp)
	}
}

func TestDescribeControllers(t *testing.T) {
	h := startController(t)
	req := kmsg.NewPtrDescribeClusterRequest()
	req.Version, req.EndpointType = 2, 2
	resp := do[*kmsg.DescribeClusterResponse](h.dial(), req)
	if resp.ErrorCode != 0 || resp.ClusterID != "cluster" || resp.ControllerID != testController2 || resp.EndpointType != 2 || len(resp.Brokers) != 2 || resp.Brokers[0].Host != "c0" || resp.Brokers[1].Port != 9094 {
		t.Errorf("%+v", resp)
	}
	req.EndpointType = 1
	if resp := do[*kmsg.DescribeClusterResponse](h.dial(), req); resp.ErrorCode != kerr.MismatchedEndpointType.Code {
		t.Errorf("brokers, of a controller: %+v", resp)
	}
}

func heartbeatOf(broker int32) *kmsg.BrokerHeartbeatRequest {
	req := kmsg.NewPtrBrokerHeartbeatRequest()
	req.BrokerID, req.BrokerEpoch = broker, int64(broker)*10
	return req
}

func (c *clusterController) mustLose(t *testing.T, ids ...int32) {
	t.Helper()
	var got []int32
	for range ids {
		select {
		case id := <-c.lost:
			got = append(got, id)
		case <-time.After(15 * time.Second):
			t.Fatalf("lost are %v, want %v", got, ids)
		}
	}
	slices.Sort(got)
	if !slices.Equal(got, ids) {
		t.Errorf("lost are %v, want %v", got, ids)
	}
}

func TestBrokerWhoseProcessEnds(t *testing.T) {
	h := startController(t)
	h.register(1, 2, 3)
	c, other := h.dial(), h.dial()
	do[*kmsg.BrokerHeartbeatResponse](c, heartbeatOf(1))
	do[*kmsg.BrokerHeartbeatResponse](other, heartbeatOf(2))
	_ = c.conn.Close()
	h.ctl.mustLose(t, 1)

	// Its listener is the last to go: it takes connections for a moment.
	var times atomic.Int32
	h.mu.Lock()
	h.dialed = func(string) error {
		if times.Add(1) < 3 {
			return nil
		}
		return &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
	}
	h.mu.Unlock()
	_ = other.conn.Close()
	h.ctl.mustLose(t, 2)
	if !strings.Contains(h.logged.String(), "broker's process has ended") {
		t.Error("nothing was logged")
	}
}

// Only a refusal is proof that a process has ended.
func TestBrokerThatMayBeThere(t *testing.T) {
	h := startController(t)
	h.register(1, 2, 3, 4)
	probed := make(chan string, 100)
	h.dialed = func(addr string) error {
		probed <- addr
		if addr == "host:9002" {
			return context.DeadlineExceeded
		}
		return nil
	}
	// 1 is there: all probes go by. 2 does not answer. 3 has come back on another connection. 4's controller is not active.
	c1, c2, c3, c3again, c4 := h.dial(), h.dial(), h.dial(), h.dial(), h.dial()
	do[*kmsg.BrokerHeartbeatResponse](c1, heartbeatOf(1))
	do[*kmsg.BrokerHeartbeatResponse](c2, heartbeatOf(2))
	do[*kmsg.BrokerHeartbeatResponse](c3, heartbeatOf(3))
	do[*kmsg.BrokerHeartbeatResponse](c3again, heartbeatOf(3))
	h.ctl.isActive.Store(false)
	do[*kmsg.BrokerHeartbeatResponse](c4, heartbeatOf(4))
	_ = c4.conn.Close()
	h.ctl.isActive.Store(true)
	_ = c3.conn.Close()
	_ = c2.conn.Close()
	_ = c1.conn.Close()
	seen := map[string]int{}
	for seen["host:9001"] < len(probeDelays) || seen["host:9002"] < 1 {
		select {
		case addr := <-probed:
			seen[addr]++
		case <-time.After(15 * time.Second):
			t.Fatalf("probed %v", seen)
		}
	}
	if len(h.ctl.lost) > 0 {
		t.Errorf("broker %d was reported", <-h.ctl.lost)
	}
	if seen["host:9002"] != 1 || seen["host:9003"]+seen["host:9004"] != 0 {
		t.Errorf("probed %v", seen)
	}
}

// A controller that becomes active looks for all brokers.
func TestBrokersUnknown(t *testing.T) {
	h := startController(t)
	var ids []int32
	for id := range int32(3 * maxProbes) {
		ids = append(ids, id)
	}
	h.register(ids...)
	h.mu.Lock()
	d := metadata.NewDelta(h.image)
	if err := d.Apply(&metadata.BrokerRegistrationChangeRecord{BrokerID: 7, BrokerEpoch: 70, Fenced: 1}); err != nil {
		t.Fatal(err)
	}
	h.image = d.Image(h.image.Offset()+1, 1)
	h.mu.Unlock()
	h.ctl.lost = make(chan int32, len(ids))
	do[*kmsg.BrokerHeartbeatResponse](h.dial(), heartbeatOf(5)) // has a connection already
	h.b.BrokersUnknown(h.image)
	h.ctl.mustLose(t, slices.DeleteFunc(ids, func(id int32) bool { return id == 5 || id == 7 })...)
}
