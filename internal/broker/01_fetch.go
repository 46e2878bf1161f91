package broker

import (
	"context"
	"strings"
	"time"

	"gregor/internal/log"
	"gregor/internal/replica"
	"gregor/internal/wire"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Fetch: versions 4-18 (KIP-98 isolation, KIP-227 sessions from 7, KIP-320 leader epochs from 9, KIP-392 preferred
// replica from 11, KIP-595 diverging epochs from 12, KIP-516 topic ids from 13, KIP-951 leaders from 16).
//
// The records of a response are ranges of segment files; they are never read into memory. KIP-74: the limits of bytes
// yield to the first batch of the first partition that has any, so that a consumer always gets on.
//
// A follower's fetch reads to the log's end and tells the leader where the follower is (KIP-903: with its broker epoch).
func (b *Broker) fetch(_ context.Context, r *Request) {
	req := r.Body.(*kmsg.FetchRequest)
	f := &fetching{
		b: b, r: r, version: req.Version,
		maxBytes:  int(min(max(req.MaxBytes, 0), b.fetchMaxBytes.Load())),
		committed: req.IsolationLevel == 1,
	}
	f.minBytes = min(int64(req.MinBytes), int64(f.maxBytes))
	f.follower = followerOf(req)
	if f.follower == nil && req.Version >= 11 {
		f.one.client = replica.ClientRead{Rack: cloneString(req.Rack), Listener: r.Conn.Listener()}
		f.client = &f.one.client
	}
	var sessionError *kerr.Error
	if f.session, f.create, sessionError = b.sessions.begin(req); sessionError != nil {
		r.replyFetch(&wire.FetchResponse{Version: req.Version, ErrorCode: sessionError.Code})
		return
	}
	if f.session != nil && f.follower != nil && f.session.follower != nil {
		f.followerFetch(time.Duration(max(req.MaxWaitMillis, 0)) * time.Millisecond)
		return
	}
	f.gather(req)
	out, ready := f.read()
	// A follower that begins a session is answered at once: it goes on within the session, where a change of what it
	// follows ends a long poll.
	if ready || req.MaxWaitMillis <= 0 || f.create && f.follower != nil {
		f.reply(out)
		return
	}
	closeRecords(out)
	f.wait(time.Duration(req.MaxWaitMillis) * time.Millisecond)
}

// fetching is one Fetch request. It holds nothing of the request's buffer.
type fetching struct {
	b         *Broker
	r         *Request
	version   int16
	maxBytes  int
	minBytes  int64
	committed bool
	follower  *replica.ReplicaRead // who fetches, if it is not a client
	client    *replica.ClientRead  // the client, if it may be sent to the nearest replica

	session *fetchSession // nil: outside of a session, or about to begin one
	create  bool
	turn    int // among the requests of a follower's session
	parts   []fetchPart

	one single
}

// single is the memory of a fetch of one partition, which most are that wait for the next record.
type single struct {
	part   [1]fetchPart
	out    [1]wire.FetchPartition
	topic  [1]wire.FetchTopic
	client replica.ClientRead
}

// followerOf tells the follower that fetches; nil for a client.
func followerOf(req *kmsg.FetchRequest) *replica.ReplicaRead {
	id, epoch := req.ReplicaID, int64(-1)
	if req.Version >= 15 {
		id, epoch = req.ReplicaState.ID, req.ReplicaState.Epoch
	}
	if id < 0 {
		return nil
	}
	return &replica.ReplicaRead{ID: id, BrokerEpoch: epoch}
}

// again notes that the partitions are read once more: followers' positions were told the first time.
func (f *fetching) again() {
	for i := range f.parts {
		if r := f.parts[i].opts.Replica; r != nil {
			r.Again = true
		}
	}
}

// fetchPart is one partition that a request asks for.
type fetchPart struct {
	key      partitionKey
	replica  *replica.Partition
	err      error // known before reading
	opts     replica.ReadOptions
	inMemory *sessionPartition // of the session
	asks     int               // of inMemory, for a follower's
	slice    log.Slice         // what was read
}

// gather resolves the partitions of the request, or of the whole session it belongs to.
func (f *fetching) gather(req *kmsg.FetchRequest) {
	if f.session == nil {
		n := 0
		for i := range req.Topics {
			n += len(req.Topics[i].Partitions)
		}
		if n == 1 {
			f.parts = f.one.part[:0]
			eachFetchPartition(req, func(k partitionKey, in *kmsg.FetchRequestTopicPartition) { f.add(k, askOf(in), nil) })
			return
		}
		// Of a partition that is named twice the last word counts, as in Kafka, so that a request that waits holds no more
		// than there are partitions.
		f.parts = make([]fetchPart, 0, min(n, 1024))
		seen := make(map[partitionKey]int, min(n, 1024))
		eachFetchPartition(req, func(k partitionKey, in *kmsg.FetchRequestTopicPartition) {
			at, twice := seen[k]
			if !twice {
				at = len(f.parts)
				seen[k] = at
			}
			f.add(k, askOf(in), nil)
			f.parts[at] = f.parts[len(f.parts)-1]
			f.parts = f.parts[:len(seen)]
		})
		return
	}
	f.session.mu.Lock()
	defer f.session.mu.Unlock()
	f.parts = make([]fetchPart, 0, len(f.session.parts))
	for p := f.session.order.next; p != &f.session.order; p = p.next {
		f.add(p.key, p.fetchAsk, p)
	}
}

func (f *fetching) add(k partitionKey, ask fetchAsk, sp *sessionPartition) {
	part := fetchPart{key: k, inMemory: sp, opts: replica.ReadOptions{
		Offset: ask.offset, MaxBytes: int(max(ask.maxBytes, 0)), LeaderEpoch: ask.leaderEpoch, LastFetchedEpoch: ask.lastFetchedEpoch, Committed: f.committed, Client: f.client,
	}}
	if f.follower != nil {
		part.opts.Replica = &replica.ReplicaRead{ID: f.follower.ID, BrokerEpoch: f.follower.BrokerEpoch, LogStartOffset: ask.logStart}
	}
	part.replica, part.err = f.b.partition(f.version >= 13, k.topic, k.id, k.partition)
	switch {
	case part.replica != nil && f.version < 13:
		part.key.topic = part.replica.Topic() // not the request's memory
	case sp == nil:
		part.key.topic = cloneString(k.topic)
	}
	if part.err == nil && f.version < 10 && part.replica.Config().Log.CompressionType == "zstd" {
		part.err = kerr.UnsupportedCompressionType
	}
	f.parts = append(f.parts, part)
}

// read reads every partition within the limits. ready means that the response must not wait for more.
func (f *fetching) read() (out []wire.FetchPartition, ready bool) {
	if len(f.parts) == 1 {
		out = f.one.out[:]
	} else {
		out = make([]wire.FetchPartition, len(f.parts))
	}
	left, first, got := f.maxBytes, true, int64(0)
	for i := range f.parts {
		in := &f.parts[i]
		out[i] = emptyPartition(in.key.partition)
		if in.err != nil {
			f.fail(in, &out[i], in.err)
			ready = true
			continue
		}
		o := in.opts
		o.MaxBytes, o.AtLeastOne = min(o.MaxBytes, left), first
		res, err := in.replica.Read(o)
		if err != nil {
			f.fail(in, &out[i], err)
			ready = true
			continue
		}
		f.fill(in, &out[i], &res)
		ready = ready || res.Diverging != nil || res.Preferred != nil
		if n := res.Slice.Len(); n > 0 {
			first = false
			left = max(left-n, 0)
			got += int64(n)
		}
	}
	nothing := len(f.parts) == 0 && (f.session == nil || f.session.follower == nil)
	return out, ready || got >= f.minBytes || nothing
}

func (f *fetching) fill(in *fetchPart, out *wire.FetchPartition, res *replica.ReadResult) {
	out.HighWatermark, out.LastStableOffset, out.LogStartOffset = res.HighWatermark, res.LastStableOffset, res.LogStartOffset
	if d := res.Diverging; d != nil {
		out.Diverging = &wire.EpochEnd{Epoch: d.Epoch, EndOffset: d.EndOffset}
		return
	}
	if res.Preferred != nil {
		out.PreferredReadReplica = *res.Preferred
		return
	}
	if f.committed {
		out.Aborted = abortedTransactions(res.Aborted)
	}
	if res.Slice.Len() > 0 {
		in.slice = res.Slice
		out.Records = &in.slice
	}
}

func abortedTransactions(txns []log.AbortedTxn) []wire.AbortedTransaction {
	out := make([]wire.AbortedTransaction, len(txns))
	for i, t := range txns {
		out[i] = wire.AbortedTransaction{ProducerID: t.ProducerID, FirstOffset: t.FirstOffset}
	}
	return out
}

func emptyPartition(index int32) wire.FetchPartition {
	return wire.FetchPartition{Partition: index, HighWatermark: -1, LastStableOffset: -1, LogStartOffset: -1, PreferredReadReplica: -1}
}

func (f *fetching) fail(in *fetchPart, out *wire.FetchPartition, err error) {
	out.ErrorCode = errorCode(err)
	switch out.ErrorCode {
	case kerr.UnknownServerError.Code:
		f.b.log.Error("request failed", "request", "Fetch", "topic", in.key.topic, "partition", in.key.partition, "error", err.Error())
	case kerr.KafkaStorageError.Code:
		// Clients of version 5 and before do not know this error and would not look for another leader.
		if f.version <= 5 {
			out.ErrorCode = kerr.NotLeaderForPartition.Code
		}
	}
}

// reply answers, through the session if there is one: it leaves out what is not news.
func (f *fetching) reply(out []wire.FetchPartition) {
	resp := &wire.FetchResponse{Version: f.version}
	switch {
	case f.session != nil:
		resp.SessionID = f.session.id
		f.session.mu.Lock()
		resp.Topics = f.group(out, func(i int) bool {
			p := f.parts[i].inMemory
			if f.parts[i].asks != p.asks { // the follower takes no answer to what it has asked before
				closeRecords(out[i : i+1])
				return false
			}
			tell := p.news(&out[i])
			p.given = out[i].Records != nil || out[i].Diverging != nil
			if out[i].Records != nil && f.session.parts[p.key] == p {
				f.session.unlink(p)
				f.session.pushBack(p)
			}
			return tell
		})
		f.session.mu.Unlock()
	default:
		resp.Topics = f.group(out, func(int) bool { return true })
		if f.create {
			var follower *Broker
			if f.follower != nil {
				follower = f.b
			}
			resp.SessionID = f.b.sessions.create(f.version >= 13, f.remember(out), follower)
		}
	}
	if f.version >= 16 {
		f.addLeaders(resp)
	}
	f.r.replyFetch(resp)
}

// remember makes the partitions of a new session.
func (f *fetching) remember(out []wire.FetchPartition) []*sessionPartition {
	parts := make([]*sessionPartition, 0, len(out))
	seen := make(map[partitionKey]struct{}, len(out))
	for i := range f.parts {
		in := &f.parts[i]
		if _, twice := seen[in.key]; twice {
			continue
		}
		seen[in.key] = struct{}{}
		p := &sessionPartition{
			key: in.key, fetchAsk: fetchAsk{
				offset: in.opts.Offset, maxBytes: int32(in.opts.MaxBytes),
				leaderEpoch: in.opts.LeaderEpoch, lastFetchedEpoch: in.opts.LastFetchedEpoch, logStart: -1,
			},
		}
		if in.opts.Replica != nil {
			p.logStart = in.opts.Replica.LogStartOffset
		}
		p.news(&out[i])
		parts = append(parts, p)
	}
	return parts
}

// group puts the answers that tell something under their topics, in the order of the partitions.
func (f *fetching) group(out []wire.FetchPartition, tell func(i int) bool) []wire.FetchTopic {
	topics := f.one.topic[:0]
	start := 0
	for i := range out {
		if !tell(i) {
			continue
		}
		k := f.parts[i].key
		if n := len(topics); n == 0 || topics[n-1].Topic != k.topic || topics[n-1].TopicID != k.id {
			topics = append(topics, wire.FetchTopic{Topic: k.topic, TopicID: k.id})
			start = i
		}
		t := &topics[len(topics)-1]
		if t.Partitions == nil {
			t.Partitions = out[start : start : start+countSame(f.parts[start:])]
		}
		t.Partitions = append(t.Partitions, out[i])
	}
	return topics
}

// countSame is how many parts at the front have the same topic.
func countSame(parts []fetchPart) int {
	n := 1
	for n < len(parts) && parts[n].key.topic == parts[0].key.topic && parts[n].key.id == parts[0].key.id {
		n++
	}
	return n
}

// addLeaders names the current leader beside the errors that send a client there (KIP-951).
func (f *fetching) addLeaders(resp *wire.FetchResponse) {
	l := leaders{b: f.b, listener: f.r.Conn.Listener()}
	for i := range resp.Topics {
		t := &resp.Topics[i]
		for j := range t.Partitions {
			p := &t.Partitions[j]
			if p.ErrorCode == kerr.NotLeaderForPartition.Code || p.ErrorCode == kerr.FencedLeaderEpoch.Code {
				if id, epoch := l.of(t.Topic, t.TopicID, p.Partition); id >= 0 || epoch >= 0 {
					p.CurrentLeader = &wire.LeaderAndEpoch{ID: id, Epoch: epoch}
				}
			}
		}
	}
	for _, n := range l.nodes {
		resp.NodeEndpoint = append(resp.NodeEndpoint, wire.FetchNode{ID: n.id, Host: n.host, Port: n.port, Rack: n.rack})
	}
}

func closeRecords(out []wire.FetchPartition) {
	for i := range out {
		if out[i].Records != nil {
			out[i].Records.Close()
			out[i].Records = nil
		}
	}
}

func cloneString(s string) string { return strings.Clone(s) }
