package coordinator

import (
	"context"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"gregor/internal/record"
)

// Shard runs one machine over one partition, in one leader epoch. Everything below the first group of fields belongs to
// its goroutine.
type Shard[E, R any] struct {
	options     *Options[E, R]
	partition   int32
	leaderEpoch int32
	log         Log
	logger      *slog.Logger

	mu      sync.Mutex
	inbox   []submission[E, R]
	state   state
	wake    chan struct{}   // holds one: something happened
	stopped chan struct{}   // closed by stop
	loaded  chan struct{}   // closed after the first load
	ended   chan struct{}   // closed when the goroutine is gone
	after   <-chan struct{} // nil or closed when the partition's previous shard is gone

	watermark atomic.Int64 // the log's high watermark, as last told

	machine Machine[E, R]
	replies replies[R]
	batch   batch
	alarm   alarm
}

// state is what becomes of a submitted event.
type state int

const (
	loading state = iota // refused with ErrLoading
	serving              // queued
	closing              // refused with ErrNotCoordinator
)

type submission[E, R any] struct {
	event  E
	marker *Marker // instead of an event
	done   func(R, error)
}

// startShard starts the shard's goroutine. before, if not nil, is stopped first.
func startShard[E, R any](o *Options[E, R], partition, leaderEpoch int32, log Log, before *Shard[E, R]) *Shard[E, R] {
	s := &Shard[E, R]{
		options:     o,
		partition:   partition,
		leaderEpoch: leaderEpoch,
		log:         log,
		logger:      o.Logger.With("partition", partition, "leaderEpoch", leaderEpoch),
		wake:        make(chan struct{}, 1),
		stopped:     make(chan struct{}),
		loaded:      make(chan struct{}),
		ended:       make(chan struct{}),
	}
	if before != nil {
		before.stop()
		s.after = before.ended
	}
	go s.run()
	return s
}

func (s *Shard[E, R]) submit(event E, done func(R, error)) {
	s.accept(submission[E, R]{event: event, done: done})
}

func (s *Shard[E, R]) accept(sub submission[E, R]) {
	var err error
	s.mu.Lock()
	switch s.state {
	case loading:
		err = ErrLoading
	case closing:
		err = ErrNotCoordinator
	default:
		s.inbox = append(s.inbox, sub)
	}
	s.mu.Unlock()
	if err != nil {
		var none R
		sub.done(none, err)
		return
	}
	s.signal()
}

// stop ends the shard without waiting for it.
func (s *Shard[E, R]) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state != closing {
		s.state = closing
		close(s.stopped)
	}
}

func (s *Shard[E, R]) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// setState changes the state unless the shard is closing, and says whether it did.
func (s *Shard[E, R]) setState(next state) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state == closing {
		return false
	}
	s.state = next
	return true
}

// How long a shard waits before it loads again after a failure.
const (
	minBackoff = 50 * time.Millisecond
	maxBackoff = 5 * time.Second
)

// run loads, serves, and loads again after a failure, until the shard is stopped.
func (s *Shard[E, R]) run() {
	defer close(s.ended)
	if s.after != nil {
		<-s.after // the previous epoch's shard shares the log's callback
	}
	s.alarm = alarm{clock: s.options.Clock, ring: s.signal}
	defer s.alarm.stop()
	s.watermark.Store(s.log.Committed())
	s.log.OnCommitted(func(offset int64) {
		s.watermark.Store(offset)
		s.signal()
	})
	defer s.log.OnCommitted(nil)

	backoff := minBackoff
	for {
		started := s.options.Clock.Now()
		err := s.load()
		if err == nil {
			err = s.settle()
		}
		if err == nil && s.setState(serving) {
			level := slog.LevelInfo
			if s.log.EndOffset() == s.log.StartOffset() {
				level = slog.LevelDebug // most of the fifty of a broker that starts
			}
			s.logger.Log(context.Background(), level, "coordinator loaded", "took", s.options.Clock.Now().Sub(started))
			select {
			case <-s.loaded:
			default:
				close(s.loaded)
			}
			backoff = minBackoff
			err = s.serve()
		}
		if !s.setState(loading) {
			s.dropAll(ErrNotCoordinator)
			return
		}
		s.dropAll(ErrAppend)
		s.logger.Warn("coordinator loads again", "error", err, "in", backoff)
		if !s.pause(backoff) {
			s.dropAll(ErrNotCoordinator)
			return
		}
		backoff = min(2*backoff, maxBackoff)
	}
}

// settleTime is how long a loaded shard waits for its log to be committed before it serves all the same.
const settleTime = 10 * time.Second

// settle waits until all that was loaded is committed. A new leader learns only from its followers what its predecessor
// had committed; until then it would tell offsets older than those that were acknowledged (as KIP-207 has it for
// ListOffsets). It does not wait for ever: with too few replicas in sync nothing gets committed, and groups that need no
// record shall go on.
func (s *Shard[E, R]) settle() error {
	end := s.log.EndOffset()
	over := s.options.Clock.Now().Add(settleTime)
	var cancel func()
	for max(s.watermark.Load(), s.log.Committed()) < end {
		if !s.options.Clock.Now().Before(over) {
			s.logger.Warn("the end of the log is not committed; serving all the same", "logEnd", end, "committed", s.log.Committed())
			break
		}
		if cancel == nil {
			cancel = s.options.Clock.AfterFunc(settleTime, s.signal)
			defer cancel()
		}
		select {
		case <-s.wake:
		case <-s.stopped:
			return errStopped
		}
	}
	s.commitLoaded()
	return nil
}

// pause waits for d and says false if the shard was stopped meanwhile.
func (s *Shard[E, R]) pause(d time.Duration) bool {
	over := make(chan struct{})
	stop := s.options.Clock.AfterFunc(d, func() { close(over) })
	defer stop()
	select {
	case <-over:
		return true
	case <-s.stopped:
		return false
	}
}

// serve takes events until the shard is stopped (nil) or an append fails.
func (s *Shard[E, R]) serve() error {
	var out Effects[R]
	s.machine.Elected(s.now(), &out)
	if err := s.carryOut(&out); err != nil {
		return err
	}
	for {
		select {
		case <-s.stopped:
			return nil
		default:
		}
		now := s.now()
		if err := s.tick(now, &out); err != nil {
			return err
		}
		if err := s.decide(s.takeInbox(), now, &out); err != nil {
			return err
		}
		if err := s.flush(now); err != nil {
			return err
		}
		s.advance()
		s.replies.expire(now)
		s.setAlarm()
		select {
		case <-s.wake:
		case <-s.stopped:
		}
		// Whoever can run goes first: of many connections that have a request each, all are then in the inbox, and what they
		// lead to is one batch instead of one for each. With nothing else to do this returns at once.
		runtime.Gosched()
	}
}

func (s *Shard[E, R]) now() int64 { return s.options.Clock.Now().UnixMilli() }

// ticksAtOnce bounds how long a burst of timers keeps events waiting.
const ticksAtOnce = 1000

func (s *Shard[E, R]) tick(now int64, out *Effects[R]) error {
	for range ticksAtOnce {
		at, ok := s.machine.Deadline()
		if !ok || at > now {
			return nil
		}
		out.reset()
		s.machine.Tick(now, out)
		if err := s.carryOut(out); err != nil {
			return err
		}
	}
	s.signal()
	return nil
}

func (s *Shard[E, R]) decide(taken []submission[E, R], now int64, out *Effects[R]) error {
	for i, sub := range taken {
		var err error
		if sub.marker != nil {
			err = s.mark(*sub.marker, s.replies.open(sub.done))
		} else {
			out.reset()
			s.machine.Decide(s.replies.open(sub.done), sub.event, now, out)
			err = s.carryOut(out)
		}
		if err != nil {
			var none R
			for _, later := range taken[i+1:] {
				later.done(none, ErrAppend)
			}
			return err
		}
	}
	return nil
}

func (s *Shard[E, R]) takeInbox() []submission[E, R] {
	s.mu.Lock()
	defer s.mu.Unlock()
	taken := s.inbox
	s.inbox = nil
	return taken
}

// carryOut applies a decision's records to the machine, so that the next decision sees them, and puts them into the
// batch that flush will append. Should that fail, the machine is dropped, and with it what it believed.
func (s *Shard[E, R]) carryOut(out *Effects[R]) error {
	if len(out.Records) > 0 && out.Records[0].ProducerID != NoProducer {
		if refused, err := s.appendTransactional(out); refused || err != nil {
			return err
		}
	} else if err := s.stageAll(out); err != nil {
		return err
	}
	for _, body := range out.Outgoing {
		s.replies.send(body, s.batch.position)
	}
	for _, reply := range out.Replies {
		if reply.Early {
			s.replies.settle(reply.To, reply.Body)
		} else {
			s.replies.hold(reply.To, reply.Body, s.batch.position)
		}
	}
	return nil
}

func (s *Shard[E, R]) stageAll(out *Effects[R]) error {
	step := len(out.Records)
	if out.Divisible {
		step = 1
	}
	for records := out.Records; len(records) > 0; records = records[step:] {
		if err := s.stage(records[:step]); err != nil {
			return err
		}
	}
	return nil
}

// stage applies records that belong into one batch.
func (s *Shard[E, R]) stage(records []Record) error {
	size := sizeOf(records)
	if s.batch.size > 0 && record.HeaderSize+s.batch.size+size > s.options.MaxBatchBytes() {
		if err := s.flush(s.now()); err != nil {
			return err
		}
	}
	s.batch.add(records, size)
	for _, r := range records {
		s.batch.position++
		s.machine.Apply(s.batch.position, r)
	}
	return nil
}

// flush appends what has been decided since the last flush as one batch.
func (s *Shard[E, R]) flush(now int64) error {
	s.replies.due(now + s.options.WriteTimeoutMs())
	if s.batch.size == 0 {
		return nil
	}
	last, err := s.log.Append(s.leaderEpoch, s.batch.encode(now))
	if err != nil {
		return err
	}
	s.batch.appended(last + 1)
	// The watermark of a log without followers has moved already.
	s.advance()
	return nil
}

// advance lets go what waited for the high watermark.
func (s *Shard[E, R]) advance() {
	watermark := max(s.watermark.Load(), s.log.Committed())
	if position, moved := s.batch.commit(watermark); moved {
		s.machine.Committed(position)
	}
	s.replies.release(s.batch.committed, s.sendOut)
}

func (s *Shard[E, R]) sendOut(body R) { s.options.Outbox(s.partition, s.leaderEpoch, body) }

// setAlarm has the loop woken for the machine's next timer and for the next reply that times out.
func (s *Shard[E, R]) setAlarm() {
	at, ok := s.machine.Deadline()
	if due, waiting := s.replies.nextDue(); waiting && (!ok || due < at) {
		at, ok = due, true
	}
	if ok {
		s.alarm.set(at)
	}
}

// dropAll answers everybody who waits and forgets the machine.
func (s *Shard[E, R]) dropAll(err error) {
	s.machine = nil
	s.batch = batch{}
	s.replies.dropAll(err)
	var none R
	for _, sub := range s.takeInbox() {
		sub.done(none, err)
	}
}
