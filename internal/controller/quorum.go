package controller

import (
	"context"
	"errors"
	"time"

	"gregor/internal/journal"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// voterTimeout bounds a change of the voters whose request says nothing of it.
const voterTimeout = 30 * time.Second

// quorum answers requests that are about the metadata log itself and not about what is in it. It reports false for all
// others.
func (c *Controller) quorum(ctx context.Context, req kmsg.Request, done func(kmsg.Response)) bool {
	var clusterID *string
	switch r := req.(type) {
	case *kmsg.DescribeQuorumRequest:
	case *kmsg.AddRaftVoterRequest:
		clusterID = r.ClusterID
	case *kmsg.RemoveRaftVoterRequest:
		clusterID = r.ClusterID
	case *kmsg.UpdateRaftVoterRequest:
		clusterID = r.ClusterID
	default:
		return false
	}
	q, ok := c.o.Journal.(journal.Quorum)
	switch {
	case !ok:
		done(Refusal(req, kerr.UnsupportedVersion))
	case clusterID != nil && *clusterID != c.o.ClusterID:
		done(Refusal(req, kerr.InconsistentClusterID))
	case !c.Active():
		done(Refusal(req, kerr.NotLeaderForPartition))
	default:
		// One goroutine for each: the journal answers between two of its turns, which may wait for the disk. Changes are rare,
		// and refused while another goes on. All end with the journal at the latest.
		c.mu.Lock()
		closed := c.closed
		if !closed {
			c.asking.Go(func() {
				if r, ok := req.(*kmsg.DescribeQuorumRequest); ok {
					done(describeQuorum(r, q))
				} else {
					c.changeVoters(ctx, q, req, done)
				}
			})
		}
		c.mu.Unlock()
		if closed {
			done(notController(req))
		}
	}
	return true
}

// describeQuorum answers DescribeQuorum (KIP-595, KIP-836, KIP-853).
func describeQuorum(req *kmsg.DescribeQuorumRequest, q journal.Quorum) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.DescribeQuorumResponse)
	s := q.Describe()
	for _, t := range req.Topics {
		answer := kmsg.DescribeQuorumResponseTopic{Topic: t.Topic}
		for _, asked := range t.Partitions {
			p := kmsg.NewDescribeQuorumResponseTopicPartition()
			p.Partition = asked.Partition
			if t.Topic != metadataTopic || asked.Partition != 0 {
				plain(kerr.UnknownTopicOrPartition).put(&p.ErrorCode, &p.ErrorMessage)
			} else {
				p.LeaderID, p.LeaderEpoch, p.HighWatermark = s.Leader, s.Epoch, s.HighWatermark
				p.CurrentVoters, p.Observers = replicaStates(s.Voters), replicaStates(s.Observers)
			}
			answer.Partitions = append(answer.Partitions, p)
		}
		resp.Topics = append(resp.Topics, answer)
	}
	for _, v := range q.Voters() {
		n := kmsg.DescribeQuorumResponseNode{NodeID: v.ID}
		for _, e := range v.Endpoints {
			n.Listeners = append(n.Listeners, kmsg.DescribeQuorumResponseNodeListener{Name: e.Name, Host: e.Host, Port: e.Port})
		}
		resp.Nodes = append(resp.Nodes, n)
	}
	return resp
}

func replicaStates(states []journal.ReplicaState) []kmsg.DescribeQuorumResponseTopicPartitionReplicaState {
	var out []kmsg.DescribeQuorumResponseTopicPartitionReplicaState
	for _, s := range states {
		out = append(out, kmsg.DescribeQuorumResponseTopicPartitionReplicaState{
			ReplicaID: s.ID, ReplicaDirectoryID: s.DirectoryID, LogEndOffset: s.LogEndOffset,
			LastFetchTimestamp: s.LastFetchMs, LastCaughtUpTimestamp: s.LastCaughtUpMs,
		})
	}
	return out
}

// changeVoters does what AddRaftVoter, RemoveRaftVoter and UpdateRaftVoter ask for (KIP-853).
func (c *Controller) changeVoters(ctx context.Context, q journal.Quorum, req kmsg.Request, done func(kmsg.Response)) {
	timeout := voterTimeout
	var change journal.VoterChange
	switch r := req.(type) {
	case *kmsg.AddRaftVoterRequest:
		if r.TimeoutMillis > 0 {
			timeout = min(timeout, time.Duration(r.TimeoutMillis)*time.Millisecond)
		}
		v := &journal.Voter{ID: r.VoterID, DirectoryID: r.VoterDirectoryID}
		for _, l := range r.Listeners {
			v.Endpoints = append(v.Endpoints, journal.Endpoint{Name: l.Name, Host: l.Host, Port: l.Port})
		}
		change.Add = v
	case *kmsg.RemoveRaftVoterRequest:
		change.Remove = &journal.VoterKey{ID: r.VoterID, DirectoryID: r.VoterDirectoryID}
	case *kmsg.UpdateRaftVoterRequest:
		v := &journal.Voter{ID: r.VoterID, DirectoryID: r.VoterDirectoryID}
		for _, l := range r.Listeners {
			v.Endpoints = append(v.Endpoints, journal.Endpoint{Name: l.Name, Host: l.Host, Port: l.Port})
		}
		change.Update = v
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if err := q.ChangeVoters(ctx, change); err != nil {
		done(failAll(req, refuse(voterError(err), "%v", err)))
		return
	}
	resp := req.ResponseKind()
	if r, ok := resp.(*kmsg.UpdateRaftVoterResponse); ok {
		s := q.Describe()
		r.CurrentLeader.LeaderID, r.CurrentLeader.LeaderEpoch = s.Leader, s.Epoch
	}
	done(resp)
}

// voterError is what Kafka's quorum answers for a change that is refused.
func voterError(err error) *kerr.Error {
	for _, e := range []struct {
		err   error
		kafka *kerr.Error
	}{
		{journal.ErrNotLeader, kerr.NotLeaderForPartition},
		{journal.ErrChangePending, kerr.RequestTimedOut},
		{journal.ErrNotCaughtUp, kerr.RequestTimedOut},
		{context.DeadlineExceeded, kerr.RequestTimedOut},
		{context.Canceled, kerr.NotLeaderForPartition},
		{journal.ErrClosed, kerr.NotLeaderForPartition},
		{journal.ErrDuplicateVoter, kerr.DuplicateVoter},
		{journal.ErrVoterNotFound, kerr.VoterNotFound},
		{journal.ErrLastVoter, kerr.InvalidRequest},
		{journal.ErrInvalidVoter, kerr.InvalidRequest},
	} {
		if errors.Is(err, e.err) {
			return e.kafka
		}
	}
	return kerr.UnknownServerError
}

// KRaftVersion is the level of kraft.version: 1 when the voters live in the log, 0 when the configuration names them.
func (c *Controller) KRaftVersion() int16 { return c.o.Journal.Status().KRaftVersion }

// upgradeQuorum raises kraft.version, and answers when that is committed. It is told by UpdateFeatures, as in Kafka.
func (c *Controller) upgradeQuorum(e event, reply kmsg.Response) {
	q, ok := c.o.Journal.(journal.Quorum)
	if !ok {
		e.done(Refusal(e.req, kerr.UnsupportedVersion))
		return
	}
	c.asking.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), voterTimeout)
		defer cancel()
		if err := q.ChangeVoters(ctx, journal.VoterChange{Upgrade: true}); err != nil {
			reply = failAll(e.req, refuse(voterError(err), "%v", err))
		}
		e.done(reply)
	})
}
