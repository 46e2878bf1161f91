package cli

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// clusterStatus is what the status line says.
type clusterStatus struct {
	controller int32   // -1: none
	brokers    []int32 // that serve
	of         int     // how many were started
	topics     int
	under      int // partitions with fewer replicas in sync than they have
	leaderless int
}

func (s clusterStatus) String() string {
	var b strings.Builder
	if s.controller < 0 {
		b.WriteString("no controller")
	} else {
		fmt.Fprintf(&b, "controller %d", s.controller)
	}
	var ids []string
	for _, id := range s.brokers {
		ids = append(ids, strconv.Itoa(int(id)))
	}
	switch {
	case len(ids) == 0:
		b.WriteString(" | no broker serves")
	case len(ids) > 9:
		fmt.Fprintf(&b, " | %d of %d brokers", len(ids), s.of)
	default:
		fmt.Fprintf(&b, " | brokers %s of %d", strings.Join(ids, " "), s.of)
	}
	fmt.Fprintf(&b, " | topics %d | under-replicated %d", s.topics, s.under)
	if s.leaderless > 0 {
		fmt.Fprintf(&b, " | without leader %d", s.leaderless)
	}
	return b.String()
}

const (
	statusInterval = 500 * time.Millisecond
	statusTimeout  = 3 * time.Second // without an answer nobody serves
)

// watchCluster shows the status of a cluster until ctx ends.
func watchCluster(ctx context.Context, seeds []string, of int, show func(clusterStatus)) {
	cl, err := kgo.NewClient(kgo.SeedBrokers(seeds...), kgo.ClientID("gregor-up"),
		kgo.RetryTimeout(statusTimeout), kgo.DialTimeout(time.Second), kgo.RetryBackoffFn(func(int) time.Duration { return 100 * time.Millisecond }))
	if err != nil {
		return
	}
	defer cl.Close()
	tick := time.NewTicker(statusInterval)
	defer tick.Stop()
	for {
		asking, cancel := context.WithTimeout(ctx, statusTimeout)
		s := askStatus(asking, cl, of)
		cancel()
		if ctx.Err() != nil {
			return
		}
		show(s)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func askStatus(ctx context.Context, cl *kgo.Client, of int) clusterStatus {
	s := clusterStatus{controller: -1, of: of}
	req := kmsg.NewPtrMetadataRequest() // all topics
	resp, err := req.RequestWith(ctx, cl)
	if err != nil {
		return s
	}
	for _, b := range resp.Brokers {
		s.brokers = append(s.brokers, b.NodeID)
	}
	slices.Sort(s.brokers)
	for _, t := range resp.Topics {
		if !t.IsInternal {
			s.topics++
		}
		for _, p := range t.Partitions {
			if len(p.ISR) < len(p.Replicas) {
				s.under++
			}
			if p.Leader < 0 {
				s.leaderless++
			}
		}
	}
	quorum := kmsg.NewPtrDescribeQuorumRequest()
	topic := kmsg.NewDescribeQuorumRequestTopic()
	topic.Topic = "__cluster_metadata"
	topic.Partitions = append(topic.Partitions, kmsg.NewDescribeQuorumRequestTopicPartition())
	quorum.Topics = append(quorum.Topics, topic)
	if resp, err := quorum.RequestWith(ctx, cl); err == nil && len(resp.Topics) > 0 && len(resp.Topics[0].Partitions) > 0 {
		s.controller = resp.Topics[0].Partitions[0].LeaderID
	}
	return s
}
