package coordinator

import (
	"slices"
	"testing"
	"testing/synctest"

	"gregor/internal/record"
)

func (b *bench) mark(m Marker) *asked {
	a := &asked{}
	b.r.Mark(0, m, func(err error) {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.got, a.err = true, err
	})
	synctest.Wait()
	return a
}

func TestTransactionsHaveBatchesOfTheirOwn(t *testing.T) {
	in(t, func(b *bench) {
		l := &memoryLog{}
		b.lead(1, l)
		b.want(b.ask(ask{add: 1}), 1, nil)
		b.want(b.ask(ask{add: 10, txn: 7, guard: 1}), 10, nil)
		b.want(b.ask(ask{add: 2}), 3, nil)
		if len(l.batches) != 3 {
			t.Fatalf("%d batches", len(l.batches))
		}
		txn := record.Batch(l.batches[1])
		if !txn.IsTransactional() || txn.IsControl() || txn.ProducerID() != 7 || txn.ProducerEpoch() != 3 {
			t.Errorf("batch of producer %d, epoch %d", txn.ProducerID(), txn.ProducerEpoch())
		}
		b.want(b.mark(Marker{ProducerID: 7, ProducerEpoch: 3, Commit: true, CoordinatorEpoch: 12}), 0, nil)
		b.want(b.ask(ask{add: 4}), 17, nil)

		// The same is there after a failover.
		b.r.Resigned(0, 1)
		b.lead(2, l)
		b.want(b.ask(ask{add: 1}), 18, nil)
	})
}

func TestRefusedProducerHarmsNobody(t *testing.T) {
	in(t, func(b *bench) {
		l := &memoryLog{}
		b.lead(1, l)
		var early *asked
		l.hold() // what waits for its commit goes on waiting
		early = b.ask(ask{add: 1})
		b.want(b.ask(ask{add: 10, txn: lastProducer + 1, guard: 1}), 0, errFenced)
		b.want(b.ask(ask{add: 10, txn: 7}), 0, errFenced) // not verified
		b.want(b.mark(Marker{ProducerID: lastProducer + 1}), 0, errFenced)
		b.wantNone(early)
		marked := b.mark(Marker{ProducerID: 7, Commit: true})
		b.wantNone(marked)
		l.release()
		synctest.Wait()
		b.want(early, 1, nil)
		b.want(marked, 0, nil)
		b.want(b.ask(ask{add: 1}), 2, nil)
	})
}

func TestMarkOfWhoDoesNotLead(t *testing.T) {
	in(t, func(b *bench) { b.want(b.mark(Marker{}), 0, ErrNotCoordinator) })
}

func TestFailedTransactionalAppendLoadsAgain(t *testing.T) {
	for name, write := range map[string]func(*bench) *asked{
		"records": func(b *bench) *asked { return b.ask(ask{add: 10, txn: 7, guard: 1}) },
		"marker":  func(b *bench) *asked { return b.mark(Marker{ProducerID: 7}) },
	} {
		t.Run(name, func(t *testing.T) {
			in(t, func(b *bench) {
				l := &memoryLog{}
				b.lead(1, l)
				b.want(b.ask(ask{add: 1}), 1, nil)
				l.fail(1)
				b.want(write(b), 0, ErrAppend)
				b.want(write(b), 0, ErrLoading)
			})
		})
	}
}

func TestOutboxWaitsForTheCommitAndForgetsWhatIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sent []int
		b := &bench{t, NewRuntime(Options[ask, int]{
			New:            newSum,
			MaxBatchBytes:  func() int { return 4096 },
			WriteTimeoutMs: func() int64 { return 5000 },
			Outbox: func(partition, epoch int32, body int) {
				if partition != 0 || epoch != 1 {
					t.Errorf("from partition %d, epoch %d", partition, epoch)
				}
				sent = append(sent, body)
			},
		})}
		defer b.r.Close()
		l := &memoryLog{}
		b.lead(1, l)
		b.want(b.ask(ask{add: 1, send: 5}), 1, nil)
		l.hold()
		b.ask(ask{add: 1, send: 6})
		if !slices.Equal(sent, []int{5}) {
			t.Errorf("sent %d", sent)
		}
		l.release()
		synctest.Wait()
		l.hold()
		b.ask(ask{add: 1, send: 7})
		l.fail(1)
		b.want(b.ask(ask{add: 1}), 0, ErrAppend)
		l.release()
		synctest.Wait()
		if !slices.Equal(sent, []int{5, 6}) {
			t.Errorf("sent %d", sent)
		}
	})
}
