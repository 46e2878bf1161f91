package nats

import (
	"context"
	"strconv"
)

// Streams are the streams that stand for a topic's partitions.
type Streams struct {
	Addr       string
	Topic      string
	Partitions int
	Replicas   int
	MaxBytes   int64 // of each stream; what is older is removed
	Batches    bool  // atomic and fast batches may be published; they are off by default, since they need a newer server
}

func (s Streams) name(partition int) string { return s.Topic + "-" + strconv.Itoa(partition) }

func (s Streams) subject(partition int) string { return s.Topic + "." + strconv.Itoa(partition) }

// Create makes the streams.
func (s Streams) Create(ctx context.Context) error {
	for p := range s.Partitions {
		_, err := request(ctx, s.Addr, "$JS.API.STREAM.CREATE."+s.name(p), map[string]any{
			"name": s.name(p), "subjects": []string{s.subject(p)}, "storage": "file", "retention": "limits", "discard": "old",
			"num_replicas": max(s.Replicas, 1), "max_bytes": s.MaxBytes, "max_msgs": -1, "max_age": 0, "max_consumers": -1,
			"duplicate_window": 100_000_000, // ns, the least there is; no message has an id, so nothing is remembered
			"allow_atomic":     s.Batches, "allow_batched": s.Batches,
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Delete removes the streams with their files.
func (s Streams) Delete(ctx context.Context) error {
	for p := range s.Partitions {
		if _, err := request(ctx, s.Addr, "$JS.API.STREAM.DELETE."+s.name(p), nil); err != nil {
			return err
		}
	}
	return nil
}
