package replica

import "errors"

// The errors of this package, each with the Kafka error that a client gets. Errors of package log come through as they
// are.
var (
	// ErrUnknownPartition: no such topic or partition (UNKNOWN_TOPIC_OR_PARTITION).
	ErrUnknownPartition = errors.New("unknown topic or partition")
	// ErrUnknownTopicID: no topic has this id (UNKNOWN_TOPIC_ID).
	ErrUnknownTopicID = errors.New("unknown topic id")
	// ErrNotLeader: the partition exists and another broker leads it, or nobody (NOT_LEADER_OR_FOLLOWER).
	ErrNotLeader = errors.New("not the leader of the partition")
	// ErrFencedEpoch: the caller's leader epoch is older than ours (FENCED_LEADER_EPOCH).
	ErrFencedEpoch = errors.New("leader epoch is older than the partition's")
	// ErrUnknownEpoch: the caller's leader epoch is newer than ours (UNKNOWN_LEADER_EPOCH).
	ErrUnknownEpoch = errors.New("leader epoch is newer than the partition's")
	// ErrNotEnoughReplicas: fewer in sync than min.insync.replicas; nothing was written (NOT_ENOUGH_REPLICAS).
	ErrNotEnoughReplicas = errors.New("fewer in-sync replicas than min.insync.replicas")
	// ErrNotEnoughReplicasAfterAppend: written, and committed by fewer than min.insync.replicas
	// (NOT_ENOUGH_REPLICAS_AFTER_APPEND).
	ErrNotEnoughReplicasAfterAppend = errors.New("fewer in-sync replicas than min.insync.replicas after the append")
	// ErrStorage: the replica's log directory is offline (KAFKA_STORAGE_ERROR).
	ErrStorage = errors.New("the replica's log directory is offline")
	// ErrOffsetNotAvailable: a new leader does not know yet how far its predecessor had committed
	// (OFFSET_NOT_AVAILABLE).
	ErrOffsetNotAvailable = errors.New("the leader's high watermark has not caught up with its epoch")
	// ErrReplicaNotHere: this broker has no replica of the partition (REPLICA_NOT_AVAILABLE).
	ErrReplicaNotHere = errors.New("no replica of the partition on this broker")
	// ErrPolicy: the topic's cleanup policy does not allow the operation (POLICY_VIOLATION).
	ErrPolicy = errors.New("not allowed by the topic's cleanup.policy")
)
