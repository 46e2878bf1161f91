package sim

import (
	"log/slog"
	"slices"
	"time"

	"gregor/internal/journal"
	"gregor/internal/journal/raft"
)

// electionTimeout is that of the voters of the metadata log.
const electionTimeout = time.Second

// openJournal opens this node's copy of the metadata log and lets it exchange messages with the others.
func (p *process) openJournal(logger *slog.Logger) (*raft.Engine, error) {
	n, c := p.n, p.n.c
	e, err := raft.Open(raft.Options{
		Dir: metaDir, NodeID: n.id, FS: n.disk, Logger: logger, Now: n.now, Stepped: true,
		SegmentBytes: 8 << 10, RetentionBytes: 1, ClusterID: clusterID, DirectoryID: n.directory,
		Voters: c.voters(), ElectionTimeout: electionTimeout, Joining: n.starts > 1,
	})
	if err != nil {
		return nil, err
	}
	if len(c.nodes) > 1 {
		p.every(electionTimeout/10, "raft tick", func() { e.Tick() })
	}
	return e, nil
}

// carry sends what the journal wants the other voters to know. A message may come late, twice or never.
func (p *process) carry() {
	c := p.n.c
	for _, m := range p.engine.Outgoing() {
		copies := 1
		if c.w.chance(c.o.Duplicate) {
			copies = 2
		}
		for range copies {
			c.net.send(p.n.id, m.To, "raft", func() {
				if to := c.nodes[m.To-1].proc; to != nil {
					if err := to.engine.Receive(m); err != nil {
						c.w.tracef("node %d refuses a message of %d: %v", m.To, m.From, err)
					}
				}
			})
		}
	}
}

// part is an answer to a request for a part of a snapshot.
type part struct {
	data []byte
	size int64
	err  error
}

// fetchSnapshot asks for the next part of a snapshot that the journal wants, one request at a time.
func (p *process) fetchSnapshot() {
	leader, id, position, ok := p.engine.WantedPart()
	if !ok || p.asked {
		return
	}
	p.asked = true
	call(p.n.c.net, p.n.id, leader, "FetchSnapshot", requestTimeout, func(at *process, reply func(part)) {
		data, size, err := at.engine.ReadSnapshot(id, position, 1+at.n.c.w.rnd.IntN(2000))
		reply(part{slices.Clone(data), size, err})
	}, func(got part, err error) {
		p.asked = false
		if err == nil {
			err = got.err
		}
		p.engine.TakePart(id, position, got.data, got.size, err)
		p.fetchSnapshot()
	})
}

func (c *cluster) voters() []journal.Voter {
	var list []journal.Voter
	for _, n := range c.nodes {
		list = append(list, journal.Voter{ID: n.id, Endpoints: []journal.Endpoint{{Name: "CONTROLLER", Host: "localhost", Port: uint16(9000 + n.id)}}})
	}
	return list
}

// tap lets the checkers hear what a journal tells its controller.
type tap struct {
	*raft.Engine
	p *process
}

func (t tap) Start(h journal.Handler) error { return t.Engine.Start(tapped{h, t.p}) }

type tapped struct {
	journal.Handler
	p *process
}

func (t tapped) Load(s journal.Snapshot) error {
	t.p.n.c.w.note(t.p.n.id, "loads snapshot", s.LastOffset, int64(s.Epoch))
	t.p.view.metadata = s.LastOffset
	return t.Handler.Load(s)
}

func (t tapped) Commit(batches []journal.Batch) error {
	for _, b := range batches {
		t.p.n.c.check.metadataCommitted(t.p, b)
	}
	return t.Handler.Commit(batches)
}

func (t tapped) Lead(epoch int32, nextOffset int64) {
	t.p.n.c.check.controllerLeads(t.p, epoch, nextOffset)
	t.Handler.Lead(epoch, nextOffset)
}
