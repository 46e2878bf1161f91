package replica

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"gregor/internal/log"
	"gregor/internal/metadata"
	"gregor/internal/record"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A damaged range of a log is written again with the bytes that another in-sync replica has there. They are asked for as a
// consumer does that may read from followers (KIP-392), so a leader gets them from a follower too, and only what is
// committed. Neither the high watermark nor the ISR moves.
//
// If no other replica has bytes that fit, which compaction may be the reason of, the whole replica is copied again, once
// it is needed for nothing: it first has the controller take it out of the ISR, and of the lead, as if its log directory
// were lost (KIP-858). That is asked only while another replica is in sync. Else the log goes on serving what is whole.

// repairs is the goroutine that repairs: there is one while something is damaged.
type repairs struct {
	mu      sync.Mutex
	running bool
	under   map[partitionKey]*repairing // only the goroutine uses it
	broken  map[*Partition]struct{}     // their logs could not be opened: see mend.go
}

type repairing struct {
	said    string    // the last thing that was logged
	until   time.Time // not before
	leaving bool      // the controller was asked to take the replica out
	mended  int       // ranges, of a log that could not be opened
}

// say logs an error that was not the last one.
func (r *repairing) say(m *Manager, p *Partition, d log.Damage, err error) {
	if text := err.Error(); text != r.said {
		r.said = text
		m.o.Logger.Error("damage cannot be repaired now; trying again", "topic", p.topic, "partition", p.index, "file", d.File, "offset", d.Offset, "error", text)
	}
}

const (
	repairBytes   = 1 << 20  // asked for at first
	maxRepair     = 64 << 20 // a larger range is copied with the whole replica
	repairPause   = time.Second
	repairTimeout = 30 * time.Second
)

// startRepairs looks whether something is damaged.
func (m *Manager) startRepairs() {
	if m.o.Connect == nil || m.o.Inline {
		return
	}
	damaged := len(m.o.Dirs.Damaged()) > 0
	m.repairs.mu.Lock()
	defer m.repairs.mu.Unlock()
	if !m.repairs.running && (damaged || len(m.repairs.broken) > 0) {
		m.repairs.running = m.ticker.run(m.repair)
	}
}

func (m *Manager) repair() {
	for m.repairStep(m.ticker.ctx) {
		select {
		case <-m.ticker.ctx.Done():
			return
		case <-time.After(repairPause / 4):
		}
	}
	m.repairs.mu.Lock()
	m.repairs.running, m.repairs.under = false, nil
	m.repairs.mu.Unlock()
}

// repairStep takes the next step with everything that is damaged, and tells whether there was something.
func (m *Manager) repairStep(ctx context.Context) (more bool) {
	logs := m.o.Dirs.Damaged()
	for _, l := range logs {
		if p, err := m.Partition(l.Topic(), l.Partition()); err == nil && p.log.Load() == l {
			m.repairPartition(ctx, p, l)
		}
	}
	broken := m.brokenOnes()
	for _, p := range broken {
		m.mendPartition(ctx, p)
	}
	return len(logs)+len(broken) > 0
}

// turn tells whether it is time to do something about a partition again.
func (m *Manager) turn(p *Partition) (r *repairing, now bool) {
	if m.repairs.under == nil {
		m.repairs.under = make(map[partitionKey]*repairing)
	}
	if r = m.repairs.under[p.key()]; r == nil {
		r = &repairing{}
		m.repairs.under[p.key()] = r
	}
	if m.now().Before(r.until) {
		return r, false
	}
	r.until = m.now().Add(repairPause)
	return r, true
}

func (m *Manager) repairPartition(ctx context.Context, p *Partition, l *log.Log) {
	r, now := m.turn(p)
	if !now {
		return
	}
	if r.leaving {
		m.copyAgain(p, l)
		return
	}
	for _, d := range l.Damages() {
		err := m.repairDamage(ctx, p, d, func(records []byte) (bool, error) { return l.Repair(d, records) })
		if err == nil || ctx.Err() != nil {
			continue
		}
		r.say(m, p, d, err)
		if errors.Is(err, log.ErrNoFit) {
			m.giveUp(p, r)
		}
		return
	}
}

// sources are the brokers that may have what is damaged here: the leader first, then those in sync.
func (m *Manager) sources(p *Partition) (ids []int32, mp *metadata.Partition) {
	image := m.current.Load()
	t := image.TopicByID(p.id)
	if t == nil || int(p.index) >= len(t.Partitions) || t.Partitions[p.index] == nil {
		return nil, nil
	}
	mp = t.Partitions[p.index]
	for _, id := range append([]int32{mp.Leader}, mp.ISR...) {
		if b := image.Broker(id); id != m.o.NodeID && b != nil && !b.Fenced && !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids, mp
}

// repairDamage asks one replica after the other for what fill writes over the range. The error wraps log.ErrNoFit if none that
// answered fits.
func (m *Manager) repairDamage(ctx context.Context, p *Partition, d log.Damage, fill func(records []byte) (more bool, err error)) error {
	ids, mp := m.sources(p)
	if len(ids) == 0 {
		return fmt.Errorf("%w: no other replica is in sync", ErrStorage)
	}
	var errs []error
	for _, id := range ids {
		err := m.repairFrom(ctx, id, p, d, fill)
		if err == nil {
			m.o.Logger.Warn("a damaged range was copied from another replica", "topic", p.topic, "partition", p.index, "file", d.File,
				"offset", d.Offset, "end_offset", d.EndOffset, "from", id, "leader", mp.Leader)
			return nil
		}
		errs = append(errs, fmt.Errorf("broker %d: %w", id, err))
	}
	return errors.Join(errs...)
}

func (m *Manager) repairFrom(ctx context.Context, broker int32, p *Partition, d log.Damage, fill func([]byte) (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, repairTimeout)
	defer cancel()
	remote, err := m.o.Connect(ctx, broker)
	if err != nil {
		return err
	}
	defer remote.Close()
	var records []byte
	for next, bytes := d.Offset, int32(repairBytes); len(records) <= maxRepair; {
		got, highWatermark, err := askRange(ctx, remote, p, next, bytes)
		if err != nil {
			return err
		}
		whole := wholeBatches(got)
		if len(whole) == 0 && next < highWatermark && bytes < maxRepair { // one that is larger
			bytes *= 2
			continue
		}
		records = append(records, whole...)
		more, err := fill(records)
		if err != nil || !more {
			return err
		}
		// An answer ends with a segment there, too.
		if next = endOf(whole, next); len(whole) == 0 || next >= highWatermark {
			return fmt.Errorf("%w: only %d bytes from offset %d on", errShort, len(records), d.Offset)
		}
	}
	return fmt.Errorf("%w: more than %d bytes", log.ErrNoFit, maxRepair)
}

// errShort: what another replica has is whole, and does not reach to the end of the range. That may change, or it does not fit.
var errShort = errors.New("not enough is committed")

// endOf is the offset behind the last of some batches.
func endOf(batches []byte, offset int64) int64 {
	for len(batches) > 0 {
		b, rest, err := record.Next(batches)
		if err != nil {
			break
		}
		offset, batches = b.NextOffset(), rest
	}
	return offset
}

// askRange reads a partition of another broker as a client, and tells the high watermark there.
func askRange(ctx context.Context, remote Remote, p *Partition, offset int64, bytes int32) (records []byte, highWatermark int64, err error) {
	req := kmsg.NewPtrFetchRequest()
	req.ReplicaID, req.ReplicaState.ID = -1, -1
	req.MaxWaitMillis, req.MinBytes, req.MaxBytes, req.SessionEpoch = 0, 0, bytes, -1
	t := kmsg.NewFetchRequestTopic()
	t.Topic, t.TopicID = p.topic, p.id
	part := kmsg.NewFetchRequestTopicPartition()
	part.Partition, part.FetchOffset, part.PartitionMaxBytes = p.index, offset, bytes
	part.CurrentLeaderEpoch, part.LastFetchedEpoch, part.LogStartOffset = NoEpoch, NoEpoch, -1
	t.Partitions = append(t.Partitions, part)
	req.Topics = append(req.Topics, t)
	type answer struct {
		records       []byte
		highWatermark int64
		err           error
	}
	answers := make(chan answer, 1)
	remote.SendFetch(req, func(resp *kmsg.FetchResponse, release func(), err error) {
		if release != nil {
			defer release()
		}
		var a answer
		switch {
		case err != nil:
			a.err = err
		case resp.ErrorCode != 0:
			a.err = kerr.ErrorForCode(resp.ErrorCode)
		case len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1:
			a.err = errProtocol
		default:
			got := &resp.Topics[0].Partitions[0]
			if a.err = kerr.ErrorForCode(got.ErrorCode); a.err == nil {
				a.records, a.highWatermark = slices.Clone(got.RecordBatches), got.HighWatermark
			}
		}
		answers <- a
	})
	select {
	case <-ctx.Done():
		return nil, 0, ctx.Err()
	case a := <-answers:
		return a.records, a.highWatermark, a.err
	}
}

// whole tells whether another replica has all that was acknowledged: one that is in sync, or an eligible leader.
func (m *Manager) whole(ids []int32, mp *metadata.Partition) bool {
	return mp != nil && slices.ContainsFunc(ids, func(id int32) bool { return mp.InISR(id) || slices.Contains(mp.ELR, id) })
}

// needed tells whether this replica leads, is in sync, or may be elected.
func (m *Manager) needed(mp *metadata.Partition) bool {
	return mp.Leader == m.o.NodeID || mp.InISR(m.o.NodeID) || slices.Contains(mp.ELR, m.o.NodeID)
}

// giveUp has the controller take the replica out of the ISR and of the lead, if another is whole.
func (m *Manager) giveUp(p *Partition, r *repairing) {
	ids, mp := m.sources(p)
	if m.o.AssignDirs == nil || !m.current.Load().HasDirectories() || !m.whole(ids, mp) {
		return
	}
	m.o.Logger.Error("a damaged replica is copied again as a whole", "topic", p.topic, "partition", p.index)
	m.leave(p, r)
}

// leave takes the replica out of service and tells the controller.
func (m *Manager) leave(p *Partition, r *repairing) {
	m.publishing.Lock()
	defer m.publishing.Unlock()
	r.leaving = true
	p.leaving.Store(true)
	if now := p.role.Load(); now.follower != nil { // it must not come back into the ISR by its fetches
		p.resign(m, &role{leaderID: now.leaderID, leaderEpoch: now.leaderEpoch, offline: true})
	}
	m.placements.tell(p.key(), metadata.DirLost)
}

// copyAgain makes the replica anew, once it is needed for nothing.
func (m *Manager) copyAgain(p *Partition, l *log.Log) {
	m.publishing.Lock()
	defer m.publishing.Unlock()
	ids, mp := m.sources(p)
	if p.log.Load() != l || p.role.Load().gone || !m.whole(ids, mp) || m.needed(mp) {
		return // not yet
	}
	m.makeAnew(p, mp)
}

// makeAnew deletes a replica's log and has it copied from its beginning. publishing is held.
func (m *Manager) makeAnew(p *Partition, mp *metadata.Partition) {
	m.offline(p)
	if err := m.o.Dirs.Delete(log.Name{Topic: p.topic, Partition: p.index}); err != nil {
		m.o.Logger.Error("a damaged log cannot be deleted; its replica is offline", "topic", p.topic, "partition", p.index, "error", err.Error())
		return
	}
	fresh, err := m.o.Dirs.Create(p.topic, p.id, p.index, metadata.DirUnassigned, p.config.Load().Log)
	if err != nil {
		m.o.Logger.Error("a damaged replica cannot be made anew; it is offline", "topic", p.topic, "partition", p.index, "error", err.Error())
		return
	}
	p.use(fresh)
	m.backInService(p, mp)
}

// backInService gives a replica its role again. publishing is held.
func (m *Manager) backInService(p *Partition, mp *metadata.Partition) {
	p.leaving.Store(false)
	m.place(p, mp)
	p.become(m, mp)
	delete(m.repairs.under, p.key())
}
