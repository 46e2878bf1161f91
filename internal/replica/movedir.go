package replica

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"gregor/internal/log"
	"gregor/internal/metadata"
)

// A replica moves to another log directory of its broker (KIP-113) by a copy, the future log: the mover appends to it what
// the replica's log has, and once it has all puts it in the log's place. Appends wait for that last moment only. Whatever
// the log goes through meanwhile, truncation, retention, a change of roles, the future log follows.

// MoveReplica moves this broker's replica of a partition to a log directory, by the directory's id. A replica that is not
// here yet is made there when it comes, and ErrReplicaNotHere says so. Moving to where the replica is gives up a move that
// is under way. Errors besides: ErrStorage, and those of [log.Dirs.CreateFuture].
func (m *Manager) MoveReplica(topic string, partition int32, dir metadata.UUID) error {
	p, err := m.Partition(topic, partition)
	if err != nil {
		m.preferDir(topic, partition, dir)
		return fmt.Errorf("%w: %s-%d", ErrReplicaNotHere, topic, partition)
	}
	l := p.log.Load()
	if l == nil {
		return p.errorf(ErrStorage)
	}
	m.moves.mu.Lock()
	defer m.moves.mu.Unlock()
	if f := m.o.Dirs.Future(topic, partition); f != nil {
		if metadata.UUID(m.o.Dirs.DirOf(f)) == dir {
			m.moves.add(p)
			return nil
		}
		delete(m.moves.under, p.key())
		if err := m.o.Dirs.DeleteFuture(topic, partition); err != nil && f.Err() == nil {
			return err
		}
	}
	if metadata.UUID(m.o.Dirs.DirOf(l)) == dir {
		return nil
	}
	if _, err := m.o.Dirs.CreateFuture(topic, partition, dir); err != nil {
		return err
	}
	m.o.Logger.Info("replica moves to another log directory", "topic", topic, "partition", partition, "from", l.Dir(), "to", m.o.Dirs.Future(topic, partition).Dir())
	m.moves.add(p)
	return nil
}

// preferDir notes where a replica that is not here yet is to be made. The note is lost with the process, as Kafka's is.
func (m *Manager) preferDir(topic string, partition int32, dir metadata.UUID) {
	m.moves.mu.Lock()
	defer m.moves.mu.Unlock()
	if m.moves.preferred == nil || len(m.moves.preferred) >= maxPreferred {
		m.moves.preferred = make(map[log.Name]metadata.UUID)
	}
	m.moves.preferred[log.Name{Topic: topic, Partition: partition}] = dir
}

// maxPreferred bounds what is noted of replicas that may never come.
const maxPreferred = 100_000

// preferredDir gives and forgets what preferDir noted.
func (m *Manager) preferredDir(topic string, partition int32) (metadata.UUID, bool) {
	m.moves.mu.Lock()
	defer m.moves.mu.Unlock()
	name := log.Name{Topic: topic, Partition: partition}
	dir, ok := m.moves.preferred[name]
	delete(m.moves.preferred, name)
	return dir, ok
}

// moves are the replicas under way, and the goroutine that copies: there is one while there is something to do.
type moves struct {
	m *Manager

	mu        sync.Mutex
	under     map[partitionKey]*move
	preferred map[log.Name]metadata.UUID
	running   bool
	stepping  sync.Mutex // one step at a time
}

// move is one replica under way. Only the mover uses it.
type move struct {
	p      *Partition
	until  time.Time // not before that: after an error, or the quota
	failed string
}

// add begins or goes on with a move. mu is held.
func (ms *moves) add(p *Partition) {
	if ms.under == nil {
		ms.under = make(map[partitionKey]*move)
	}
	if ms.under[p.key()] == nil {
		ms.under[p.key()] = &move{p: p}
	}
	if ms.running || ms.m.o.Inline {
		return
	}
	ms.running = ms.m.ticker.run(ms.run)
}

// resumeMove goes on with what a process before this one began, or removes it if it has become of no use.
func (m *Manager) resumeMove(p *Partition) {
	f, l := m.o.Dirs.Future(p.topic, p.index), p.log.Load()
	if f == nil || l == nil {
		return
	}
	m.moves.mu.Lock()
	defer m.moves.mu.Unlock()
	if m.o.Dirs.DirOf(f) == m.o.Dirs.DirOf(l) || metadata.UUID(f.TopicID()) != p.id {
		if err := m.o.Dirs.DeleteFuture(p.topic, p.index); err != nil {
			m.o.Logger.Warn("an unfinished copy of a log cannot be removed", "dir", f.Dir(), "error", err.Error())
		}
		return
	}
	m.moves.add(p)
}

func (ms *moves) run() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ms.m.ticker.ctx.Done():
			return
		case <-timer.C:
		}
		wait, more := ms.step()
		if !more {
			return
		}
		timer.Reset(wait)
	}
}

// idleMove is how long the mover waits for more when it has copied what there was and could not end the move.
const idleMove = 20 * time.Millisecond

// step copies a piece of each log under way, in turn. It tells how long to wait before the next, and whether anything is
// under way still.
func (ms *moves) step() (wait time.Duration, more bool) {
	ms.stepping.Lock()
	defer ms.stepping.Unlock()
	ms.mu.Lock()
	list := make([]*move, 0, len(ms.under))
	for _, mv := range ms.under {
		list = append(list, mv)
	}
	ms.mu.Unlock()
	wait = time.Second
	for _, mv := range list {
		if ms.m.ticker.ctx.Err() != nil {
			return 0, false
		}
		now := ms.m.now()
		if pause := ms.m.throttles.moves.wait(now); pause > 0 {
			wait = min(wait, pause, maxThrottlePause)
			break
		}
		if now.Before(mv.until) {
			wait = min(wait, mv.until.Sub(now))
			continue
		}
		done, progress, err := ms.m.moveOn(mv)
		switch {
		case done || errors.Is(err, context.Canceled):
			ms.end(mv)
		case err != nil:
			mv.until = now.Add(time.Second)
			if mv.failed != err.Error() {
				mv.failed = err.Error()
				ms.m.o.Logger.Warn("replica cannot be moved to another log directory; trying again", "topic", mv.p.topic, "partition", mv.p.index, "error", mv.failed)
			}
		case progress:
			wait = 0
		default:
			wait = min(wait, idleMove)
		}
	}
	ms.mu.Lock()
	defer ms.mu.Unlock()
	if len(ms.under) == 0 {
		ms.running = false
		return 0, false
	}
	return wait, true
}

func (ms *moves) end(mv *move) {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	if ms.under[mv.p.key()] == mv {
		delete(ms.under, mv.p.key())
	}
}

// moveBytes is how much is copied at a time.
const moveBytes = 1 << 20

// moveOn takes one step of a move. done says that it has ended: the replica is there, or is here no more.
func (m *Manager) moveOn(mv *move) (done, progress bool, err error) {
	p := mv.p
	l, f := p.log.Load(), m.o.Dirs.Future(p.topic, p.index)
	if l == nil || f == nil || p.role.Load().gone {
		return true, false, nil
	}
	if err := errors.Join(l.Err(), f.Err()); err != nil {
		if f.Err() != nil {
			m.o.Logger.Error("replica stays where it is: the directory that it was to move to has failed", "topic", p.topic, "partition", p.index, "error", err.Error())
		}
		return true, false, nil
	}
	f.SetConfig(l.Config())
	if err := follow(l, f); err != nil {
		return false, false, err
	}
	if f.EndOffset() < l.EndOffset() {
		n, err := copyOnce(l, f)
		m.throttles.moves.record(n, m.now())
		return false, n > 0, err
	}
	if err := f.Flush(f.EndOffset()); err != nil { // most of it, so that the last moment is short
		return false, false, err
	}
	moved, err := m.finishMove(p, l)
	return moved, false, err
}

// follow makes a future log a prefix of the log that it is made from, after that was truncated or its start has moved.
func follow(l, f *log.Log) error {
	if start := l.StartOffset(); start > f.EndOffset() {
		if err := f.TruncateFullyAndStartAt(start); err != nil {
			return err
		}
	}
	for {
		to := min(f.EndOffset(), l.EndOffset())
		if last := f.LatestEpoch(); last >= 0 {
			switch epoch, end := l.EndOffsetForEpoch(last); {
			case last > l.LatestEpoch(): // the newest epoch was truncated away, and nothing has come since
				if _, below := f.EndOffsetForEpoch(l.LatestEpoch()); below >= 0 {
					to = min(to, below)
				} else {
					to = min(to, f.StartOffset())
				}
			case epoch == last:
				to = min(to, end)
			default:
				_, below := f.EndOffsetForEpoch(epoch)
				to = min(to, end, max(below, f.StartOffset()))
			}
		}
		if to >= f.EndOffset() {
			break
		}
		if err := f.TruncateTo(to); err != nil {
			return err
		}
	}
	if start := l.StartOffset(); start > f.StartOffset() {
		return f.SetStartOffset(start)
	}
	return nil
}

// copyOnce appends the next batches.
func copyOnce(l, f *log.Log) (int, error) {
	s, err := l.Read(f.EndOffset(), l.EndOffset(), moveBytes, true)
	if err != nil || s.Len() == 0 {
		return 0, err
	}
	defer s.Close()
	b, err := s.Bytes()
	if err != nil {
		return 0, err
	}
	_, err = f.AppendFollower(b)
	if errors.Is(err, log.ErrUnexpectedOffset) {
		err = appendAcrossStart(f, b, err)
	}
	if err != nil {
		return 0, err
	}
	f.SetHighWatermark(l.HighWatermark())
	return len(b), nil
}

// finishMove puts the future log in the place of the log, if it has all of it by now.
func (m *Manager) finishMove(p *Partition, l *log.Log) (bool, error) {
	p.lockRole() // waits for appends, and keeps others and changes of the role away
	r := p.role.Load()
	f := m.o.Dirs.Future(p.topic, p.index)
	if p.log.Load() != l || r.gone || r.offline || f == nil {
		p.roleMu.Unlock()
		return true, nil
	}
	err := follow(l, f)
	if err != nil || f.EndOffset() != l.EndOffset() {
		p.roleMu.Unlock()
		return false, err
	}
	moved, err := m.o.Dirs.Promote(p.topic, p.index)
	if err != nil && m.o.Dirs.Get(p.topic, p.index) == l {
		p.roleMu.Unlock()
		return false, err
	}
	if err != nil {
		p.roleMu.Unlock()
		m.o.Logger.Error("replica is offline: its move to another log directory failed at the end; it is finished when the broker starts again",
			"topic", p.topic, "partition", p.index, "error", err.Error())
		m.offline(p)
		return true, nil
	}
	p.use(moved)
	if r.leader != nil {
		r.leader.log.store(moved)
	}
	p.roleMu.Unlock()
	if m.o.AssignDirs != nil {
		m.placements.tell(p.key(), m.o.Dirs.DirOf(moved))
	}
	p.advanced()
	return true, nil
}
