package rabbitmq

import (
	"context"
	"fmt"
	"strconv"
)

// Streams are the streams that stand for a topic's partitions.
type Streams struct {
	Addr         string
	Topic        string
	Partitions   int
	MaxBytes     int64 // of each stream; what is older is removed
	SegmentBytes int64
}

func (s Streams) name(partition int) string { return s.Topic + "-" + strconv.Itoa(partition) }

// Create makes the streams.
func (s Streams) Create(ctx context.Context) error {
	arguments := map[string]string{
		"max-length-bytes":              fmt.Sprint(s.MaxBytes),
		"stream-max-segment-size-bytes": fmt.Sprint(s.SegmentBytes),
	}
	return s.each(ctx, func(c *streams, name string) error {
		b := u32(text(nil, name), len(arguments))
		for k, v := range arguments {
			b = text(text(b, k), v)
		}
		return c.call(streamCreate, b)
	})
}

// Delete deletes the streams.
func (s Streams) Delete(ctx context.Context) error {
	return s.each(ctx, func(c *streams, name string) error { return c.call(streamDelete, text(nil, name)) })
}

func (s Streams) each(ctx context.Context, do func(c *streams, name string) error) error {
	c, err := dialStreams(ctx, s.Addr)
	if err != nil {
		return err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	for p := range s.Partitions {
		if err := do(c, s.name(p)); err != nil {
			return fmt.Errorf("stream %s: %w", s.name(p), err)
		}
	}
	return nil
}
