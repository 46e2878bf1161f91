package nats

import (
	"context"
	"encoding/json"
	"strconv"
)

// Streams are the streams that stand for a topic's partitions.
type Streams struct {
	Addr       string
	Topic      string
	Partitions int
	Replicas   int
	MaxBytes   int64 // of each stream; what is older is removed
	Batches    bool  // fast batches may be published, which is off by default
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
			"allow_batched":    s.Batches,
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Leaders are the names of the servers that lead the streams, by partition, when each has one; alone, a server has no name.
func (s Streams) Leaders(ctx context.Context) (names []string, err error) {
	for p := range s.Partitions {
		info, err := request(ctx, s.Addr, "$JS.API.STREAM.INFO."+s.name(p), nil)
		if err != nil {
			return nil, err
		}
		var answer struct{ Cluster struct{ Leader string } }
		if err := json.Unmarshal(info, &answer); err != nil {
			return nil, err
		}
		names = append(names, answer.Cluster.Leader)
	}
	return names, nil
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
