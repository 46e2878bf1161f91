package txn

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/internal/coordinator"
)

// brokers is a Cluster that keeps the requests it gets until a test answers them.
type brokers struct {
	t       *testing.T
	mu      sync.Mutex
	leaders map[TopicPartition]int32 // of those that exist
	asked   []*markersAsked
}

type markersAsked struct {
	broker int32
	req    *kmsg.WriteTxnMarkersRequest
	done   func(*kmsg.WriteTxnMarkersResponse, error)
}

func (b *brokers) Leader(p TopicPartition) (int32, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	leader, ok := b.leaders[p]
	return leader, ok
}

func (b *brokers) lead(leader int32, ps ...TopicPartition) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, p := range ps {
		b.leaders[p] = leader
	}
}

func (b *brokers) WriteMarkers(broker int32, req *kmsg.WriteTxnMarkersRequest, done func(*kmsg.WriteTxnMarkersResponse, error)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked = append(b.asked, &markersAsked{broker, req, done})
}

// take is what was asked since the last call, as text, sorted by broker.
func (b *brokers) take() (asked []*markersAsked, text string) {
	synctest.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	asked, b.asked = b.asked, nil
	slices.SortFunc(asked, func(x, y *markersAsked) int { return int(x.broker - y.broker) })
	var s strings.Builder
	for _, a := range asked {
		fmt.Fprintf(&s, "%d:", a.broker)
		for _, m := range a.req.Markers {
			what := "abort"
			if m.Committed {
				what = "commit"
			}
			fmt.Fprintf(&s, " %s %d/%d by %d(", what, m.ProducerID, m.ProducerEpoch, m.CoordinatorEpoch)
			for _, t := range m.Topics {
				fmt.Fprintf(&s, " %s%v", t.Topic, t.Partitions)
			}
			s.WriteString(" )")
		}
		s.WriteString("; ")
	}
	return asked, strings.TrimSuffix(s.String(), "; ")
}

// expect takes what was asked and compares it.
func (b *brokers) expect(want string) []*markersAsked {
	b.t.Helper()
	asked, got := b.take()
	if got != want {
		b.t.Fatalf("asked %q\nwant  %q", got, want)
	}
	return asked
}

// answer gives each partition the code that f says.
func (a *markersAsked) answer(f func(TopicPartition) *kerr.Error) {
	resp := a.req.ResponseKind().(*kmsg.WriteTxnMarkersResponse)
	for _, m := range a.req.Markers {
		rm := kmsg.WriteTxnMarkersResponseMarker{ProducerID: m.ProducerID}
		for _, t := range m.Topics {
			rt := kmsg.WriteTxnMarkersResponseMarkerTopic{Topic: t.Topic}
			for _, p := range t.Partitions {
				rp := kmsg.WriteTxnMarkersResponseMarkerTopicPartition{Partition: p}
				if err := f(TopicPartition{t.Topic, p}); err != nil {
					rp.ErrorCode = err.Code
				}
				rt.Partitions = append(rt.Partitions, rp)
			}
			rm.Topics = append(rm.Topics, rt)
		}
		resp.Markers = append(resp.Markers, rm)
	}
	a.done(resp, nil)
	synctest.Wait()
}

func allWritten(TopicPartition) *kerr.Error { return nil }

func with(err *kerr.Error) func(TopicPartition) *kerr.Error {
	return func(TopicPartition) *kerr.Error { return err }
}

type sending1 struct {
	*sender
	*brokers
	// Guarded by brokers.mu:
	written []string // transactional ids whose markers were told to be written
	errs    []error  // of the next times it is told
}

func send(t *testing.T, f func(s *sending1)) {
	synctest.Test(t, func(t *testing.T) {
		s := &sending1{brokers: &brokers{t: t, leaders: map[TopicPartition]int32{}}}
		s.sender = newSender(s.brokers, coordinator.SystemClock{}, slog.New(slog.DiscardHandler), func(_ int32, m *Markers, done func(error)) {
			s.brokers.mu.Lock()
			s.written = append(s.written, m.TransactionalID)
			var err error
			if len(s.errs) > 0 {
				err, s.errs = s.errs[0], s.errs[1:]
			}
			s.brokers.mu.Unlock()
			done(err)
		})
		defer s.sender.close()
		s.lead(1, TopicPartition{"t", 0}, TopicPartition{"t", 1})
		s.lead(2, TopicPartition{"t", 2}, TopicPartition{"u", 0})
		f(s)
	})
}

func (s *sending1) expectWritten(ids ...string) {
	s.t.Helper()
	synctest.Wait()
	s.brokers.mu.Lock()
	defer s.brokers.mu.Unlock()
	if !slices.Equal(s.written, ids) {
		s.t.Fatalf("written: %q, want %q", s.written, ids)
	}
	s.written = nil
}

// expectIdle checks that nothing is left to do.
func (s *sending1) expectIdle() {
	s.t.Helper()
	time.Sleep(time.Hour)
	s.expect("")
	s.expectWritten()
	s.sender.mu.Lock()
	defer s.sender.mu.Unlock()
	if len(s.pending) != 0 || len(s.later) != 0 {
		s.t.Fatalf("%d transactions and %d parcels are left", len(s.pending), len(s.later))
	}
}

func markersOf(id string, producer int64, epoch int16, commit bool, ps ...TopicPartition) *Markers {
	return &Markers{TransactionalID: id, Producer: Producer{producer, epoch}, Commit: commit, Partitions: ps}
}

var t0, t1, t2, u0 = TopicPartition{"t", 0}, TopicPartition{"t", 1}, TopicPartition{"t", 2}, TopicPartition{"u", 0}

func TestMarkersOfSeveralTransactionsGoTogether(t *testing.T) {
	send(t, func(s *sending1) {
		s.send(0, 5, markersOf("a", 10, 1, true, t0, t2))
		first := s.expect("1: commit 10/1 by 5( t[0] ); 2: commit 10/1 by 5( t[2] )")
		s.send(0, 5, markersOf("b", 20, 0, false, t0, t1))
		s.send(3, 7, markersOf("c", 30, 0, true, t0, u0))
		s.expect("") // one request at a time to each broker
		first[0].answer(allWritten)
		second := s.expect("1: abort 20/0 by 5( t[0 1] ) commit 30/0 by 7( t[0] )")
		s.expectWritten()
		first[1].answer(allWritten)
		s.expectWritten("a")
		third := s.expect("2: commit 30/0 by 7( u[0] )")
		second[0].answer(allWritten)
		third[0].answer(allWritten)
		s.expectWritten("b", "c")
		s.expectIdle()
	})
}

func TestMarkersAreTriedAgain(t *testing.T) {
	send(t, func(s *sending1) {
		s.send(0, 5, markersOf("a", 10, 1, true, t0, t1))
		s.expect("1: commit 10/1 by 5( t[0 1] )")[0].done(nil, errors.New("connection refused"))
		s.expect("")
		time.Sleep(minRetry)
		// One is written; the other one's leader has moved and knows it.
		s.expect("1: commit 10/1 by 5( t[0 1] )")[0].answer(func(p TopicPartition) *kerr.Error {
			if p == t1 {
				return kerr.NotLeaderForPartition
			}
			return nil
		})
		s.lead(-1, t1)
		time.Sleep(maxRetry)
		s.expect("")
		s.lead(2, t1)
		s.retryNow()
		s.expect("2: commit 10/1 by 5( t[1] )")[0].answer(with(kerr.UnknownTopicOrPartition)) // it has not heard of it yet
		time.Sleep(maxRetry)
		s.expect("2: commit 10/1 by 5( t[1] )")[0].answer(allWritten)
		s.expectWritten("a")
		s.expectIdle()
	})
}

// An answer that does not name a partition is no answer.
func TestMissingAnswerIsTriedAgain(t *testing.T) {
	send(t, func(s *sending1) {
		s.send(0, 5, markersOf("a", 10, 1, true, t0))
		s.expect("1: commit 10/1 by 5( t[0] )")[0].done(kmsg.NewPtrWriteTxnMarkersResponse(), nil)
		time.Sleep(maxRetry)
		s.expect("1: commit 10/1 by 5( t[0] )")[0].answer(allWritten)
		s.expectWritten("a")
		s.expectIdle()
	})
}

func TestMarkersForADeletedTopic(t *testing.T) {
	send(t, func(s *sending1) {
		gone := TopicPartition{"gone", 0}
		s.send(0, 5, markersOf("a", 10, 1, true, gone))
		s.expectWritten("a")
		// It is deleted while they are sent.
		s.send(0, 5, markersOf("b", 20, 0, true, t0, u0))
		asked := s.expect("1: commit 20/0 by 5( t[0] ); 2: commit 20/0 by 5( u[0] )")
		asked[0].answer(allWritten)
		asked[1].answer(with(kerr.UnknownTopicOrPartition))
		s.brokers.mu.Lock()
		delete(s.leaders, u0)
		s.brokers.mu.Unlock()
		s.expectWritten()
		s.retryNow()
		s.expectWritten("b")
		s.expectIdle()
	})
}

// In transactions version 1 a second marker that comes late could end the producer's next transaction.
func TestMarkerIsNotSentTwiceAtOnce(t *testing.T) {
	send(t, func(s *sending1) {
		s.send(0, 5, markersOf("a", 10, 1, true, t0))
		asked := s.expect("1: commit 10/1 by 5( t[0] )")
		s.send(0, 5, markersOf("a", 10, 1, true, t0)) // the coordinator has loaded again
		s.expect("")
		asked[0].answer(allWritten)
		s.expectWritten("a")
		s.expectIdle()
	})
}

// The news that markers are written gets lost, and the producer's next transaction, of the same epoch, ends meanwhile.
func TestNextTransactionLooksTheSame(t *testing.T) {
	send(t, func(s *sending1) {
		s.errs = []error{coordinator.ErrTimeout}
		s.send(0, 5, markersOf("a", 10, 1, true, t0))
		s.expect("1: commit 10/1 by 5( t[0] )")[0].answer(allWritten)
		s.expectWritten("a")
		s.send(0, 5, markersOf("a", 10, 1, false, t0))
		s.expect("1: abort 10/1 by 5( t[0] )")[0].answer(allWritten)
		s.expectWritten("a")
		s.expectIdle()
	})
}

func TestNewsIsToldUntilItIsHeard(t *testing.T) {
	send(t, func(s *sending1) {
		s.errs = []error{coordinator.ErrLoading, coordinator.ErrAppend}
		s.send(0, 5, markersOf("a", 10, 1, true, t0))
		s.expect("1: commit 10/1 by 5( t[0] )")[0].answer(allWritten)
		s.expectWritten("a")
		time.Sleep(maxRetry)
		s.expectWritten("a", "a")
		s.expectIdle()

		s.errs = []error{coordinator.ErrNotCoordinator}
		s.send(0, 5, markersOf("a", 10, 1, true, t0))
		s.expect("1: commit 10/1 by 5( t[0] )")[0].answer(allWritten)
		s.expectWritten("a")
		s.expectIdle()
	})
}

func TestRefusedMarkers(t *testing.T) {
	for _, c := range []struct {
		err  *kerr.Error
		over bool // the transaction is over in that partition
	}{
		{kerr.InvalidProducerEpoch, true}, {kerr.UnsupportedForMessageFormat, true}, {kerr.TransactionCoordinatorFenced, false},
	} {
		send(t, func(s *sending1) {
			s.send(0, 5, markersOf("a", 10, 1, true, t0, t2))
			asked := s.expect("1: commit 10/1 by 5( t[0] ); 2: commit 10/1 by 5( t[2] )")
			asked[0].answer(with(c.err))
			asked[1].answer(allWritten)
			if c.over {
				s.expectWritten("a")
			}
			s.expectIdle()
		})
	}
}

func TestResignedCoordinatorSendsNothing(t *testing.T) {
	send(t, func(s *sending1) {
		s.lead(-1, t2)
		s.send(0, 5, markersOf("a", 10, 1, true, t0, t2))
		s.send(1, 5, markersOf("b", 20, 1, true, t0))
		asked := s.expect("1: commit 10/1 by 5( t[0] )")
		s.drop(0, 5)
		s.lead(2, t2)
		s.retryNow()
		asked[0].answer(allWritten)
		s.expect("1: commit 20/1 by 5( t[0] )")[0].answer(allWritten)
		s.expectWritten("b")
		s.expectIdle()

		// Elected again in a later epoch, before the resignation of the earlier one is heard of.
		s.send(0, 7, markersOf("a", 10, 1, true, t0))
		s.drop(0, 5)
		s.expect("1: commit 10/1 by 7( t[0] )")[0].answer(allWritten)
		s.expectWritten("a")
		s.expectIdle()
	})
}

func TestManyMarkersGoInParts(t *testing.T) {
	send(t, func(s *sending1) {
		var ps []TopicPartition
		for i := range int32(markersAtOnce + 1) {
			ps = append(ps, TopicPartition{"many", i})
		}
		s.lead(1, ps...)
		s.send(0, 5, markersOf("a", 10, 1, true, ps...))
		asked, _ := s.take()
		if len(asked) != 1 || len(asked[0].req.Markers[0].Topics[0].Partitions) != markersAtOnce {
			t.Fatalf("%d requests", len(asked))
		}
		asked[0].answer(allWritten)
		s.expect(fmt.Sprintf("1: commit 10/1 by 5( many[%d] )", markersAtOnce))[0].answer(allWritten)
		s.expectWritten("a")
		s.expectIdle()
	})
}

func TestNoPartitionsAreWrittenAtOnce(t *testing.T) {
	send(t, func(s *sending1) {
		s.send(0, 5, markersOf("a", 10, 1, false))
		s.expectWritten("a")
		s.expectIdle()
	})
}
