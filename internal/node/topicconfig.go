package node

import (
	"slices"

	"gregor/internal/config"
	"gregor/internal/log"
	"gregor/internal/replica"
)

// topicConfig makes what a topic's partitions act on of its effective configuration.
func topicConfig(broker *config.Values, overrides map[string]string) (replica.TopicConfig, error) {
	v, err := config.Topic(broker, overrides)
	if err != nil {
		return replica.TopicConfig{}, err
	}
	policy := v.List("cleanup.policy")
	c := &log.Config{
		SegmentBytes:         v.Int("segment.bytes"),
		SegmentMs:            v.Int64("segment.ms"),
		SegmentJitterMs:      v.Int64("segment.jitter.ms"),
		SegmentIndexBytes:    v.Int("segment.index.bytes"),
		IndexIntervalBytes:   v.Int("index.interval.bytes"),
		RetentionBytes:       v.Int64("retention.bytes"),
		RetentionMs:          v.Int64("retention.ms"),
		CleanupDelete:        slices.Contains(policy, "delete"),
		CleanupCompact:       slices.Contains(policy, "compact"),
		MinCleanableRatio:    v.Float("min.cleanable.dirty.ratio"),
		MinCompactionLagMs:   v.Int64("min.compaction.lag.ms"),
		MaxCompactionLagMs:   v.Int64("max.compaction.lag.ms"),
		DeleteRetentionMs:    v.Int64("delete.retention.ms"),
		MaxMessageBytes:      v.Int("max.message.bytes"),
		CompressionType:      v.String("compression.type"),
		LogAppendTime:        v.String("message.timestamp.type") == "LogAppendTime",
		TimestampBeforeMaxMs: v.Int64("message.timestamp.before.max.ms"),
		TimestampAfterMaxMs:  v.Int64("message.timestamp.after.max.ms"),
		FlushMessages:        v.Int64("flush.messages"),
		FlushMs:              v.Int64("flush.ms"),
		FileDeleteDelayMs:    v.Int64("file.delete.delay.ms"),
		Preallocate:          v.Bool("preallocate"),
	}
	if v.Has("internal.segment.bytes") { // for tests: smaller than segment.bytes may be
		c.SegmentBytes = v.Int("internal.segment.bytes")
	}
	switch c.CompressionType {
	case "gzip":
		if level := v.Int("compression.gzip.level"); level != -1 { // -1 is the library's own default
			c.CompressionLevel = level
		}
	case "lz4":
		c.CompressionLevel = v.Int("compression.lz4.level")
	case "zstd":
		c.CompressionLevel = v.Int("compression.zstd.level")
	}
	id := broker.Int32("node.id")
	return replica.TopicConfig{
		Log: c, MinInSyncReplicas: v.Int("min.insync.replicas"),
		LeaderThrottled:   replica.ParseThrottled(v.List("leader.replication.throttled.replicas"), id),
		FollowerThrottled: replica.ParseThrottled(v.List("follower.replication.throttled.replicas"), id),
	}, nil
}
