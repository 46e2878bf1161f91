package controller

import (
	"errors"
	"fmt"
	"time"

	"gregor/internal/journal"
	"gregor/internal/metadata"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// run is the goroutine that owns the machine.
func (c *Controller) run() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for ok := true; ok; {
		var next time.Duration
		select {
		case <-c.wake:
			next, ok = c.turn()
		case <-timer.C:
			// Heartbeats that wait here have been heard of before anybody's session ends.
			if _, ok = c.turn(); ok {
				next = c.tick()
			}
		}
		if next > 0 {
			timer.Reset(next)
		}
	}
}

// turn does everything that waits. next is in how long to tick, if that is new; it reports whether there is a next turn.
func (c *Controller) turn() (next time.Duration, ok bool) {
	c.mu.Lock()
	queue, closed := c.queue, c.closed
	c.queue = nil
	c.mu.Unlock()
	for _, e := range queue {
		c.handle(e, closed)
	}
	if closed {
		c.drop()
		close(c.done)
		return 0, false
	}
	if !c.ticking && c.machine != nil {
		next = c.tick()
	}
	c.ticking = c.machine != nil
	return next, true
}

func (c *Controller) handle(e event, closed bool) {
	switch {
	case e.do != nil:
		e.do()
	case c.machine == nil || closed:
		e.done(notController(e.req))
	default:
		c.decide(e, c.machine.request(c.env(), e.from, e.req))
	}
}

func (c *Controller) env() env {
	return env{nowMs: c.o.Now().UnixMilli(), config: c.o.Config.Load(), kraftVersion: c.KRaftVersion(), newUUID: metadata.NewUUID, random: c.o.Random}
}

// tick lets the machine see the time, and returns when it wants to see it again.
func (c *Controller) tick() time.Duration {
	for c.machine != nil {
		d, nextMs := c.machine.tick(c.env())
		c.decide(event{}, d)
		if nextMs > 0 {
			return time.Duration(nextMs) * time.Millisecond
		}
	}
	return time.Hour
}

// decide appends what was decided, and lets the reply wait for it. A reply that changes nothing still tells of what
// was decided before, so it waits for that.
func (c *Controller) decide(e event, d decision) {
	for len(d.records) > 0 {
		n := len(d.records)
		if d.apart {
			n = min(n, maxRecordsPerBatch)
		}
		refused, err := c.write(d.records[:n])
		if err != nil {
			// What is in the state but not in the log is gone with the machine. Follow or Fail comes next.
			c.o.Logger.Error("a decision could not be written", "error", err)
			if errors.Is(err, journal.ErrUnexpectedOffset) {
				c.fail(err)
			}
			if e.done != nil {
				e.done(notController(e.req))
			}
			c.drop()
			return
		}
		if refused != nil {
			c.o.Logger.Error("a decision was not written", "error", refused, "records", n)
			if e.req != nil {
				d.reply = failAll(e.req, refused)
			}
			break
		}
		d.records = d.records[n:]
	}
	if e.done == nil {
		return
	}
	if d.upgradeQuorum {
		c.upgradeQuorum(e, d.reply)
		return
	}
	if offset := c.machine.hard.image.Offset(); offset > c.known {
		c.waiting = append(c.waiting, waiting{offset, e, d.reply})
	} else {
		e.done(d.reply)
	}
}

// write appends records as one batch. Refused ones leave state and log as they were.
func (c *Controller) write(records []metadata.Record) (refused *apiError, err error) {
	offset := c.machine.nextOffset()
	values := encode(c.machine.hard.image, records)
	size := 0
	for _, v := range values {
		size += len(v) + recordOverhead
	}
	if size > journal.MaxBatchBytes {
		return errTooManyRecords, nil
	}
	if err := c.machine.apply(records, offset+int64(len(records))-1, c.epoch); err != nil {
		return refuse(kerr.UnknownServerError, "%v", err), nil
	}
	return nil, c.o.Journal.Append(c.epoch, offset, c.o.Now().UnixMilli(), values)
}

// recordOverhead is more than a batch adds to a record's value.
const recordOverhead = 32

// settle lets the replies go that wait for offsets up to one.
func (c *Controller) settle(offset int64) {
	c.known = offset
	n := 0
	for n < len(c.waiting) && c.waiting[n].offset <= offset {
		c.waiting[n].done(c.waiting[n].reply)
		c.waiting[n] = waiting{}
		n++
	}
	c.waiting = c.waiting[n:]
}

// lead begins to decide. The image holds everything before nextOffset, but for what a transaction has begun.
func (c *Controller) lead(epoch int32, nextOffset int64, image *metadata.Image, inTxn bool) {
	c.drop()
	if image.Offset()+1 != nextOffset {
		c.fail(fmt.Errorf("the image ends at offset %d, the log begins to be written at %d", image.Offset(), nextOffset))
		return
	}
	m, err := newMachine(c.o.ClusterID, image, c.o.Now().UnixMilli())
	if err != nil {
		c.fail(err)
		return
	}
	c.machine, c.epoch = m, epoch
	c.leader.Store(c.o.NodeID)
	c.o.Logger.Info("this node is the active controller", "epoch", epoch, "offset", nextOffset)
	records, err := c.firstRecords()
	if err != nil {
		c.fail(err)
		return
	}
	if inTxn { // of a leader that is gone (KIP-868)
		records = append([]metadata.Record{&metadata.AbortTransactionRecord{Reason: new("Controller failover")}}, records...)
	}
	c.decide(event{}, decision{records: records})
	if c.machine != nil {
		c.waiting = append(c.waiting, waiting{offset: c.machine.hard.image.Offset(), event: event{done: func(kmsg.Response) { c.nowActive() }}})
		c.settle(c.known)
	}
}

// nowActive comes when the first records are committed, or when that is not to be.
func (c *Controller) nowActive() {
	if c.machine == nil {
		return
	}
	select {
	case <-c.active:
	default:
		close(c.active)
	}
	if c.o.OnActive != nil {
		c.o.OnActive(c.Image())
	}
}

// firstRecords are what a new leader writes of its own: the first records of a new cluster, or what of an old one's
// features it must change.
func (c *Controller) firstRecords() ([]metadata.Record, error) {
	if len(c.machine.hard.image.Features()) > 0 {
		records, err := c.machine.adoptFeatures()
		for _, r := range records {
			c.o.Logger.Warn("a finalized feature is not supported and is taken back", "record", metadata.Versioned{Record: r}.JSON())
		}
		return records, err
	}
	records, elr := make([]metadata.Record, len(c.o.Bootstrap)), false
	for i, r := range c.o.Bootstrap {
		records[i] = r.Record
		if f, ok := r.Record.(*metadata.FeatureLevelRecord); ok && f.Name == metadata.ELRVersionFeature && f.FeatureLevel > 0 {
			elr = true
		}
	}
	if elr {
		records = append(records, c.machine.minISRRecords(c.env())...)
	}
	return records, nil
}

func (c *Controller) follow(leader int32) {
	c.drop()
	c.leader.Store(leader)
	c.o.Logger.Info("this node is not the active controller", "leader", leader)
	if leader >= 0 && c.o.OnLeader != nil {
		c.o.OnLeader()
	}
}

// drop forgets the machine and what it decided but nobody knows to be committed.
func (c *Controller) drop() {
	c.machine = nil
	c.leader.CompareAndSwap(c.o.NodeID, -1)
	waiting := c.waiting
	c.waiting = nil
	for _, w := range waiting {
		if w.req != nil {
			w.done(notController(w.req))
		} else {
			w.done(nil)
		}
	}
}

func notController(req kmsg.Request) kmsg.Response { return failAll(req, errNotController) }
