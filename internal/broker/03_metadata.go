package broker

import (
	"context"
	"slices"

	"gregor/internal/metadata"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Metadata: versions 0-13 (KIP-4, KIP-430 authorized operations, KIP-516 topic ids, KIP-1102 rebootstrap).
//
// A topic that is created on demand is answered with its partitions once the controller has made it; Kafka answers
// UNKNOWN_TOPIC_OR_PARTITION and lets the client ask again.
func (b *Broker) metadata(ctx context.Context, r *Request) {
	req := r.Body.(*kmsg.MetadataRequest)
	if all := req.Topics == nil || r.Version == 0 && len(req.Topics) == 0; all {
		resp := b.metadataBase(r)
		image := b.image()
		for t := range image.Topics() {
			resp.Topics = append(resp.Topics, b.topicMetadata(r, image, t))
		}
		r.Reply(resp)
		return
	}
	missing := b.missingTopics(r, req)
	if len(missing) == 0 || !b.config.Load().Bool("auto.create.topics.enable") || r.Version >= 4 && !req.AllowAutoTopicCreation {
		r.Reply(b.metadataOf(r, req, nil))
		return
	}
	b.autoCreate(ctx, r.caller(), missing, func(failed map[string]int16) { r.Reply(b.metadataOf(r, req, failed)) })
}

// missingTopics are the names, each once, that the request asks for and that do not exist.
func (b *Broker) missingTopics(r *Request, req *kmsg.MetadataRequest) []string {
	image := b.image()
	var names []string
	seen := map[string]bool{}
	for _, t := range req.Topics {
		if t.TopicID != ([16]byte{}) || t.Topic == nil {
			return nil // a request by ids creates nothing
		}
		if !seen[*t.Topic] && image.Topic(*t.Topic) == nil {
			seen[*t.Topic] = true
			names = append(names, *t.Topic)
		}
	}
	return names
}

// metadataOf answers for the topics of a request; failed has the errors of those that could not be created.
func (b *Broker) metadataOf(r *Request, req *kmsg.MetadataRequest, failed map[string]int16) *kmsg.MetadataResponse {
	resp := b.metadataBase(r)
	image := b.image()
	byID := slices.ContainsFunc(req.Topics, func(t kmsg.MetadataRequestTopic) bool { return t.TopicID != [16]byte{} })
	seen, seenID := map[string]bool{}, map[[16]byte]bool{}
	for i := range req.Topics {
		asked := &req.Topics[i]
		var t *metadata.Topic
		bad := kmsg.NewMetadataResponseTopic()
		bad.Topic, bad.TopicID = asked.Topic, asked.TopicID
		switch {
		case r.Version < 12 && (asked.Topic == nil || asked.TopicID != [16]byte{}):
			// Versions 10 and 11 have the field, but not its meaning (KAFKA-12701).
			bad.ErrorCode = kerr.InvalidRequest.Code
			if bad.Topic == nil {
				bad.Topic = kmsg.StringPtr("")
			}
		case byID && asked.TopicID == [16]byte{}:
			continue // names beside ids are passed over, as in Kafka
		case byID:
			if seenID[asked.TopicID] {
				continue
			}
			seenID[asked.TopicID] = true
			if t = image.TopicByID(metadata.UUID(asked.TopicID)); t == nil {
				bad.Topic, bad.ErrorCode = nil, kerr.UnknownTopicID.Code
			}
		case asked.Topic == nil:
			bad.ErrorCode = kerr.InvalidRequest.Code
		default:
			if seen[*asked.Topic] {
				continue
			}
			seen[*asked.Topic] = true
			if t = image.Topic(*asked.Topic); t == nil {
				bad.ErrorCode = kerr.UnknownTopicOrPartition.Code
				if !validTopicName(*asked.Topic) {
					bad.ErrorCode = kerr.InvalidTopicException.Code
				} else if code, ok := failed[*asked.Topic]; ok {
					bad.ErrorCode = code
				}
				bad.IsInternal = isInternal(*asked.Topic)
			}
		}
		if t == nil {
			resp.Topics = append(resp.Topics, bad)
			continue
		}
		resp.Topics = append(resp.Topics, b.topicMetadata(r, image, t))
	}
	return resp
}

// metadataBase has what does not depend on topics.
func (b *Broker) metadataBase(r *Request) *kmsg.MetadataResponse {
	req := r.Body.(*kmsg.MetadataRequest)
	image := b.image()
	resp := kmsg.NewPtrMetadataResponse()
	resp.ClusterID = &b.clusterID
	resp.ControllerID = b.someBroker(image)
	for broker := range image.Brokers() {
		if broker.Fenced {
			continue
		}
		if e, ok := broker.Endpoint(r.Conn.Listener()); ok {
			m := kmsg.NewMetadataResponseBroker()
			m.NodeID, m.Host, m.Port, m.Rack = broker.ID, e.Host, int32(e.Port), broker.Rack
			resp.Brokers = append(resp.Brokers, m)
		}
	}
	if req.IncludeClusterAuthorizedOperations && r.Version >= 8 && r.Version <= 10 {
		resp.AuthorizedOperations = clusterOperations
	}
	return resp
}

// someBroker is what clients are told as the controller: any broker that lives, since all of them forward to it
// (KIP-590). On ZooKeeper one of the brokers is the controller, and clients are told which.
func (b *Broker) someBroker(image *metadata.Image) int32 {
	if b.plane != nil {
		if leader := image.Broker(b.plane.leader()); leader != nil && !leader.Fenced {
			return leader.ID
		}
	}
	if self := image.Broker(b.nodeID); self != nil && !self.Fenced {
		return b.nodeID
	}
	for broker := range image.Brokers() {
		if !broker.Fenced {
			return broker.ID
		}
	}
	return -1
}

func (b *Broker) topicMetadata(r *Request, image *metadata.Image, t *metadata.Topic) kmsg.MetadataResponseTopic {
	m := kmsg.NewMetadataResponseTopic()
	m.Topic, m.TopicID, m.IsInternal = &t.Name, t.ID, isInternal(t.Name)
	if r.Body.(*kmsg.MetadataRequest).IncludeTopicAuthorizedOperations {
		m.AuthorizedOperations = topicOperations
	}
	m.Partitions = make([]kmsg.MetadataResponseTopicPartition, 0, len(t.Partitions))
	for id, p := range t.Partitions {
		state := stateOf(image, p, r.Conn.Listener())
		mp := kmsg.NewMetadataResponseTopicPartition()
		mp.Partition, mp.Leader, mp.LeaderEpoch = int32(id), state.leader, p.LeaderEpoch
		mp.Replicas, mp.ISR, mp.OfflineReplicas = p.Replicas, p.ISR, state.offline
		switch {
		case state.leader < 0 && state.leaderAlive && r.Version >= 6:
			mp.ErrorCode = kerr.ListenerNotFound.Code
		case state.leader < 0:
			mp.ErrorCode = kerr.LeaderNotAvailable.Code
		case r.Version == 0:
			// The oldest clients cannot connect to a replica whose address they were not told.
			mp.Replicas, mp.ISR = without(p.Replicas, state.unreachable), without(p.ISR, state.unreachable)
			if len(mp.Replicas) < len(p.Replicas) || len(mp.ISR) < len(p.ISR) {
				mp.ErrorCode = kerr.ReplicaNotAvailable.Code
			}
		}
		m.Partitions = append(m.Partitions, mp)
	}
	return m
}

// partitionState is what a client of one listener can reach of a partition.
type partitionState struct {
	leader      int32 // -1 if there is none, or none at this listener
	leaderAlive bool  // the leader lives
	offline     []int32
	unreachable []int32 // replicas without an address at this listener
}

func stateOf(image *metadata.Image, p *metadata.Partition, listener string) partitionState {
	s := partitionState{leader: metadata.NoLeader, offline: []int32{}}
	for _, id := range p.Replicas {
		broker := image.Broker(id)
		reachable := broker != nil && !broker.Fenced
		if reachable {
			_, reachable = broker.Endpoint(listener)
		}
		if !reachable {
			s.unreachable = append(s.unreachable, id)
		}
		if !reachable || !broker.IsOnlineDir(p.Dir(id)) {
			s.offline = append(s.offline, id)
		}
	}
	if leader := image.Broker(p.Leader); p.Leader >= 0 && leader != nil && !leader.Fenced {
		s.leaderAlive = true
		if _, ok := leader.Endpoint(listener); ok {
			s.leader = p.Leader
		}
	}
	return s
}

func without(list, gone []int32) []int32 {
	return slices.DeleteFunc(slices.Clone(list), func(id int32) bool { return slices.Contains(gone, id) })
}

// validTopicName is Kafka's rule: 1 to 249 of letters, digits, '.', '_' and '-', and neither "." nor "..".
func validTopicName(name string) bool {
	if name == "" || name == "." || name == ".." || len(name) > 249 {
		return false
	}
	for i := range len(name) {
		c := name[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '_' || c == '-') {
			return false
		}
	}
	return true
}
