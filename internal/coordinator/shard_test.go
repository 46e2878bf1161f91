package coordinator

import (
	"errors"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gregor/internal/record"
)

// asked is a request whose reply may have come.
type asked struct {
	mu    sync.Mutex
	got   bool
	total int
	err   error
}

type bench struct {
	t *testing.T
	r *Runtime[ask, int]
}

// in runs a test in a bubble with a clock of its own, and sees to it that no goroutine stays behind: the bubble does not
// end otherwise.
func in(t *testing.T, f func(b *bench)) {
	synctest.Test(t, func(t *testing.T) {
		b := &bench{t, NewRuntime(Options[ask, int]{
			New:            newSum,
			MaxBatchBytes:  func() int { return 4096 },
			WriteTimeoutMs: func() int64 { return 5000 },
		})}
		defer b.r.Close()
		f(b)
	})
}

// lead makes the runtime the leader of partition 0 and waits until it is loaded.
func (b *bench) lead(epoch int32, l Log) {
	b.t.Helper()
	b.r.Elected(0, epoch, l)
	if err := b.r.AwaitLoaded(b.t.Context(), 0); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) ask(e ask) *asked {
	a := &asked{}
	b.r.Submit(0, e, func(total int, err error) {
		a.mu.Lock()
		defer a.mu.Unlock()
		if a.got {
			b.t.Error("answered twice")
		}
		a.got, a.total, a.err = true, total, err
	})
	synctest.Wait()
	return a
}

func (b *bench) want(a *asked, total int, err error) {
	b.t.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.got || !errors.Is(a.err, err) || err == nil && a.total != total {
		b.t.Fatalf("got reply %v %d, %v; want %d, %v", a.got, a.total, a.err, total, err)
	}
}

func (b *bench) wantNone(a *asked) {
	b.t.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.got {
		b.t.Fatalf("got %d, %v; want no reply yet", a.total, a.err)
	}
}

func TestAnswersWhenCommitted(t *testing.T) {
	in(t, func(b *bench) {
		l := &memoryLog{}
		b.lead(1, l)
		b.want(b.ask(ask{add: 5}), 5, nil)
		l.hold()
		add := b.ask(ask{add: 7})
		b.wantNone(add)
		b.want(b.ask(ask{read: true}), 5, nil) // the old value while the new one is pending
		l.release()
		synctest.Wait()
		b.want(add, 12, nil)
		b.want(b.ask(ask{read: true}), 12, nil)
	})
}

func TestWaitingRequestIsAnsweredByALaterDecision(t *testing.T) {
	in(t, func(b *bench) {
		l := &memoryLog{}
		b.lead(1, l)
		w := b.ask(ask{wait: 10})
		b.want(b.ask(ask{add: 9}), 9, nil)
		b.wantNone(w)
		l.hold()
		b.wantNone(b.ask(ask{add: 1}))
		b.wantNone(w) // its reason is not committed
		l.release()
		synctest.Wait()
		b.want(w, 10, nil)
	})
}

func TestReplyTimesOutAndIsNotSentAgain(t *testing.T) {
	in(t, func(b *bench) {
		l := &memoryLog{}
		b.lead(1, l)
		l.hold()
		a := b.ask(ask{add: 1})
		time.Sleep(4 * time.Second)
		later := b.ask(ask{add: 1})
		time.Sleep(1001 * time.Millisecond)
		synctest.Wait()
		b.want(a, 0, ErrTimeout)
		b.wantNone(later)
		l.release()
		synctest.Wait()
		b.want(later, 2, nil) // what timed out was written all the same
	})
}

func TestRequestsInTheQueueBecomeOneBatch(t *testing.T) {
	in(t, func(b *bench) {
		l := &memoryLog{reading: make(chan struct{})}
		l.batches = append(l.batches, numbers(0, 100))
		l.end, l.committed = 1, 1
		b.r.Elected(0, 1, l)
		synctest.Wait()
		b.want(b.ask(ask{add: 1}), 0, ErrLoading)
		close(l.reading)
		if err := b.r.AwaitLoaded(b.t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		s := b.r.shards[0]
		s.mu.Lock() // the loop cannot take from its inbox: what comes now is a queue
		replies := 0
		for range 50 {
			s.inbox = append(s.inbox, submission[ask, int]{event: ask{add: 1}, done: func(int, error) { replies++ }})
		}
		s.mu.Unlock()
		s.signal()
		synctest.Wait()
		if n := l.appendCount(); n != 1 {
			t.Errorf("%d appends, want 1", n)
		}
		if replies != 50 {
			t.Errorf("%d replies, want 50", replies)
		}
		b.want(b.ask(ask{read: true}), 150, nil)
	})
}

// numbers is a batch of numbers at an offset.
func numbers(at int64, ns ...int) []byte {
	b := record.NewBuilder(record.BuilderOptions{BaseOffset: at})
	for _, n := range ns {
		r := number(n)
		b.Append(0, r.Key, r.Value)
	}
	return b.Build()
}

func TestFailedAppendLoadsAgain(t *testing.T) {
	in(t, func(b *bench) {
		l := &memoryLog{}
		b.lead(1, l)
		b.want(b.ask(ask{add: 5}), 5, nil)
		w := b.ask(ask{wait: 100})
		l.fail(1)
		b.want(b.ask(ask{add: 7}), 0, ErrAppend)
		b.want(w, 0, ErrAppend) // soft state is lost
		b.want(b.ask(ask{read: true}), 0, ErrLoading)
		time.Sleep(minBackoff)
		synctest.Wait()
		b.want(b.ask(ask{read: true}), 5, nil)
		b.want(b.ask(ask{add: 1}), 6, nil)
	})
}

func TestPendingReplyOfALostShardFails(t *testing.T) {
	in(t, func(b *bench) {
		l := &memoryLog{}
		b.lead(1, l)
		l.hold()
		pending := b.ask(ask{add: 5})
		l.fail(1)
		b.want(b.ask(ask{add: 7}), 0, ErrAppend)
		b.want(pending, 0, ErrAppend)
		time.Sleep(time.Second)
		synctest.Wait()
		b.want(b.ask(ask{read: true}), 0, ErrLoading) // 5 is in the log, and nobody knows whether it was acknowledged
		l.release()
		synctest.Wait()
		b.want(b.ask(ask{read: true}), 5, nil)
	})
}

// A leader that cannot get the end of its log committed serves what is, after a while.
func TestUncommittedEndDoesNotHoldUpForEver(t *testing.T) {
	in(t, func(b *bench) {
		l := &memoryLog{}
		b.lead(1, l)
		b.want(b.ask(ask{add: 3}), 3, nil)
		l.hold()
		b.ask(ask{add: 5})
		b.r.Elected(0, 2, l)
		synctest.Wait()
		b.want(b.ask(ask{read: true}), 0, ErrLoading)
		time.Sleep(settleTime)
		synctest.Wait()
		b.want(b.ask(ask{read: true}), 3, nil)
		l.release()
		synctest.Wait()
		b.want(b.ask(ask{read: true}), 8, nil)
	})
}

func TestResignation(t *testing.T) {
	in(t, func(b *bench) {
		l := &memoryLog{}
		b.lead(3, l)
		w := b.ask(ask{wait: 100})
		b.r.Resigned(0, 2) // of an epoch that is over
		synctest.Wait()
		b.wantNone(w)
		b.r.Resigned(0, 3)
		synctest.Wait()
		b.want(w, 0, ErrNotCoordinator)
		b.want(b.ask(ask{add: 1}), 0, ErrNotCoordinator)
		b.lead(4, l)
		b.want(b.ask(ask{add: 1}), 1, nil)
		b.r.Elected(0, 4, &memoryLog{}) // told twice
		b.want(b.ask(ask{add: 1}), 2, nil)
		b.lead(5, l)
		b.want(b.ask(ask{add: 1}), 3, nil)
		if l.listener == nil {
			t.Error("a former shard took away the listener of the present one")
		}
	})
}

func TestLoadReadsWhatIsNotCommittedAndTransactions(t *testing.T) {
	in(t, func(b *bench) {
		l := &memoryLog{}
		at := int64(0)
		add := func(batch []byte) {
			l.batches = append(l.batches, batch)
			at = record.Batch(batch).NextOffset()
		}
		txn := func(producer int64, n int) []byte {
			p := record.NewBuilder(record.BuilderOptions{BaseOffset: at, Transactional: true, Producer: &record.Producer{ID: producer}})
			r := number(n)
			p.Append(0, r.Key, r.Value)
			return p.Build()
		}
		end := func(producer int64, how record.ControlType) []byte {
			p := record.NewBuilder(record.BuilderOptions{BaseOffset: at, Transactional: true, Control: true, Producer: &record.Producer{ID: producer}})
			p.Append(0, record.AppendControlKey(nil, how), make([]byte, 6))
			return p.Build()
		}
		add(numbers(at, 1, 2))
		add(txn(7, 10))
		add(txn(8, 100))
		add(txn(9, 1000))
		add(end(7, record.ControlCommit))
		add(end(8, record.ControlAbort))
		l.committed = at
		add(numbers(at, 20))
		l.end = at
		l.held = true
		b.lead(1, l)
		b.want(b.ask(ask{read: true}), 13, nil)
		l.release()
		synctest.Wait()
		b.want(b.ask(ask{read: true}), 33, nil)
	})
}

func TestCorruptLogIsNotServed(t *testing.T) {
	in(t, func(b *bench) {
		l := &memoryLog{}
		bad := numbers(0, 1)
		bad[len(bad)-1] ^= 1
		l.batches, l.end, l.committed = append(l.batches, bad), 1, 1
		b.r.Elected(0, 1, l)
		time.Sleep(time.Minute)
		synctest.Wait()
		b.want(b.ask(ask{add: 1}), 0, ErrLoading)
	})
}

func TestTimers(t *testing.T) {
	in(t, func(b *bench) {
		l := &memoryLog{}
		b.lead(1, l)
		a := b.ask(ask{after: 2500})
		time.Sleep(2499 * time.Millisecond)
		synctest.Wait()
		b.wantNone(a)
		time.Sleep(time.Millisecond)
		synctest.Wait()
		b.want(a, 1000, nil)
		// A timer that is earlier than the alarm moves the alarm.
		late := b.ask(ask{after: 5000})
		b.wantNone(b.ask(ask{after: 10}))
		time.Sleep(10 * time.Millisecond)
		synctest.Wait()
		b.want(late, 2000, nil)
	})
}

func TestDecisionsAreNotCutUnlessTheyMayBe(t *testing.T) {
	in(t, func(b *bench) {
		l := &memoryLog{}
		b.lead(1, l)
		b.want(b.ask(ask{many: 100}), 100, nil)
		if n := l.appendCount(); n != 1 {
			t.Errorf("%d appends for a decision that fits, want 1", n)
		}
		b.want(b.ask(ask{many: 1000, divisible: true}), 1100, nil)
		for _, batch := range l.batches {
			if len(batch) > 4096 {
				t.Errorf("a batch of %d bytes, at most 4096 are allowed", len(batch))
			}
		}
	})
}

func TestCloseEndsAllGoroutines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := NewRuntime(Options[ask, int]{
			New: newSum, MaxBatchBytes: func() int { return 4096 }, WriteTimeoutMs: func() int64 { return 5000 },
		})
		for p := range int32(10) {
			r.Elected(p, 1, &memoryLog{})
			if p%2 == 0 {
				r.Resigned(p, 1)
			}
		}
		r.Elected(2, 2, &memoryLog{})
		r.Close()
		r.Elected(3, 9, &memoryLog{}) // too late
		synctest.Wait()               // a goroutine says that it has ended right before it does
		buf := make([]byte, 1<<20)
		if stacks := string(buf[:runtime.Stack(buf, true)]); strings.Contains(stacks, "(*Shard") {
			t.Errorf("a shard lives on:\n%s", stacks)
		}
		r.Submit(3, ask{add: 1}, func(_ int, err error) {
			if !errors.Is(err, ErrNotCoordinator) {
				t.Errorf("got %v after Close", err)
			}
		})
	})
}
