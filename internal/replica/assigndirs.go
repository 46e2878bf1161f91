package replica

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"gregor/internal/metadata"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// placements tells the controller which log directory holds which replica (KIP-858), so that it knows whom the failure of
// a directory takes out of the ISRs. One request is under way at a time, with everything that came up meanwhile in the
// next. It has no goroutine: it moves when a placement comes, when an answer comes, and with Manager.Tick.
type placements struct {
	m   *Manager
	ctx context.Context

	mu    sync.Mutex
	want  map[partitionKey]metadata.UUID // not acknowledged; what is under way too
	asked bool
	pause time.Duration
	until time.Time // no request before that
	held  int
}

// maxPlacements is Kafka's limit of one request.
const maxPlacements = 2250

const (
	minPlacePause = 50 * time.Millisecond
	maxPlacePause = 10 * time.Second
)

// place compares where a replica's log is with what the metadata says, and has the controller told if that differs.
func (m *Manager) place(p *Partition, mp *metadata.Partition) {
	l := p.log.Load()
	if l == nil || p.leaving.Load() || m.o.AssignDirs == nil || m.image == nil || !m.image.HasDirectories() {
		return
	}
	if dir := metadata.UUID(m.o.Dirs.DirOf(l)); dir != mp.Dir(m.o.NodeID) && !dir.IsZero() {
		m.placements.tell(p.key(), dir)
	} else {
		m.placements.known(p.key(), dir)
	}
}

func (ps *placements) tell(key partitionKey, dir metadata.UUID) {
	ps.mu.Lock()
	if ps.want == nil {
		ps.want = make(map[partitionKey]metadata.UUID)
	}
	ps.want[key] = dir
	ps.mu.Unlock()
	ps.send()
}

// known notes that the metadata says what was to be told.
func (ps *placements) known(key partitionKey, dir metadata.UUID) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if ps.want[key] == dir {
		delete(ps.want, key)
	}
}

// forget is for a replica that is here no more.
func (ps *placements) forget(key partitionKey) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	delete(ps.want, key)
}

// hold keeps requests back until release, so that those of many partitions go as one.
func (ps *placements) hold() {
	ps.mu.Lock()
	ps.held++
	ps.mu.Unlock()
}

func (ps *placements) release() {
	ps.mu.Lock()
	ps.held--
	ps.mu.Unlock()
	ps.send()
}

// due is when to try again after a failure; zero if there is nothing to wait for.
func (ps *placements) due() time.Time {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if ps.asked || len(ps.want) == 0 {
		return time.Time{}
	}
	return ps.until
}

// send tells all that is to be told, if it may.
func (ps *placements) send() {
	ps.mu.Lock()
	if ps.asked || ps.held > 0 || len(ps.want) == 0 || ps.m.now().Before(ps.until) {
		ps.mu.Unlock()
		return
	}
	ps.asked = true
	asked := make(map[partitionKey]metadata.UUID, min(len(ps.want), maxPlacements))
	for _, key := range slices.SortedFunc(maps.Keys(ps.want), partitionKey.compare) { // the same order in every run
		if len(asked) == maxPlacements {
			break
		}
		asked[key] = ps.want[key]
	}
	ps.mu.Unlock()
	ps.m.o.AssignDirs(ps.ctx, placementRequest(ps.m.o.NodeID, ps.m.brokerEpoch(), asked), func(resp *kmsg.AssignReplicasToDirsResponse, err error) {
		ps.answered(asked, resp, err)
	})
}

func placementRequest(broker int32, epoch int64, asked map[partitionKey]metadata.UUID) *kmsg.AssignReplicasToDirsRequest {
	req := kmsg.NewPtrAssignReplicasToDirsRequest()
	req.BrokerID, req.BrokerEpoch = broker, epoch
	dirs := make(map[metadata.UUID]int)
	topics := make(map[partitionKey]int) // of a directory: by topic and the directory's place
	for _, key := range slices.SortedFunc(maps.Keys(asked), partitionKey.compare) {
		d, ok := dirs[asked[key]]
		if !ok {
			d = len(req.Directories)
			dirs[asked[key]] = d
			dir := kmsg.NewAssignReplicasToDirsRequestDirectory()
			dir.ID = asked[key]
			req.Directories = append(req.Directories, dir)
		}
		dir := &req.Directories[d]
		t, ok := topics[partitionKey{key.topic, int32(d)}]
		if !ok {
			t = len(dir.Topics)
			topics[partitionKey{key.topic, int32(d)}] = t
			topic := kmsg.NewAssignReplicasToDirsRequestDirectoryTopic()
			topic.TopicID = key.topic
			dir.Topics = append(dir.Topics, topic)
		}
		p := kmsg.NewAssignReplicasToDirsRequestDirectoryTopicPartition()
		p.Partition = key.index
		dir.Topics[t].Partitions = append(dir.Topics[t].Partitions, p)
	}
	return req
}

// answered takes the controller's answer. What the controller does not know any more is dropped; the metadata will say so
// to this broker, too. The rest is told again.
func (ps *placements) answered(asked map[partitionKey]metadata.UUID, resp *kmsg.AssignReplicasToDirsResponse, err error) {
	if err == nil {
		err = kerr.ErrorForCode(resp.ErrorCode)
	}
	ps.mu.Lock()
	ps.asked = false
	if err == nil {
		for i := range resp.Directories {
			for j := range resp.Directories[i].Topics {
				t := &resp.Directories[i].Topics[j]
				for _, p := range t.Partitions {
					key := partitionKey{t.TopicID, p.Partition}
					switch perr := kerr.ErrorForCode(p.ErrorCode); perr {
					case nil, kerr.UnknownTopicID, kerr.UnknownTopicOrPartition, kerr.NotLeaderForPartition:
						if dir, ok := ps.want[key]; ok && dir == asked[key] {
							delete(ps.want, key)
						}
					default:
						err = perr
					}
					delete(asked, key)
				}
			}
		}
		if len(asked) > 0 && err == nil {
			err = fmt.Errorf("%w: %d replicas are not in the answer", errProtocol, len(asked))
		}
	}
	if err == nil {
		ps.pause, ps.until = 0, time.Time{}
		ps.mu.Unlock()
		ps.send()
		return
	}
	ps.pause = min(max(2*ps.pause, minPlacePause), maxPlacePause)
	ps.until = ps.m.now().Add(ps.pause)
	told := ps.pause == maxPlacePause
	ps.mu.Unlock()
	if told && ps.ctx.Err() == nil {
		ps.m.o.Logger.Warn("the controller cannot be told which log directories hold the replicas; trying again", "error", err.Error(), "in", ps.pause)
	}
	ps.m.wake()
}
