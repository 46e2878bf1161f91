package replica

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"gregor/internal/log"
	"gregor/internal/metadata"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// TopicConfig is the configuration of a topic as its partitions act on it.
type TopicConfig struct {
	Log               *log.Config
	MinInSyncReplicas int // min.insync.replicas

	LeaderThrottled, FollowerThrottled Throttled
}

// Logs is where the logs of this broker's partitions are: [log.Dirs].
type Logs interface {
	Get(topic string, partition int32) *log.Log
	Create(topic string, id [16]byte, partition int32, dir [16]byte, c *log.Config) (*log.Log, error)
	Delete(logs ...log.Name) error
	MarkStray(topic string, partition int32) error
	All() iter.Seq[*log.Log]
	DirOf(l *log.Log) [16]byte
	Offline() [][16]byte
	Future(topic string, partition int32) *log.Log
	CreateFuture(topic string, partition int32, dir [16]byte) (*log.Log, error)
	DeleteFuture(topic string, partition int32) error
	Promote(topic string, partition int32) (*log.Log, error)
	Damaged() []*log.Log
	Broken(topic string, partition int32) error
	Mend(topic string, partition int32, damage log.Damage, records []byte) (more bool, err error)
	Reopen(topic string, partition int32) (*log.Log, error)
}

// Options is what a Manager is made with. Logger, OnLeader and OnResign may be nil.
type Options struct {
	NodeID int32
	Dirs   Logs
	// TopicConfig makes a topic's configuration of its overrides. An error is logged and the defaults are used.
	TopicConfig func(topic string, overrides map[string]string) (TopicConfig, error)
	Logger      *slog.Logger

	// OnLeader is told of every leader epoch that begins here, OnResign of its end: in the order of the changes for one
	// partition, at once for several, and before Publish returns. They must return soon.
	OnLeader func(topic string, partition, epoch int32, p *Partition)
	OnResign func(topic string, partition, epoch int32)

	// Alter asks the active controller, wherever it is, for a change of ISRs (KIP-497). done is called exactly once, on
	// any goroutine, perhaps before Alter returns. nil: ISRs stay as the metadata says.
	Alter func(ctx context.Context, req *kmsg.AlterPartitionRequest, done func(*kmsg.AlterPartitionResponse, error))
	// AssignDirs tells the active controller which log directories hold this broker's replicas (KIP-858). done is called
	// like Alter's. nil: nobody is told.
	AssignDirs func(ctx context.Context, req *kmsg.AssignReplicasToDirsRequest, done func(*kmsg.AssignReplicasToDirsResponse, error))
	// Verify asks the coordinator of a transaction, wherever it is. done is called once, on any goroutine, perhaps before
	// Verify returns, with an error (of kerr, or one of reaching the coordinator) for each partition, or nil if all are
	// fine; it must be called in any case. nil: transactional batches are appended unasked.
	Verify func(v Verification, done func(errs []error))
	// Verified is transaction.partition.verification.enable; nil: true. Transactions version 2 is verified in any case.
	Verified func() bool
	// Nearest tells whether clients are sent to a replica in their own rack (replica.selector.class); nil: no.
	Nearest func() bool
	// BrokerEpoch is the epoch of this broker's registration; nil or -1: not known, and not checked.
	BrokerEpoch func() int64
	// Connect opens a connection to a broker's inter-broker listener, as the image has it. nil: nothing is followed.
	Connect func(ctx context.Context, broker int32) (Remote, error)
	// LagTime is replica.lag.time.max.ms: how long a follower may lag before it leaves the ISR. nil: 30 s.
	LagTime func() time.Duration
	// Fetching is how followers fetch; nil: Kafka's defaults.
	Fetching func() Fetching
	// Rates is the limits of replication; nil: none. Reconfigure takes over altered ones.
	Rates func() Rates
	Clock func() time.Time // nil: time.Now
	// Inline starts no goroutine and no timer: steps of the metadata are taken in order on the caller's goroutine, and
	// the caller drives followers and ISR changes with the methods of stepped.go. It is for simulations.
	Inline bool
}

// Manager has all partitions of this broker. It follows the metadata as a [metadata.Publisher].
type Manager struct {
	o Options

	// publishing orders Publish and Reconfigure. Only they change what mu guards, so they may read it without mu.
	publishing sync.Mutex
	removed    []log.Name // logs to be deleted in this step

	mu     sync.RWMutex
	topics map[string]*topic
	byID   map[metadata.UUID]*topic
	image  *metadata.Image // the one published last

	current    atomic.Pointer[metadata.Image] // image, for those who hold other locks
	proposals  proposals
	placements placements
	throttles  throttles
	moves      moves
	repairs    repairs
	followers  fetchers
	watched    watched
	ticker     ticker
}

// topic is a topic of which this broker has at least one replica.
type topic struct {
	name       string
	id         metadata.UUID
	partitions []*Partition // by index; nil where there is no replica here
	config     *TopicConfig
}

var _ metadata.Publisher = (*Manager)(nil)

// NewManager returns a manager without partitions; the first Publish gives it some. Close it.
func NewManager(o Options) *Manager {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	m := &Manager{o: o, topics: make(map[string]*topic), byID: make(map[metadata.UUID]*topic)}
	m.start()
	return m
}

// Partition finds a replica of this broker by the topic's name. ErrNotLeader means that the partition exists, on other
// brokers only.
func (m *Manager) Partition(topic string, partition int32) (*Partition, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if p := m.topics[topic].find(partition); p != nil {
		return p, nil
	}
	if m.image != nil && m.image.Partition(topic, partition) != nil {
		return nil, fmt.Errorf("%w: %s-%d", ErrNotLeader, topic, partition)
	}
	return nil, fmt.Errorf("%w: %s-%d", ErrUnknownPartition, topic, partition)
}

// PartitionByID finds a replica of this broker by the topic's id.
func (m *Manager) PartitionByID(id metadata.UUID, partition int32) (*Partition, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	t := m.byID[id]
	if p := t.find(partition); p != nil {
		return p, nil
	}
	if m.image == nil || m.image.TopicByID(id) == nil {
		return nil, fmt.Errorf("%w: %s", ErrUnknownTopicID, id)
	}
	if mt := m.image.TopicByID(id); partition >= 0 && int(partition) < len(mt.Partitions) {
		return nil, fmt.Errorf("%w: %s-%d", ErrNotLeader, mt.Name, partition)
	}
	return nil, fmt.Errorf("%w: %s-%d", ErrUnknownPartition, id, partition)
}

// All calls f with every partition, in no order (by name if Inline), without holding a lock.
func (m *Manager) All(f func(*Partition)) {
	m.mu.RLock()
	var all []*Partition
	for _, t := range m.topics {
		for _, p := range t.partitions {
			if p != nil {
				all = append(all, p)
			}
		}
	}
	m.mu.RUnlock()
	if m.o.Inline { // the same order in every run
		slices.SortFunc(all, (*Partition).compare)
	}
	for _, p := range all {
		f(p)
	}
}

func (t *topic) find(partition int32) *Partition {
	if t == nil || partition < 0 || int(partition) >= len(t.partitions) {
		return nil
	}
	return t.partitions[partition]
}

// Publish takes over a step of the metadata: deletes, makes and leads partitions. It does the file work of the changed
// partitions on the caller's goroutine, so that whoever sees the image finds the partitions.
func (m *Manager) Publish(delta *metadata.Delta, image *metadata.Image) {
	m.publishing.Lock()
	defer m.publishing.Unlock()
	first := m.image == nil
	m.mu.Lock()
	m.image = image
	m.mu.Unlock()
	m.current.Store(image)
	m.proposals.hold() // what several partitions lead to goes as one request
	defer m.proposals.release()
	m.placements.hold()
	defer m.placements.release()
	var steps []*step
	for td := range delta.Topics() {
		if td.Deleted() {
			m.deleteTopic(td.Old)
			continue
		}
		for _, index := range td.Changed() {
			if s := m.prepare(td.New, index); s != nil {
				steps = append(steps, s)
			}
		}
	}
	m.deleteRemoved() // before new ones of the same names are made
	m.take(steps)
	m.configure(delta, image)
	if first {
		m.markStrays(image)
	}
	if returned(delta) {
		m.reviewWatched()
	}
}

// configure gives changed topic configurations to their logs. A change of the brokers' defaults reaches every topic by
// Reconfigure, which whoever applies dynamic broker configuration calls.
func (m *Manager) configure(delta *metadata.Delta, image *metadata.Image) {
	for r := range delta.Configs() {
		if r.Kind == metadata.TopicConfig {
			if t := m.topics[r.Name]; t != nil {
				m.setConfig(t, image)
			}
		}
	}
}

// Reconfigure makes every topic's configuration anew: after the broker's own defaults changed.
func (m *Manager) Reconfigure() {
	m.publishing.Lock()
	defer m.publishing.Unlock()
	m.setRates()
	for _, t := range m.topics {
		m.setConfig(t, m.image)
	}
}

func (m *Manager) setConfig(t *topic, image *metadata.Image) {
	c, err := m.o.TopicConfig(t.name, image.Config(metadata.TopicConfig, t.name))
	if err != nil {
		m.o.Logger.Error("topic configuration cannot be used; the one before stays in force", "topic", t.name, "error", err.Error())
		if t.config != nil {
			return
		}
		if c, err = m.o.TopicConfig(t.name, nil); err != nil {
			c = TopicConfig{Log: log.DefaultConfig(), MinInSyncReplicas: 1}
		}
	}
	t.config = &c
	for _, p := range t.partitions {
		if p != nil {
			p.config.Store(&c)
			if l := p.log.Load(); l != nil {
				l.SetConfig(c.Log)
			}
		}
	}
}

// step is a partition on its way to the role that the metadata says.
type step struct {
	topic *topic
	p     *Partition
	to    *metadata.Partition
}

// prepare finds or makes the partition that changed. It returns nil if this broker has no replica of it (any more).
func (m *Manager) prepare(mt *metadata.Topic, index int32) *step {
	mp := mt.Partitions[index]
	t := m.byID[mt.ID]
	p := t.find(index)
	if !slices.Contains(mp.Replicas, m.o.NodeID) {
		if p != nil {
			m.put(t, index, nil)
			m.remove(p)
		}
		return nil
	}
	if t == nil {
		t = &topic{name: mt.Name, id: mt.ID}
		m.setConfig(t, m.image)
		m.mu.Lock()
		m.topics[t.name], m.byID[t.id] = t, t
		m.mu.Unlock()
	}
	if p == nil {
		p = &Partition{topic: t.name, id: t.id, index: index, nodeID: m.o.NodeID, m: m}
		p.config.Store(t.config)
		p.role.Store(&role{leaderID: metadata.NoLeader, leaderEpoch: -1})
	}
	return &step{t, p, mp}
}

// stepsAtOnce is how many partitions do their file work at the same time. It is mostly waiting for the disk to sync, and
// a disk syncs many files in little more time than one.
const stepsAtOnce = 16

// take gives the partitions their roles. A partition can be found once it has its role.
func (m *Manager) take(steps []*step) {
	if len(steps) == 1 || m.o.Inline {
		for _, s := range steps {
			m.takeOne(s)
		}
	} else {
		var wg sync.WaitGroup
		next := make(chan *step)
		for range min(stepsAtOnce, len(steps)) {
			wg.Go(func() {
				for s := range next {
					m.takeOne(s)
				}
			})
		}
		for _, s := range steps {
			next <- s
		}
		close(next)
		wg.Wait()
	}
	for _, s := range steps {
		m.put(s.topic, s.p.index, s.p)
	}
}

func (m *Manager) takeOne(s *step) {
	if s.p.log.Load() == nil {
		m.openLog(s.p, s.to)
	}
	m.place(s.p, s.to)
	s.p.become(m, s.to)
	m.resumeMove(s.p)
}

// put makes a partition one that can be found, or, with nil, not any more.
func (m *Manager) put(t *topic, index int32, p *Partition) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for len(t.partitions) <= int(index) {
		t.partitions = append(t.partitions, nil)
	}
	t.partitions[index] = p
}

// openLog finds or makes the log of a new partition. Without one the partition is offline.
func (m *Manager) openLog(p *Partition, mp *metadata.Partition) {
	l := m.o.Dirs.Get(p.topic, p.index)
	if l != nil && metadata.UUID(l.TopicID()) != p.id && !metadata.UUID(l.TopicID()).IsZero() {
		// The topic was deleted and made again while this broker was down.
		m.o.Logger.Warn("log belongs to a deleted topic of the same name; it is put aside", "dir", l.Dir(), "topic_id", metadata.UUID(l.TopicID()).String(), "want", p.id.String())
		if err := m.o.Dirs.MarkStray(p.topic, p.index); err != nil {
			m.o.Logger.Error("cannot put log aside", "dir", l.Dir(), "error", err.Error())
			return
		}
		l = nil
	}
	if l != nil && l.Err() != nil || l == nil && m.mayBeOffline(mp) {
		m.o.Logger.Error("the partition is offline: its log directory has failed, or one has in which it may be", "topic", p.topic, "partition", p.index)
		return
	}
	if l == nil {
		dir := mp.Dir(m.o.NodeID)
		if dir.IsReserved() {
			dir = metadata.DirUnassigned
			if preferred, ok := m.preferredDir(p.topic, p.index); ok {
				dir = preferred
			}
		}
		var err error
		l, err = m.o.Dirs.Create(p.topic, p.id, p.index, dir, p.config.Load().Log)
		if errors.Is(err, log.ErrExists) {
			l, err = m.o.Dirs.Get(p.topic, p.index), nil
		}
		if errors.Is(err, log.ErrDirOffline) && len(m.o.Dirs.Offline()) == 0 {
			// Its directory is not one of ours any more, and none has failed: the disk was replaced. The replica is made anew,
			// as with Apache Kafka; this broker left the ISRs when it registered without that directory.
			m.o.Logger.Warn("the log directory of a replica is gone; it is made anew in another", "topic", p.topic, "partition", p.index, "dir_id", dir.String())
			l, err = m.o.Dirs.Create(p.topic, p.id, p.index, metadata.DirUnassigned, p.config.Load().Log)
		}
		if err != nil || l == nil {
			m.o.Logger.Error("cannot make log; the partition is offline", "topic", p.topic, "partition", p.index, "error", fmt.Sprint(err))
			m.noteBroken(p, err)
			return
		}
	}
	if metadata.UUID(l.TopicID()).IsZero() && !p.id.IsZero() {
		if err := l.AssignTopicID(p.id); err != nil {
			m.o.Logger.Warn("the topic's id is not noted in a log that has none", "dir", l.Dir(), "error", err.Error())
		}
	}
	l.SetConfig(p.config.Load().Log)
	if err := l.FlushRecovered(); err != nil {
		m.o.Logger.Error("cannot flush what a crash left of a log; the partition is offline", "dir", l.Dir(), "error", err.Error())
		return
	}
	p.use(l)
}

// use takes a log as the replica's.
func (p *Partition) use(l *log.Log) {
	if !p.m.o.Inline {
		l.OnFlushed(p.flushed)
	}
	p.log.Store(l)
}

func (m *Manager) deleteTopic(mt *metadata.Topic) {
	t := m.byID[mt.ID]
	if t == nil {
		return
	}
	m.mu.Lock()
	delete(m.byID, t.id)
	if m.topics[t.name] == t {
		delete(m.topics, t.name)
	}
	m.mu.Unlock()
	for _, p := range t.partitions {
		if p != nil {
			m.remove(p)
		}
	}
}

// remove ends a partition: everything that waits is told. The log goes with deleteRemoved.
func (m *Manager) remove(p *Partition) {
	p.resign(m, &role{leaderID: metadata.NoLeader, leaderEpoch: p.role.Load().leaderEpoch, gone: true})
	p.log.Store(nil)
	m.placements.forget(p.key())
	m.removed = append(m.removed, log.Name{Topic: p.topic, Partition: p.index})
	p.advanced()
}

// deleteRemoved deletes the logs of all partitions that a step of the metadata removed, at the price of one.
func (m *Manager) deleteRemoved() {
	gone := m.removed
	m.removed = nil
	if len(gone) == 0 {
		return
	}
	if err := m.o.Dirs.Delete(gone...); err != nil {
		m.o.Logger.Error("cannot delete logs", "error", err.Error())
	}
}

// markStrays puts logs aside that the metadata does not place here. They are kept: they hold records.
func (m *Manager) markStrays(image *metadata.Image) {
	for l := range m.o.Dirs.All() {
		if l.Topic() == "__cluster_metadata" {
			continue
		}
		mp := image.Partition(l.Topic(), l.Partition())
		if mp != nil && slices.Contains(mp.Replicas, m.o.NodeID) {
			continue
		}
		m.o.Logger.Warn("log is not of this cluster's partitions; it is put aside", "dir", l.Dir())
		if err := m.o.Dirs.MarkStray(l.Topic(), l.Partition()); err != nil {
			m.o.Logger.Error("cannot put log aside", "dir", l.Dir(), "error", err.Error())
		}
	}
}
