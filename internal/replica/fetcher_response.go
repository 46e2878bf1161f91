package replica

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"gregor/internal/metadata"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// errProtocol: the response is not one to the request. The connection is of no use any more.
var errProtocol = errors.New("unexpected response")

// received takes the response to the oldest request that has none. An error means that the connection has to end.
func (m *fetcher) received(resp kmsg.Response, now time.Time) error {
	if len(m.sent) == 0 {
		return fmt.Errorf("%w: nothing was asked", errProtocol)
	}
	s := m.sent[0]
	m.sent = slices.Delete(m.sent, 0, 1)
	switch r := resp.(type) {
	case *kmsg.FetchResponse:
		if s.asked == nil {
			return m.fetched(&s, r, now)
		}
	case *kmsg.ListOffsetsResponse:
		if s.asked != nil {
			m.answered(&s, r, now)
			return nil
		}
	}
	return fmt.Errorf("%w: %T", errProtocol, resp)
}

func (m *fetcher) fetched(s *sentRequest, r *kmsg.FetchResponse, now time.Time) error {
	if !s.full && s.session != m.session {
		return nil // of a session that was given up
	}
	switch err := kerr.ErrorForCode(r.ErrorCode); err {
	case nil:
	case kerr.FetchSessionIDNotFound, kerr.InvalidFetchSessionEpoch, kerr.FetchSessionTopicIDError:
		// The leader has forgotten the session, or one of us has restarted. No partition is at fault.
		m.restart()
		return nil
	default:
		return fmt.Errorf("broker %d refuses to be fetched from: %w", m.broker, err)
	}
	if s.full {
		m.began(r.SessionID)
	}
	written := m.writeTogether(s, r)
	m.each(s, r, func(d *followed, p *kmsg.FetchResponseTopicPartition) {
		if err, ok := written[d]; ok {
			delete(written, d) // named twice: the second time it is old
			m.appended(d, p, err, now)
			return
		}
		m.fetchedPartition(d, p, now)
	})
	if s.full && m.session == 0 {
		m.restart() // the leader has no room for a session: everything is named each time
	}
	return nil
}

// each calls do with the partitions of a response that answer the position we have. What answers an older one than what we
// are about to tell is old.
func (m *fetcher) each(s *sentRequest, r *kmsg.FetchResponse, do func(*followed, *kmsg.FetchResponseTopicPartition)) {
	for i := range r.Topics {
		t := &r.Topics[i]
		id := metadata.UUID(t.TopicID)
		if id.IsZero() {
			id = m.byName[t.Topic]
		}
		for j := range t.Partitions {
			d := m.parts[partitionKey{id, t.Partitions[j].Partition}]
			if d != nil && d.state == fetchReady && !d.queued && d.sequence <= s.sequence {
				do(d, &t.Partitions[j])
			}
		}
	}
}

// writesAtOnce is how many logs are written at the same time if each write waits for the disk.
const writesAtOnce = 16

// writeTogether appends the records of all partitions that are flushed with each append (flush.messages), side by side:
// one after the other, each would wait for its own fsync. It returns how it went; the others are written in their turn.
func (m *fetcher) writeTogether(s *sentRequest, r *kmsg.FetchResponse) map[*followed]error {
	if m.m.o.Inline {
		return nil
	}
	var all map[*followed]*kmsg.FetchResponseTopicPartition
	m.each(s, r, func(d *followed, p *kmsg.FetchResponseTopicPartition) {
		c := d.f.p.config.Load()
		if p.ErrorCode != 0 || p.DivergingEpoch.Epoch >= 0 || len(p.RecordBatches) == 0 || c.Log == nil || c.Log.FlushMessages == math.MaxInt64 {
			return
		}
		if all == nil {
			all = make(map[*followed]*kmsg.FetchResponseTopicPartition)
		}
		all[d] = p
	})
	if len(all) < 2 {
		return nil
	}
	written := make(map[*followed]error, len(all))
	var mu sync.Mutex
	var wg sync.WaitGroup
	room := make(chan struct{}, writesAtOnce)
	for d, p := range all {
		room <- struct{}{}
		wg.Go(func() {
			err := d.f.appendFetched(p.RecordBatches, p.HighWatermark, p.LogStartOffset)
			mu.Lock()
			written[d] = err
			mu.Unlock()
			<-room
		})
	}
	wg.Wait()
	return written
}

// began notes the session that a full request began. What was named later, or left meanwhile, is told in the next
// request.
func (m *fetcher) began(session int32) {
	m.session = session
	m.epoch = initialFetchEpoch
	if session != 0 {
		m.epoch = 1
	}
}

func (m *fetcher) fetchedPartition(d *followed, p *kmsg.FetchResponseTopicPartition, now time.Time) {
	err := kerr.ErrorForCode(p.ErrorCode)
	switch {
	case err == kerr.OffsetOutOfRange:
		m.leave(d)
		d.state = fetchAskEnd
		m.asking = append(m.asking, d)
	case err != nil:
		m.fail(d, err, now)
	case p.DivergingEpoch.EndOffset >= 0 && p.DivergingEpoch.Epoch >= 0:
		if err := d.f.diverged(EpochEnd{p.DivergingEpoch.Epoch, p.DivergingEpoch.EndOffset}); err != nil {
			m.fail(d, err, now)
			return
		}
		offset, lastEpoch := d.offset, d.lastEpoch
		m.locate(d, now)
		if d.state == fetchReady && d.offset == offset && d.lastEpoch == lastEpoch {
			m.fail(d, fmt.Errorf("%w: the leader's log ends epoch %d at offset %d, which changes nothing here", errProtocol, p.DivergingEpoch.Epoch, p.DivergingEpoch.EndOffset), now)
		}
	default:
		m.appended(d, p, d.f.appendFetched(p.RecordBatches, p.HighWatermark, p.LogStartOffset), now)
	}
}

// appended goes on after the records of a partition were written, or were not.
func (m *fetcher) appended(d *followed, p *kmsg.FetchResponseTopicPartition, err error, now time.Time) {
	if err != nil {
		m.fail(d, err, now)
		return
	}
	d.failures = 0
	d.leaderHW = p.HighWatermark
	d.f.got(len(p.RecordBatches))
	if len(p.RecordBatches) > 0 || p.LogStartOffset > d.start {
		m.locate(d, now)
	}
}

// answered takes the leader's log ends or starts.
func (m *fetcher) answered(s *sentRequest, r *kmsg.ListOffsetsResponse, now time.Time) {
	want := fetchAskEnd
	if s.start {
		want = fetchAskStart
	}
	open := make(map[partitionKey]*followed, len(s.asked))
	for _, d := range s.asked {
		if m.parts[d.key] == d && d.state == want {
			open[d.key] = d
		}
	}
	for i := range r.Topics {
		id := m.byName[r.Topics[i].Topic]
		for j := range r.Topics[i].Partitions {
			p := &r.Topics[i].Partitions[j]
			d := open[partitionKey{id, p.Partition}]
			if d == nil {
				continue
			}
			delete(open, d.key)
			if err := m.answeredPartition(d, p, s.start, now); err != nil {
				m.fail(d, err, now)
			}
		}
	}
	for _, d := range s.asked {
		if open[d.key] == d {
			m.fail(d, fmt.Errorf("%w: no offset was told", errProtocol), now)
		}
	}
}

func (m *fetcher) answeredPartition(d *followed, p *kmsg.ListOffsetsResponseTopicPartition, start bool, now time.Time) error {
	if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
		return err
	}
	if p.Offset < 0 {
		return fmt.Errorf("%w: offset %d", errProtocol, p.Offset)
	}
	if start {
		if err := d.f.below(p.Offset); err != nil {
			return err
		}
		m.locate(d, now)
		return nil
	}
	cut, err := d.f.beyond(p.Offset)
	switch {
	case err != nil:
		return err
	case cut:
		m.locate(d, now)
	default:
		d.state = fetchAskStart
		m.asking = append(m.asking, d)
	}
	return nil
}
