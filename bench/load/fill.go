package load

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Fill writes a batch so many times to each partition of a topic, one after the other, before something is read.
// Addrs are those of the partitions' leaders.
func Fill(ctx context.Context, topic string, addrs []string, batch []byte, times int) error {
	errs := make([]error, len(addrs))
	var wg sync.WaitGroup
	for p, addr := range addrs {
		wg.Go(func() {
			if errs[p] = fill(ctx, addr, topic, int32(p), batch, times); errs[p] != nil {
				errs[p] = fmt.Errorf("fill %s-%d: %w", topic, p, errs[p])
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

func fill(ctx context.Context, addr, topic string, partition int32, batch []byte, times int) error {
	c, err := Dial(ctx, addr)
	if err != nil {
		return err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	req := kmsg.NewPtrProduceRequest()
	req.SetVersion(8)
	req.Acks, req.TimeoutMillis = -1, 30_000
	req.Topics = []kmsg.ProduceRequestTopic{{Topic: topic, Partitions: []kmsg.ProduceRequestTopicPartition{{Partition: partition, Records: batch}}}}
	for range times {
		resp, err := do[*kmsg.ProduceResponse](c, req)
		if err != nil {
			return err
		}
		if err := kerr.ErrorForCode(resp.Topics[0].Partitions[0].ErrorCode); err != nil {
			return err
		}
	}
	return nil
}
