package replica

import (
	"errors"
	"fmt"
	"slices"
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
	case kerr.FetchSessionIDNotFound, kerr.InvalidFetchSessionEpoch, kerr.FetchSessionTopicIDError, kerr.UnknownTopicID, kerr.InconsistentTopicID:
		// The leader has forgotten the session, or one of us has restarted. No partition is at fault.
		m.restart()
		return nil
	default:
		return fmt.Errorf("broker %d refuses to be fetched from: %w", m.broker, err)
	}
	if s.full {
		m.began(r.SessionID)
	}
	for i := range r.Topics {
		t := &r.Topics[i]
		id := metadata.UUID(t.TopicID)
		if id.IsZero() {
			id = m.byName[t.Topic]
		}
		for j := range t.Partitions {
			d := m.parts[partitionKey{id, t.Partitions[j].Partition}]
			// What answers an older position than the one that we are about to tell is old.
			if d == nil || d.state != fetchReady || d.queued || d.sequence > s.sequence {
				continue
			}
			m.fetchedPartition(d, &t.Partitions[j], now)
		}
	}
	if s.full && m.session == 0 {
		m.restart() // the leader has no room for a session: everything is named each time
	}
	return nil
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
		if err := d.f.appendFetched(p.RecordBatches, p.HighWatermark, p.LogStartOffset); err != nil {
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
