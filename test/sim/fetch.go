package sim

import (
	"cmp"
	"errors"
	"slices"
	"time"

	"gregor/internal/log"
	"gregor/internal/metadata"
	"gregor/internal/replica"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// fetchServer answers the fetches of followers, with fetch sessions and long polls, as package broker does for a
// connection. What it hands out and takes in goes through replica.Partition.Read.
type fetchServer struct {
	p        *process
	sessions map[int32]*fetchSession
	nextID   int32
	polls    []*longPoll // woken in this step
	numbered int
}

type fetchSession struct {
	epoch int32
	parts []*sessionPart // in the order in which they were named
}

type sessionPart struct {
	key           partitionKey
	ask           kmsg.FetchRequestTopicPartition
	told          bool
	highWatermark int64
	start         int64
}

func (s *fetchSession) find(key partitionKey) *sessionPart {
	for _, p := range s.parts {
		if p.key == key {
			return p
		}
	}
	return nil
}

// begin finds the parts that a request is about.
func (s *fetchServer) begin(req *kmsg.FetchRequest) (session *fetchSession, create bool, err *kerr.Error) {
	if req.SessionEpoch <= 0 {
		delete(s.sessions, req.SessionID)
		session, create = &fetchSession{epoch: 1}, req.SessionEpoch == 0
	} else {
		switch session = s.sessions[req.SessionID]; {
		case session == nil:
			return nil, false, kerr.FetchSessionIDNotFound
		case session.epoch != req.SessionEpoch:
			return nil, false, kerr.InvalidFetchSessionEpoch
		}
		session.epoch++
	}
	for _, t := range req.Topics {
		for _, in := range t.Partitions {
			key := partitionKey{metadata.UUID(t.TopicID), in.Partition}
			part := session.find(key)
			if part == nil {
				part = &sessionPart{key: key}
				session.parts = append(session.parts, part)
			}
			part.ask = in
		}
	}
	for _, t := range req.ForgottenTopics {
		for _, i := range t.Partitions {
			key := partitionKey{metadata.UUID(t.TopicID), i}
			session.parts = slices.DeleteFunc(session.parts, func(p *sessionPart) bool { return p.key == key })
		}
	}
	return session, create, nil
}

// serve answers a request now, or when the long poll that it returns is over.
func (s *fetchServer) serve(req kmsg.Request, reply func(kmsg.Response)) *longPoll {
	if fetch, ok := req.(*kmsg.FetchRequest); ok {
		return s.fetch(fetch, reply)
	}
	reply(s.p.repl.Serve(req))
	return nil
}

func (s *fetchServer) fetch(req *kmsg.FetchRequest, reply func(kmsg.Response)) *longPoll {
	resp := kmsg.NewPtrFetchResponse()
	resp.SetVersion(req.Version)
	session, create, kafkaErr := s.begin(req)
	if kafkaErr != nil {
		resp.ErrorCode = kafkaErr.Code
		reply(resp)
		return nil
	}
	out, ready := s.read(req, session, false)
	answer := func(out []kmsg.FetchResponseTopicPartition) {
		resp.SessionID = req.SessionID
		full := req.SessionEpoch <= 0
		if create && !s.p.n.c.w.chance(0.1) { // else there is no room for a session
			s.nextID++
			resp.SessionID = s.nextID
			s.sessions[s.nextID] = session
		} else if full {
			resp.SessionID = 0
		}
		for i := range out {
			session.tell(&out[i], session.parts, i, full, resp)
		}
		reply(resp)
	}
	if ready || req.MaxWaitMillis <= 0 {
		answer(out)
		return nil
	}
	s.numbered++
	poll := &longPoll{s: s, number: s.numbered}
	poll.end = func() {
		out, _ := s.read(req, session, true)
		answer(out)
	}
	poll.start(session, time.Duration(req.MaxWaitMillis)*time.Millisecond)
	return poll
}

// tell adds a partition to a response if it is news.
func (f *fetchSession) tell(out *kmsg.FetchResponseTopicPartition, parts []*sessionPart, i int, full bool, resp *kmsg.FetchResponse) {
	if i >= len(parts) || parts[i].key.index != out.Partition {
		return // the session has changed since; what is told later is told by later requests
	}
	part := parts[i]
	news := full || !part.told || len(out.RecordBatches) > 0 || out.ErrorCode != 0 || out.DivergingEpoch.Epoch >= 0 ||
		part.highWatermark != out.HighWatermark || part.start != out.LogStartOffset
	part.told, part.highWatermark, part.start = true, out.HighWatermark, out.LogStartOffset
	if !news {
		return
	}
	n := len(resp.Topics)
	if n == 0 || resp.Topics[n-1].TopicID != [16]byte(part.key.topic) {
		t := kmsg.NewFetchResponseTopic()
		t.TopicID = part.key.topic
		resp.Topics = append(resp.Topics, t)
		n++
	}
	resp.Topics[n-1].Partitions = append(resp.Topics[n-1].Partitions, *out)
}

func (s *fetchServer) read(req *kmsg.FetchRequest, session *fetchSession, again bool) (list []kmsg.FetchResponseTopicPartition, ready bool) {
	for _, part := range session.parts {
		out := kmsg.NewFetchResponseTopicPartition()
		out.Partition, out.HighWatermark, out.LogStartOffset = part.key.index, -1, -1
		if err := s.readOne(req, part, again, &out); err != nil {
			out.ErrorCode = codeOf(err)
			ready = true
			if out.ErrorCode == kerr.UnknownServerError.Code {
				s.p.n.c.w.failf("node %d: fetch: %v", s.p.n.id, err)
			}
		}
		ready = ready || len(out.RecordBatches) > 0 || out.DivergingEpoch.Epoch >= 0
		list = append(list, out)
	}
	return list, ready || len(list) == 0
}

func (s *fetchServer) readOne(req *kmsg.FetchRequest, part *sessionPart, again bool, out *kmsg.FetchResponseTopicPartition) error {
	p, err := s.p.repl.PartitionByID(part.key.topic, part.key.index)
	if err != nil {
		return err
	}
	res, err := p.Read(replica.ReadOptions{
		Offset: part.ask.FetchOffset, MaxBytes: int(part.ask.PartitionMaxBytes), AtLeastOne: true,
		LeaderEpoch: part.ask.CurrentLeaderEpoch, LastFetchedEpoch: part.ask.LastFetchedEpoch,
		Replica: &replica.ReplicaRead{ID: req.ReplicaState.ID, BrokerEpoch: req.ReplicaState.Epoch, LogStartOffset: part.ask.LogStartOffset, Again: again},
	})
	if err != nil {
		return err
	}
	out.HighWatermark, out.LastStableOffset, out.LogStartOffset = res.HighWatermark, res.LastStableOffset, res.LogStartOffset
	if d := res.Diverging; d != nil {
		out.DivergingEpoch.Epoch, out.DivergingEpoch.EndOffset = d.Epoch, d.EndOffset
		return nil
	}
	defer res.Slice.Close()
	out.RecordBatches, err = res.Slice.Bytes()
	return err
}

// longPoll waits for something to read.
type longPoll struct {
	s      *fetchServer
	number int
	parts  []*replica.Partition
	woken  bool
	ended  bool
	end    func()
}

func (l *longPoll) start(session *fetchSession, wait time.Duration) {
	for _, part := range session.parts {
		if p, err := l.s.p.repl.PartitionByID(part.key.topic, part.key.index); err == nil {
			l.parts = append(l.parts, p)
			p.AddFollower(l)
		}
	}
	l.s.p.after(wait, "long poll over", l.finish)
}

// Wake implements replica.Waiter.
func (l *longPoll) Wake(*replica.Partition) {
	if !l.woken {
		l.woken = true
		l.s.polls = append(l.s.polls, l)
	}
}

func (l *longPoll) finish() {
	if l.ended {
		return
	}
	l.ended = true
	for _, p := range l.parts {
		p.RemoveFollower(l)
	}
	l.end()
}

// wakeUp ends the long polls that were woken in the last step, in the order in which they came.
func (s *fetchServer) wakeUp() {
	polls := s.polls
	s.polls = nil
	slices.SortFunc(polls, func(a, b *longPoll) int { return cmp.Compare(a.number, b.number) })
	for _, l := range polls {
		s.p.after(0, "long poll woken", l.finish)
	}
}

// codeOf maps an error as package broker does.
func codeOf(err error) int16 {
	for _, e := range []struct {
		err   error
		kafka *kerr.Error
	}{
		{replica.ErrUnknownPartition, kerr.UnknownTopicOrPartition},
		{replica.ErrUnknownTopicID, kerr.UnknownTopicID},
		{replica.ErrNotLeader, kerr.NotLeaderForPartition},
		{replica.ErrFencedEpoch, kerr.FencedLeaderEpoch},
		{replica.ErrUnknownEpoch, kerr.UnknownLeaderEpoch},
		{replica.ErrStorage, kerr.KafkaStorageError},
		{log.ErrDirOffline, kerr.KafkaStorageError},
		{replica.ErrOffsetNotAvailable, kerr.OffsetNotAvailable},
		{log.ErrOffsetOutOfRange, kerr.OffsetOutOfRange},
		{log.ErrClosed, kerr.NotLeaderForPartition},
	} {
		if errors.Is(err, e.err) {
			return e.kafka.Code
		}
	}
	return kerr.UnknownServerError.Code
}
