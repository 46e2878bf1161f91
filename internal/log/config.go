package log

import "math"

// Config is the configuration that one partition's log acts on: the topic's value, or else the broker's default. It is
// not changed once it has been given to a log; SetConfig replaces it.
type Config struct {
	SegmentBytes       int   // segment.bytes: a segment is rolled before it would grow beyond this
	SegmentMs          int64 // segment.ms
	SegmentJitterMs    int64 // segment.jitter.ms: taken off SegmentMs at random, so that not all logs roll at once
	SegmentIndexBytes  int   // segment.index.bytes: size of an active segment's index files
	IndexIntervalBytes int   // index.interval.bytes: at least so many bytes between two index entries

	RetentionBytes int64 // retention.bytes; -1 is no limit
	RetentionMs    int64 // retention.ms; -1 is no limit
	CleanupDelete  bool  // cleanup.policy contains delete
	CleanupCompact bool  // cleanup.policy contains compact

	MinCleanableRatio  float64 // min.cleanable.dirty.ratio: part of the log that must be dirty before it is compacted
	MinCompactionLagMs int64   // min.compaction.lag.ms: a record is not compacted while it is younger
	MaxCompactionLagMs int64   // max.compaction.lag.ms: it is soon when it is older
	DeleteRetentionMs  int64   // delete.retention.ms: how long a tombstone is kept after it could go

	MaxMessageBytes      int    // max.message.bytes: limit of one batch
	CompressionType      string // compression.type: "producer", "uncompressed", "gzip", "snappy", "lz4", "zstd"
	CompressionLevel     int    // compression.{gzip,lz4,zstd}.level of that type; 0 is its default
	LogAppendTime        bool   // message.timestamp.type is LogAppendTime
	TimestampBeforeMaxMs int64  // message.timestamp.before.max.ms
	TimestampAfterMaxMs  int64  // message.timestamp.after.max.ms

	FlushMessages     int64 // flush.messages: fsync before acknowledging once so many records are not flushed
	FlushMs           int64 // flush.ms: fsync when the last one is so long ago
	FileDeleteDelayMs int64 // file.delete.delay.ms
	Preallocate       bool  // preallocate: a new segment file has its full size on disk at once
}

// DefaultConfig is Kafka's default for a topic.
func DefaultConfig() *Config {
	return &Config{
		SegmentBytes:         1 << 30,
		SegmentMs:            7 * 24 * 3600 * 1000,
		SegmentIndexBytes:    10 << 20,
		IndexIntervalBytes:   4096,
		RetentionBytes:       -1,
		RetentionMs:          7 * 24 * 3600 * 1000,
		CleanupDelete:        true,
		MinCleanableRatio:    0.5,
		MaxCompactionLagMs:   math.MaxInt64,
		DeleteRetentionMs:    24 * 3600 * 1000,
		MaxMessageBytes:      1<<20 + 12,
		CompressionType:      "producer",
		TimestampBeforeMaxMs: math.MaxInt64,
		TimestampAfterMaxMs:  3600 * 1000,
		FlushMessages:        math.MaxInt64,
		FlushMs:              math.MaxInt64,
		FileDeleteDelayMs:    60_000,
	}
}

// segmentMs is segment.ms; of a compacted log no more than max.compaction.lag.ms, since an active segment is not
// compacted.
func (c *Config) segmentMs() int64 {
	if c.CleanupCompact && c.MaxCompactionLagMs > 0 {
		return min(c.SegmentMs, c.MaxCompactionLagMs)
	}
	return c.SegmentMs
}
