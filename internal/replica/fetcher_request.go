package replica

import (
	"cmp"
	"container/heap"
	"slices"
	"time"

	"gregor/internal/metadata"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// maxFetchesOut is how many fetches of one session are out at once: a long poll, and one that tells what changed since.
const maxFetchesOut = 2

// next makes the next request to send, or nil: then something has to happen first, a response or the end of a pause.
func (m *fetcher) next(now time.Time) kmsg.Request {
	m.resume(now)
	if req := m.ask(); req != nil {
		return req
	}
	return m.fetch()
}

// resume ends the pauses that are over.
func (m *fetcher) resume(now time.Time) {
	for len(m.paused) > 0 && !m.paused[0].until.After(now) {
		d := heap.Pop(&m.paused).(*followed)
		m.locate(d, now)
	}
}

// ask makes a ListOffsets request about the partitions whose position the leader does not have: first for the end of its
// log, then, for those that do not lie beyond it, for the start. One request is out at a time.
func (m *fetcher) ask() kmsg.Request {
	if len(m.asking) == 0 {
		return nil
	}
	for i := range m.sent {
		if m.sent[i].asked != nil {
			return nil
		}
	}
	// Those that pause or are given up meanwhile are not asked for.
	m.asking = slices.DeleteFunc(m.asking, func(d *followed) bool {
		return m.parts[d.key] != d || d.state != fetchAskEnd && d.state != fetchAskStart
	})
	if len(m.asking) == 0 {
		return nil
	}
	state := m.asking[0].state
	start := state == fetchAskStart
	var ask []*followed
	m.asking = slices.DeleteFunc(m.asking, func(d *followed) bool {
		if d.state != state {
			return false
		}
		ask = append(ask, d)
		return true
	})
	req := kmsg.NewPtrListOffsetsRequest()
	req.ReplicaID = m.m.o.NodeID
	at := make(map[string]int)
	for _, d := range ask {
		i, ok := at[d.f.p.topic]
		if !ok {
			i = len(req.Topics)
			at[d.f.p.topic] = i
			t := kmsg.NewListOffsetsRequestTopic()
			t.Topic = d.f.p.topic
			req.Topics = append(req.Topics, t)
		}
		p := kmsg.NewListOffsetsRequestTopicPartition()
		p.Partition, p.CurrentLeaderEpoch, p.Timestamp = d.key.index, d.f.epoch, LatestTimestamp
		if start {
			p.Timestamp = EarliestLocalTimestamp
		}
		req.Topics[i].Partitions = append(req.Topics[i].Partitions, p)
	}
	m.sequence++
	m.sent = append(m.sent, sentRequest{sequence: m.sequence, asked: ask, start: start})
	return req
}

// fetch makes the next Fetch request.
func (m *fetcher) fetch() kmsg.Request {
	out := 0
	for i := range m.sent {
		if m.sent[i].asked == nil {
			out++
		}
	}
	m.changed = slices.DeleteFunc(m.changed, func(d *followed) bool {
		if d.state != fetchReady || m.parts[d.key] != d {
			d.queued = false
			return true
		}
		return false
	})
	switch {
	case out == 0:
	case out >= maxFetchesOut || m.session == 0 || len(m.changed)+len(m.forget) == 0:
		return nil
	}
	if m.session == 0 && len(m.changed) == 0 {
		return nil // without a session nothing to fetch is named nowhere
	}
	if m.session != 0 && len(m.changed) == 0 && m.idle() {
		return nil
	}
	c := m.m.fetching()
	req := kmsg.NewPtrFetchRequest()
	req.ReplicaID, req.ReplicaState.ID, req.ReplicaState.Epoch = m.m.o.NodeID, m.m.o.NodeID, m.m.brokerEpoch()
	req.MaxWaitMillis, req.MinBytes, req.MaxBytes = int32(c.Wait.Milliseconds()), c.MinBytes, c.MaxBytes
	req.SessionID, req.SessionEpoch = m.session, m.epoch
	m.sequence++
	at := make(map[metadata.UUID]int)
	for _, d := range m.changed {
		i, ok := at[d.key.topic]
		if !ok {
			i = len(req.Topics)
			at[d.key.topic] = i
			t := kmsg.NewFetchRequestTopic()
			t.Topic, t.TopicID = d.f.p.topic, d.key.topic
			req.Topics = append(req.Topics, t)
		}
		p := kmsg.NewFetchRequestTopicPartition()
		p.Partition, p.CurrentLeaderEpoch, p.FetchOffset, p.LastFetchedEpoch = d.key.index, d.f.epoch, d.offset, d.lastEpoch
		p.LogStartOffset, p.PartitionMaxBytes = d.start, c.PartitionMax
		req.Topics[i].Partitions = append(req.Topics[i].Partitions, p)
		d.queued, d.inSession, d.sequence = false, true, m.sequence
	}
	m.changed = m.changed[:0]
	m.forgetIn(req)
	m.sent = append(m.sent, sentRequest{sequence: m.sequence, full: m.session == 0, session: m.session})
	if m.session != 0 {
		m.epoch = nextFetchEpoch(m.epoch)
	}
	return req
}

// idle reports whether no partition is in the session: a request would end it.
func (m *fetcher) idle() bool {
	for _, d := range m.parts {
		if d.inSession {
			return false
		}
	}
	return true
}

// forgetIn names the partitions that leave the session and were not put into it again.
func (m *fetcher) forgetIn(req *kmsg.FetchRequest) {
	at := make(map[metadata.UUID]int)
	for _, d := range m.forget {
		if now := m.parts[d.key]; now != nil && now.inSession {
			continue // named above, in a newer leader epoch or after a pause
		}
		i, ok := at[d.key.topic]
		if !ok {
			i = len(req.ForgottenTopics)
			at[d.key.topic] = i
			t := kmsg.NewFetchRequestForgottenTopic()
			t.Topic, t.TopicID = d.f.p.topic, d.key.topic
			req.ForgottenTopics = append(req.ForgottenTopics, t)
		}
		req.ForgottenTopics[i].Partitions = append(req.ForgottenTopics[i].Partitions, d.key.index)
	}
	m.forget = m.forget[:0]
}

func nextFetchEpoch(e int32) int32 {
	if e == 1<<31-1 {
		return 1
	}
	return e + 1
}

// pauseHeap has the pause that ends first at its front.
type pauseHeap []*followed

func (h pauseHeap) Len() int           { return len(h) }
func (h pauseHeap) Less(i, j int) bool { return h[i].until.Before(h[j].until) }
func (h pauseHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i]; h[i].at, h[j].at = i, j }
func (h *pauseHeap) Push(x any)        { d := x.(*followed); d.at = len(*h); *h = append(*h, d) }
func (h *pauseHeap) Pop() any {
	old := *h
	d := old[len(old)-1]
	*h = old[:len(old)-1]
	d.at = -1
	return d
}

func sortFollowed(list []*followed) {
	slices.SortFunc(list, func(a, b *followed) int {
		return cmp.Or(cmp.Compare(a.f.p.topic, b.f.p.topic), cmp.Compare(a.key.index, b.key.index))
	})
}
