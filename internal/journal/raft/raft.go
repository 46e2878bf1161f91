// Package raft keeps the metadata log with go.etcd.io/raft/v3. The Raft log is the metadata log on disk,
// `__cluster_metadata-0` in Kafka's format: one log and one fsync.
package raft

import (
	"log/slog"

	"gregor/internal/journal"
	"gregor/internal/log/vfs"
	"gregor/internal/metadata"
)

// Options say where the log is and how it is kept.
type Options struct {
	Dir         string // metadata.log.dir; the log is in its directory __cluster_metadata-0
	NodeID      int32
	ClusterID   string
	DirectoryID metadata.UUID // from meta.properties of Dir

	SegmentBytes   int64 // metadata.log.segment.bytes
	RetentionBytes int64 // metadata.max.retention.bytes: how much of old snapshots is kept; -1 is no limit
	RetentionMs    int64 // metadata.max.retention.ms; -1 is no limit
	FS             vfs.FS
	Logger         *slog.Logger
}

// Open opens the log, or makes an empty one.
func Open(o Options) (journal.Journal, error) { panic("not there yet") }
