package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// activeProducer is a producer that a partition remembers. StartOffset is nil if it has no transaction open there.
type activeProducer struct {
	ProducerID       int64  `json:"producerId"`
	Epoch            int32  `json:"producerEpoch"`
	CoordinatorEpoch int32  `json:"latestCoordinatorEpoch"`
	LastSequence     int32  `json:"lastSequence"`
	LastTimestamp    int64  `json:"lastTimestamp"`
	StartOffset      *int64 `json:"currentTransactionStartOffset"`
}

func (f *transactionsFlags) describeProducers(ctx context.Context) error {
	p := topicPartition{f.topic.Value(), int32(f.partition.Int())}
	producers, err := f.producersOf(ctx, p)
	if err != nil {
		on := "leader"
		if f.broker.Seen() {
			on = "broker " + f.broker.Value()
		}
		return fmt.Errorf("Failed to describe producers for partition %s on %s: %w", p, on, err) //nolint:staticcheck // Kafka's words
	}
	if f.JSON() {
		return PrintJSON(f.io.Out, append([]activeProducer{}, producers...))
	}
	rows := [][]string{{"ProducerId", "ProducerEpoch", "LatestCoordinatorEpoch", "LastSequence", "LastTimestamp", "CurrentTransactionStartOffset"}}
	for _, a := range producers {
		rows = append(rows, []string{fmt.Sprint(a.ProducerID), fmt.Sprint(a.Epoch), fmt.Sprint(a.CoordinatorEpoch), fmt.Sprint(a.LastSequence), fmt.Sprint(a.LastTimestamp), orNone(a.StartOffset)})
	}
	printTable(f.io.Out, rows)
	return nil
}

// producersOf asks a partition's leader, or the replica of --broker-id, for the producers of one partition.
func (f *transactionsFlags) producersOf(ctx context.Context, p topicPartition) ([]activeProducer, error) {
	all, err := f.producersOfAll(ctx, []topicPartition{p})
	return all[p], err
}

// producersOfAll is producersOf for several partitions; the first that fails is the error.
func (f *transactionsFlags) producersOfAll(ctx context.Context, partitions []topicPartition) (map[topicPartition][]activeProducer, error) {
	req := kmsg.NewPtrDescribeProducersRequest()
	for _, p := range partitions {
		i := slices.IndexFunc(req.Topics, func(t kmsg.DescribeProducersRequestTopic) bool { return t.Topic == p.Topic })
		if i < 0 {
			topic := kmsg.NewDescribeProducersRequestTopic()
			topic.Topic = p.Topic
			req.Topics = append(req.Topics, topic)
			i = len(req.Topics) - 1
		}
		req.Topics[i].Partitions = append(req.Topics[i].Partitions, p.Partition)
	}
	var responses []*kmsg.DescribeProducersResponse
	if f.broker.Seen() {
		resp, err := req.RequestWith(ctx, f.client.Broker(f.broker.Int()))
		if err != nil {
			return nil, err
		}
		responses = append(responses, resp)
	} else {
		for _, shard := range f.client.RequestSharded(ctx, req) {
			if shard.Err != nil {
				return nil, shard.Err
			}
			responses = append(responses, shard.Resp.(*kmsg.DescribeProducersResponse))
		}
	}
	all := map[topicPartition][]activeProducer{}
	for _, resp := range responses {
		for _, t := range resp.Topics {
			for _, p := range t.Partitions {
				if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
					return nil, errors.New(KafkaMessage(err, p.ErrorMessage))
				}
				for _, a := range p.ActiveProducers {
					producer := activeProducer{ProducerID: a.ProducerID, Epoch: a.ProducerEpoch, CoordinatorEpoch: a.CoordinatorEpoch, LastSequence: a.LastSequence, LastTimestamp: a.LastTimestamp}
					if start := a.CurrentTxnStartOffset; start >= 0 {
						producer.StartOffset = &start
					}
					key := topicPartition{t.Topic, p.Partition}
					all[key] = append(all[key], producer)
				}
			}
		}
	}
	return all, nil
}

// abort writes an abort marker for a transaction that nobody else will end.
func (f *transactionsFlags) abort(ctx context.Context) error {
	p := topicPartition{f.topic.Value(), int32(f.partition.Int())}
	marker := kmsg.NewWriteTxnMarkersRequestMarker()
	if f.start.Seen() {
		producers, err := f.producersOf(ctx, p)
		if err != nil {
			return fmt.Errorf("Failed to validate producer state for partition %s: %w", p, err) //nolint:staticcheck // Kafka's words
		}
		i := slices.IndexFunc(producers, func(a activeProducer) bool { return a.StartOffset != nil && *a.StartOffset == f.start.Int64() })
		if i < 0 {
			return fmt.Errorf("Could not find any open transactions starting at offset %s on partition %s", f.start.Value(), p) //nolint:staticcheck // Kafka's words
		}
		marker.ProducerID, marker.ProducerEpoch = producers[i].ProducerID, int16(producers[i].Epoch)
		marker.CoordinatorEpoch = producers[i].CoordinatorEpoch
	} else {
		marker.ProducerID, marker.ProducerEpoch, marker.CoordinatorEpoch = f.producer.Int64(), int16(f.epoch.Int()), int32(f.coordGen.Int())
	}
	// A producer that is new to the partition has seen no coordinator: epoch 0 is not above any.
	marker.CoordinatorEpoch = max(marker.CoordinatorEpoch, 0)
	topic := kmsg.NewWriteTxnMarkersRequestMarkerTopic()
	topic.Topic, topic.Partitions = p.Topic, []int32{p.Partition}
	marker.Topics = append(marker.Topics, topic)
	req := kmsg.NewPtrWriteTxnMarkersRequest()
	req.Markers = append(req.Markers, marker)
	failed := func(err error) error {
		return fmt.Errorf("Failed to abort transaction of producer %d with epoch %d on %s: %w", marker.ProducerID, marker.ProducerEpoch, p, err) //nolint:staticcheck // Kafka's words
	}
	for _, shard := range f.client.RequestSharded(ctx, req) {
		if shard.Err != nil {
			return failed(shard.Err)
		}
		for _, m := range shard.Resp.(*kmsg.WriteTxnMarkersResponse).Markers {
			for _, t := range m.Topics {
				for _, p := range t.Partitions {
					if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
						return failed(errors.New(KafkaMessage(err, nil)))
					}
				}
			}
		}
	}
	return nil
}

// hangingTransaction is an open transaction that no coordinator knows.
type hangingTransaction struct {
	Topic            string `json:"topic"`
	Partition        int32  `json:"partition"`
	ProducerID       int64  `json:"producerId"`
	Epoch            int32  `json:"producerEpoch"`
	CoordinatorEpoch int32  `json:"coordinatorEpoch"`
	StartOffset      int64  `json:"startOffset"`
	LastTimestamp    int64  `json:"lastTimestamp"`
	DurationMinutes  int64  `json:"durationMinutes"`
}

// hangingBatch bounds how many partitions one request asks about.
const hangingBatch = 500

// findHanging looks for transactions that are open in a partition for longer than any may be, and that their coordinator
// does not count among its own: it will never write their marker.
func (f *transactionsFlags) findHanging(ctx context.Context) error {
	partitions, err := f.partitionsToSearch(ctx)
	if err != nil {
		return err
	}
	limit := f.now().Add(-time.Duration(f.maxTimeout.Int()) * time.Minute).UnixMilli()
	var candidates []hangingTransaction
	for batch := range slices.Chunk(partitions, hangingBatch) {
		producers, err := f.producersOfAll(ctx, batch)
		if err != nil {
			return fmt.Errorf("Failed to describe producers for %d partitions: %w", len(batch), err) //nolint:staticcheck // Kafka's words
		}
		for _, p := range batch {
			for _, a := range producers[p] {
				if a.StartOffset != nil && a.LastTimestamp < limit {
					candidates = append(candidates, hangingTransaction{p.Topic, p.Partition, a.ProducerID, a.Epoch, a.CoordinatorEpoch, *a.StartOffset, a.LastTimestamp, (f.now().UnixMilli() - a.LastTimestamp) / time.Minute.Milliseconds()})
				}
			}
		}
	}
	hanging, err := f.unknownToCoordinators(ctx, candidates)
	if err != nil {
		return err
	}
	if f.JSON() {
		return PrintJSON(f.io.Out, append([]hangingTransaction{}, hanging...))
	}
	rows := [][]string{{"Topic", "Partition", "ProducerId", "ProducerEpoch", "CoordinatorEpoch", "StartOffset", "LastTimestamp", "Duration(min)"}}
	for _, h := range hanging {
		rows = append(rows, []string{h.Topic, fmt.Sprint(h.Partition), fmt.Sprint(h.ProducerID), fmt.Sprint(h.Epoch), fmt.Sprint(h.CoordinatorEpoch), fmt.Sprint(h.StartOffset), fmt.Sprint(h.LastTimestamp), fmt.Sprint(h.DurationMinutes)})
	}
	printTable(f.io.Out, rows)
	return nil
}

// partitionsToSearch are the partitions that --topic, --partition and --broker-id leave.
func (f *transactionsFlags) partitionsToSearch(ctx context.Context) ([]topicPartition, error) {
	if f.topic.Seen() && f.partition.Seen() {
		return []topicPartition{{f.topic.Value(), int32(f.partition.Int())}}, nil
	}
	req := kmsg.NewPtrMetadataRequest() // all topics
	if f.topic.Seen() {
		topic := kmsg.NewMetadataRequestTopic()
		topic.Topic = kmsg.StringPtr(f.topic.Value())
		req.Topics = append(req.Topics, topic)
	}
	resp, err := req.RequestWith(ctx, f.client)
	if err != nil {
		return nil, fmt.Errorf("Failed to list topics: %w", err) //nolint:staticcheck // Kafka's words
	}
	var all []topicPartition
	for _, t := range resp.Topics {
		if err := kerr.ErrorForCode(t.ErrorCode); err != nil {
			return nil, fmt.Errorf("Failed to describe 1 topics: %s", KafkaMessage(err, nil)) //nolint:staticcheck // Kafka's words
		}
		for _, p := range t.Partitions {
			if t.Topic != nil && (!f.broker.Seen() || slices.Contains(p.Replicas, int32(f.broker.Int()))) {
				all = append(all, topicPartition{*t.Topic, p.Partition})
			}
		}
	}
	slices.SortFunc(all, comparePartitions)
	return all, nil
}

// unknownToCoordinators leaves the transactions that no coordinator will end: whose producer has no transactional id that
// is known, or whose transaction does not have the partition in it.
func (f *transactionsFlags) unknownToCoordinators(ctx context.Context, candidates []hangingTransaction) (hanging []hangingTransaction, err error) {
	if len(candidates) == 0 {
		return nil, nil
	}
	req := kmsg.NewPtrListTransactionsRequest()
	for _, c := range candidates {
		if !slices.Contains(req.ProducerIDFilters, c.ProducerID) {
			req.ProducerIDFilters = append(req.ProducerIDFilters, c.ProducerID)
		}
	}
	listed, err := f.ask(ctx, req)
	if err != nil {
		return nil, fmt.Errorf("Failed to list transactions for %d producers: %w", len(req.ProducerIDFilters), err) //nolint:staticcheck // Kafka's words
	}
	known := map[int64][]topicPartition{}
	for _, t := range listed {
		d, err := f.describeID(ctx, t.ID)
		var unknown errUnknownTransaction
		switch {
		case errors.As(err, &unknown):
		case err != nil:
			return nil, fmt.Errorf("Failed to describe %d transactions: %w", len(listed), err) //nolint:staticcheck // Kafka's words
		default:
			known[t.ProducerID] = append(known[t.ProducerID], d.Partitions...)
		}
	}
	for _, c := range candidates {
		if !slices.Contains(known[c.ProducerID], topicPartition{c.Topic, c.Partition}) {
			hanging = append(hanging, c)
		}
	}
	return hanging, nil
}
