package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

type executeOptions struct {
	additional            bool
	throttle, dirThrottle int64 // bytes/s, negative: none
	keepFactor            bool
}

// execute begins a plan that was checked.
func (c *reassigner) execute(ctx context.Context, plan *reassignment, o executeOptions) error {
	running, err := c.running(ctx, nil)
	if err != nil {
		return err
	}
	if !o.additional && len(running) > 0 {
		return terse{"Cannot execute because there is an existing partition assignment.  Use --additional to override this and create a new partition assignment in addition to the existing one. The --additional flag can also be used to change the throttle by resubmitting the current reassignment."}
	}
	proposed := plan.assignment()
	if err := c.knownBrokers(ctx, proposed); err != nil {
		return err
	}
	if o.keepFactor {
		if err := c.canKeepFactor(ctx); err != nil {
			return err
		}
	}
	current, err := c.assignmentOfPartitions(ctx, plan)
	if err != nil {
		return err
	}
	dirs, err := c.currentDirs(ctx, current)
	if err != nil {
		return err
	}
	fmt.Fprintf(c.io.Out, "Current partition replica assignment\n\n%s\n\nSave this to use as the --reassignment-json-file option during rollback\n", jsonText(current.file(dirs)))
	if o.throttle >= 0 || o.dirThrottle >= 0 {
		fmt.Fprintln(c.io.Out, "Warning: You must run --verify periodically, until the reassignment completes, to ensure the throttle is removed.")
	}
	if o.throttle >= 0 {
		if err := c.throttle(ctx, movesOf(running, proposed, current), o.throttle); err != nil {
			return err
		}
	}
	if o.dirThrottle >= 0 {
		if err := c.throttleDirs(ctx, plan.moves, o.dirThrottle); err != nil {
			return err
		}
	}
	failed, err := c.alterReassignments(ctx, proposed, o.keepFactor)
	if err != nil {
		return err
	}
	if len(failed) > 0 {
		return terse{"Error reassigning partition(s):\n" + partitionErrors(failed)}
	}
	fmt.Fprintf(c.io.Out, "Successfully started partition reassignment%s for %s\n", plural(len(plan.partitions)), join(plan.names(), ","))
	return c.startMoves(ctx, plan.moves)
}

func partitionErrors(failed map[topicPartition]error) string {
	var lines []string
	for _, tp := range sortedKeys(failed) {
		lines = append(lines, fmt.Sprintf("%s: %s", tp, failed[tp]))
	}
	return strings.Join(lines, "\n")
}

// knownBrokers refuses ids of brokers that are not up.
func (c *reassigner) knownBrokers(ctx context.Context, proposed assignment) error {
	up, err := c.brokerIDs(ctx)
	if err != nil {
		return err
	}
	for _, tp := range sortedKeys(proposed) {
		for _, id := range proposed[tp] {
			if !slices.Contains(up, id) {
				return fmt.Errorf("Unknown broker id %d", id)
			}
		}
	}
	return nil
}

// canKeepFactor refuses when the cluster is too old to heed --disallow-replication-factor-change (KIP-860): it would
// change the number of replicas after all.
func (c *reassigner) canKeepFactor(ctx context.Context) error {
	req := kmsg.NewPtrApiVersionsRequest()
	req.ClientSoftwareName, req.ClientSoftwareVersion = "gregor", KafkaVersion
	resp, err := req.RequestWith(ctx, c)
	if err != nil {
		return err
	}
	key := kmsg.NewPtrAlterPartitionAssignmentsRequest().Key()
	for _, k := range resp.ApiKeys {
		if k.ApiKey == key && k.MaxVersion >= 1 {
			return nil
		}
	}
	return errors.New("the cluster is too old for --disallow-replication-factor-change")
}

// assignmentOfPartitions is where the plan's partitions are now.
func (c *reassigner) assignmentOfPartitions(ctx context.Context, plan *reassignment) (assignment, error) {
	all, err := c.assignmentOf(ctx, plan.topics())
	if err != nil {
		return nil, err
	}
	current := assignment{}
	var missing []topicPartition
	for _, tp := range plan.names() {
		if replicas, ok := all[tp]; ok {
			current[tp] = replicas
		} else {
			missing = append(missing, tp)
		}
	}
	if missing != nil {
		return nil, unknownTopic{"Unable to find partition: " + join(missing, ", ")}
	}
	return current, nil
}

// running are the reassignments that are under way, of these partitions or, with nil, of all.
func (c *reassigner) running(ctx context.Context, of []topicPartition) (map[topicPartition]kmsg.ListPartitionReassignmentsResponseTopicPartition, error) {
	found := map[topicPartition]kmsg.ListPartitionReassignmentsResponseTopicPartition{}
	req := kmsg.NewPtrListPartitionReassignmentsRequest()
	req.TimeoutMillis = requestTimeoutMs
	if of != nil {
		req.Topics = []kmsg.ListPartitionReassignmentsRequestTopic{} // null would mean all
	}
	byTopic(of, func(topic string, ids []int32) {
		req.Topics = append(req.Topics, kmsg.ListPartitionReassignmentsRequestTopic{Topic: topic, Partitions: ids})
	})
	resp, err := req.RequestWith(ctx, c)
	if err != nil {
		return nil, err
	}
	if err := answer(resp.ErrorCode, resp.ErrorMessage); err != nil {
		return nil, err
	}
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			found[topicPartition{t.Topic, p.Partition}] = p
		}
	}
	return found, nil
}

// alterReassignments sets where partitions shall be; a null list of replicas cancels. The errors are by partition.
func (c *reassigner) alterReassignments(ctx context.Context, to assignment, keepFactor bool) (map[topicPartition]error, error) {
	req := kmsg.NewPtrAlterPartitionAssignmentsRequest()
	req.TimeoutMillis, req.AllowReplicationFactorChange = requestTimeoutMs, !keepFactor
	byTopic(sortedKeys(to), func(topic string, ids []int32) {
		t := kmsg.AlterPartitionAssignmentsRequestTopic{Topic: topic}
		for _, id := range ids {
			t.Partitions = append(t.Partitions, kmsg.AlterPartitionAssignmentsRequestTopicPartition{Partition: id, Replicas: to[topicPartition{topic, id}]})
		}
		req.Topics = append(req.Topics, t)
	})
	resp, err := req.RequestWith(ctx, c)
	if err != nil {
		return nil, err
	}
	failed := map[topicPartition]error{}
	if err := answer(resp.ErrorCode, resp.ErrorMessage); err != nil {
		for tp := range to {
			failed[tp] = err
		}
		return failed, nil
	}
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			if err := answer(p.ErrorCode, p.ErrorMessage); err != nil {
				failed[topicPartition{t.Topic, p.Partition}] = err
			}
		}
	}
	return failed, nil
}

const movePause = 100 * time.Millisecond

// startMoves begins moves between log directories. A replica that is new on its broker can be moved only once it is
// there, so it tries again for a while.
func (c *reassigner) startMoves(ctx context.Context, moves map[topicReplica]string) error {
	left := map[topicReplica]string{}
	for replica, dir := range moves {
		left[replica] = dir
	}
	for deadline := time.Now().Add(c.patience); len(left) > 0; {
		done, err := c.alterDirs(ctx, left)
		if err != nil {
			return err
		}
		for _, r := range done {
			fmt.Fprintf(c.io.Out, "Successfully started moving log directory to %s for replica %s with broker %d \n", left[r], r.topicPartition, r.broker)
			delete(left, r)
		}
		switch {
		case len(left) == 0:
			return nil
		case !time.Now().Before(deadline):
			return terse{fmt.Sprintf("Timed out before log directory move%s could be started for: %s", plural(len(left)), join(sortedReplicas(left), ","))}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(movePause):
		}
	}
	return nil
}

// alterDirs asks each broker to move its replicas and returns those that it took; the others are not on it yet.
func (c *reassigner) alterDirs(ctx context.Context, moves map[topicReplica]string) ([]topicReplica, error) {
	var taken []topicReplica
	replicas := sortedReplicas(moves)
	for len(replicas) > 0 {
		broker := replicas[0].broker
		end := slices.IndexFunc(replicas, func(r topicReplica) bool { return r.broker != broker })
		if end < 0 {
			end = len(replicas)
		}
		raw, err := c.client.Broker(int(broker)).RetriableRequest(ctx, alterDirsRequest(replicas[:end], moves))
		if err != nil {
			return nil, fmt.Errorf("broker %d: %w", broker, err)
		}
		for _, t := range raw.(*kmsg.AlterReplicaLogDirsResponse).Topics {
			for _, p := range t.Partitions {
				r := topicReplica{topicPartition{t.Topic, p.Partition}, broker}
				switch err := answer(p.ErrorCode, nil); {
				case err == nil:
					taken = append(taken, r)
				case !errors.Is(err, kerr.ReplicaNotAvailable):
					return nil, fmt.Errorf("Failed to alter dir for %s: %w", r, err)
				}
			}
		}
		replicas = replicas[end:]
	}
	slices.SortFunc(taken, compareReplicas)
	return taken, nil
}

func alterDirsRequest(replicas []topicReplica, moves map[topicReplica]string) *kmsg.AlterReplicaLogDirsRequest {
	byDir := map[string][]topicPartition{}
	for _, r := range replicas {
		byDir[moves[r]] = append(byDir[moves[r]], r.topicPartition)
	}
	req := kmsg.NewPtrAlterReplicaLogDirsRequest()
	for dir, partitions := range byDir {
		d := kmsg.AlterReplicaLogDirsRequestDir{Dir: dir}
		byTopic(partitions, func(topic string, ids []int32) {
			d.Topics = append(d.Topics, kmsg.AlterReplicaLogDirsRequestDirTopic{Topic: topic, Partitions: ids})
		})
		req.Dirs = append(req.Dirs, d)
	}
	return req
}
