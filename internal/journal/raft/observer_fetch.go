package raft

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"gregor/internal/journal"
	"gregor/internal/peer"
	"gregor/internal/record"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// errAnswer is an answer that no controller gives.
var errAnswer = errors.New("not an answer to a fetch of the metadata log")

// request is the next fetch: everything behind the end of the log (KIP-595). The epoch of the last record lets the leader
// find a log that is not its own.
func (e *Observer) request() *kmsg.FetchRequest {
	req := kmsg.NewPtrFetchRequest()
	clusterID := e.o.ClusterID
	req.ClusterID = &clusterID
	req.ReplicaID, req.ReplicaState.ID, req.ReplicaState.Epoch = e.o.NodeID, e.o.NodeID, -1
	req.MaxWaitMillis, req.MinBytes, req.MaxBytes = int32(e.o.FetchWait.Milliseconds()), 0, journal.MaxBatchBytes
	if e.leader < 0 {
		req.MaxWaitMillis = 0 // the answer says who leads, and a node that starts waits for that
	}
	req.SessionID, req.SessionEpoch = 0, -1
	p := kmsg.NewFetchRequestTopicPartition()
	p.FetchOffset, p.LastFetchedEpoch, p.CurrentLeaderEpoch = e.log.endOffset(), e.log.lastEpoch(), e.epoch
	p.LogStartOffset, p.PartitionMaxBytes, p.ReplicaDirectoryID = -1, journal.MaxBatchBytes, e.o.DirectoryID
	t := kmsg.NewFetchRequestTopic()
	t.Topic, t.TopicID = topic, topicID
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	return req
}

// took takes the answer to a fetch. Errors that it returns end the observer; what only this controller did wrong ends its
// connection.
func (e *Observer) took(conn *peer.Conn, to target, f *peer.Fetched, err error) error {
	if f != nil {
		defer f.Release()
	}
	if conn != e.route.conn {
		return nil
	}
	if err != nil {
		e.say("the connection to a controller broke", to, err)
		e.noteSlow(to, err)
		e.lost(to)
		return nil
	}
	switch {
	case f.ErrorCode == kerr.InconsistentClusterID.Code:
		e.say("a controller belongs to another cluster than "+e.o.ClusterID+": correct its address in controller.quorum.voters or controller.quorum.bootstrap.servers", to, kerr.InconsistentClusterID)
		e.lost(to)
		return nil
	case f.ErrorCode != 0, len(f.Topics) != 1 || len(f.Topics[0].Partitions) != 1:
		e.say("a controller does not serve the metadata log", to, answerError(f.ErrorCode))
		e.lost(to)
		return nil
	}
	p := &f.Topics[0].Partitions[0]
	for _, b := range f.Brokers {
		e.learn(b.NodeID, strings.Clone(b.Host), int(b.Port)) // the answer lies in a buffer that is used again
	}
	switch p.ErrorCode {
	case 0:
	case kerr.NotLeaderForPartition.Code, kerr.FencedLeaderEpoch.Code, kerr.UnknownLeaderEpoch.Code:
		if p.CurrentLeader.LeaderID == to.id && to.id >= 0 && p.ErrorCode == kerr.FencedLeaderEpoch.Code && p.CurrentLeader.LeaderEpoch > e.epoch {
			e.follow(p.CurrentLeader.LeaderEpoch, to.id) // it leads, in a later epoch than we knew
			e.ask()
			return nil
		}
		e.redirect(p.CurrentLeader.LeaderEpoch, p.CurrentLeader.LeaderID)
		return nil
	case kerr.OffsetOutOfRange.Code:
		return e.otherLog(fmt.Sprintf("it ends at offset %d, behind the end of theirs", e.log.endOffset()))
	default:
		e.say("a controller does not serve the metadata log", to, answerError(p.ErrorCode))
		e.lost(to)
		return nil
	}
	e.leads(to, p)
	switch {
	case p.DivergingEpoch.EndOffset >= 0:
		return e.otherLog(fmt.Sprintf("theirs is another one from offset %d on", p.DivergingEpoch.EndOffset))
	case p.SnapshotID.EndOffset >= 0:
		return e.startSnapshot(to, checkpoint{end: p.SnapshotID.EndOffset, epoch: p.SnapshotID.Epoch})
	}
	batches, err := e.check(p)
	if err != nil {
		e.say("a controller sends what is no metadata log", to, err)
		e.lost(to)
		return nil
	}
	if len(batches) == 0 && len(p.RecordBatches) > 0 {
		e.later(minLook, func() { // it sends what is not committed yet
			if conn == e.route.conn {
				e.ask()
			}
		})
		return nil
	}
	if len(batches) > 0 {
		if err := e.log.append(batches); err != nil {
			return err
		}
		if err := e.handOver(); err != nil {
			return err
		}
	}
	e.ask()
	return nil
}

// leads notes that a controller answers as the leader.
func (e *Observer) leads(to target, p *kmsg.FetchResponseTopicPartition) {
	leader, epoch := p.CurrentLeader.LeaderID, p.CurrentLeader.LeaderEpoch
	if leader < 0 {
		leader, epoch = to.id, e.epoch
	}
	if leader >= 0 && to.id < 0 {
		host, port := hostPort(to.addr)
		e.learn(leader, host, port)
		e.route.to.id = leader
	}
	e.route.tried, e.route.said, e.route.slow = 0, nil, ""
	if leader >= 0 {
		e.follow(max(epoch, e.epoch), leader)
	}
}

// otherLog ends the observer: what it has, and has acted on, is not what the controllers have.
func (e *Observer) otherLog(how string) error {
	return fmt.Errorf("%w: the metadata log in %s is not that of the controllers: %s. Were all of them set up anew, or were their directories restored from an old copy? "+
		"If the controllers are right, delete %s, and this node gets all from them", journal.ErrCorrupt, e.dir, how, e.dir)
}

// check returns the batches of an answer that are committed and follow the log. They are copied out of the connection's
// buffer.
func (e *Observer) check(p *kmsg.FetchResponseTopicPartition) ([]record.Batch, error) {
	var batches []record.Batch
	end, epoch := e.log.endOffset(), e.log.lastEpoch()
	for rest := bytes.Clone(p.RecordBatches); len(rest) > 0; {
		b, next, err := record.Next(rest)
		if errors.Is(err, record.ErrTruncated) && len(batches) > 0 {
			break // the last one is cut off at the limit
		}
		if err == nil {
			err = b.CheckCRC()
		}
		if err == nil && (b.LastOffsetDelta() < 0 || b.NextOffset() < b.BaseOffset() || len(b) > 2*journal.MaxBatchBytes) {
			err = errBadBatch
		}
		if err != nil {
			return nil, fmt.Errorf("%w: behind offset %d: %w", errAnswer, end, err)
		}
		if rest = next; b.NextOffset() <= end {
			continue // Kafka's logs answer with the whole batch in which an offset lies
		}
		if b.BaseOffset() != end || b.LeaderEpoch() < epoch || b.LeaderEpoch() > maxEpoch {
			return nil, fmt.Errorf("%w: batch at offset %d of epoch %d behind offset %d of epoch %d", errAnswer, b.BaseOffset(), b.LeaderEpoch(), end, epoch)
		}
		if b.NextOffset() > p.HighWatermark {
			break // not committed yet
		}
		if _, _, err := votersOf(b, voterSet{}); err != nil {
			return nil, fmt.Errorf("%w: at offset %d: %w", errAnswer, end, err)
		}
		batches = append(batches, b)
		end, epoch = b.NextOffset(), b.LeaderEpoch()
	}
	return batches, nil
}

// startSnapshot begins to fetch a snapshot of the leader, whose log begins behind the end of ours (KIP-630).
func (e *Observer) startSnapshot(to target, c checkpoint) error {
	if c.end <= e.log.endOffset() || c.epoch < e.log.lastEpoch() || c.epoch > maxEpoch {
		e.say("a controller offers a snapshot that is older than the log", to, fmt.Errorf("%w: %s, the log ends at %d", errAnswer, c.name(), e.log.endOffset()))
		e.lost(to)
		return nil
	}
	e.dropSnapshot()
	f := &fetching{leader: to.id, c: c, path: filepath.Join(e.dir, fetchName(c))}
	var err error
	if f.file, err = e.o.FS.Create(f.path); err != nil {
		return err
	}
	e.fetch = f
	e.o.Logger.Info("fetching a snapshot of the metadata from the leader", "leader", f.leader, "snapshot", c.name())
	e.ask()
	return nil
}

// tookPart takes a part of a snapshot.
func (e *Observer) tookPart(conn *peer.Conn, to target, kresp kmsg.Response, err error) error {
	f := e.fetch
	if conn != e.route.conn || f == nil {
		return nil
	}
	var data []byte
	var size int64
	if err == nil {
		data, size, err = partOf(kresp.(*kmsg.FetchSnapshotResponse), f.pos)
	}
	if err != nil {
		e.say("a snapshot of the metadata cannot be fetched", to, err)
		e.lost(to) // a leader that took another snapshot since names it in the next answer
		return nil
	}
	done, err := f.take(data, size)
	switch {
	case errors.Is(err, errBadMessage):
		e.say("a snapshot of the metadata cannot be fetched", to, err)
		e.lost(to)
	case err != nil:
		return err
	case !done:
		e.ask()
	default:
		return e.takeSnapshot(to)
	}
	return nil
}

// takeSnapshot puts a snapshot that is complete in the place of the log.
func (e *Observer) takeSnapshot(to target) error {
	f := e.fetch
	e.fetch = nil
	if err := f.file.Close(); err != nil {
		return err
	}
	header, err := readCheckpointHeader(e.o.FS, f.path)
	if f.c.index = header.raftIndex; f.c.index == 0 {
		f.c.index = uint64(f.c.end)
	}
	if err == nil {
		err = checkCheckpoint(e.o.FS, f.path, f.c)
	}
	if errors.Is(err, journal.ErrCorrupt) {
		e.say("the snapshot that a controller sent is damaged", to, err)
		if err := e.o.FS.Remove(f.path); err != nil {
			return err
		}
		e.lost(to)
		return nil
	}
	if err != nil {
		return err
	}
	if err := e.log.replace(f.path, f.c); err != nil {
		return err
	}
	e.applied = e.log.first - 1
	e.setStatus()
	e.o.Logger.Info("took a snapshot of the metadata from the leader", "snapshot", f.c.name())
	if err := e.load(); err != nil {
		return err
	}
	if err := e.log.clean(e.o.RetentionBytes, e.o.RetentionMs, e.o.Now().UnixMilli()); err != nil {
		return err
	}
	e.ask()
	return nil
}

// dropSnapshot forgets a snapshot that is not complete.
func (e *Observer) dropSnapshot() {
	if f := e.fetch; f != nil {
		e.fetch = nil
		_ = f.file.Close()
		_ = e.o.FS.Remove(f.path)
	}
}

func answerError(code int16) error {
	if err := kerr.ErrorForCode(code); err != nil {
		return err
	}
	return errAnswer
}
