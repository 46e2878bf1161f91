package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func quorumCommand() Command {
	return Command{Name: "metadata-quorum", Script: "kafka-metadata-quorum", Summary: "Show the controllers' quorum; add and remove controllers.", Build: buildQuorum}
}

type quorumFlags struct {
	*Flags
	connection                         *Connection
	status, replication, humanReadable *Flag
	dryRun, id, directoryID            *Flag
}

func buildQuorum(flags *Flags) Action {
	flags.About = "This tool describes kraft metadata quorum status.\nUsage: kafka-metadata-quorum.sh {describe | add-controller | remove-controller} [options]"
	flags.Examples = []string{
		"kafka-metadata-quorum.sh --bootstrap-server localhost:9092 describe --status",
		"kafka-metadata-quorum.sh --bootstrap-controller localhost:9093 describe --replication --human-readable",
		"kafka-metadata-quorum.sh --bootstrap-server localhost:9092 --command-config config/controller4.properties add-controller",
		"kafka-metadata-quorum.sh --bootstrap-server localhost:9092 remove-controller --controller-id 4 --controller-directory-id uAMS2SRlQjCkWXKLpYgsXA",
	}
	flags.Words = []string{"describe", "add-controller", "remove-controller"}
	f := &quorumFlags{Flags: flags, connection: flags.Connection().WithControllers()}
	f.connection.Config.Help += "\nWith add-controller, the properties file of the controller that is added."
	f.status = f.Switch("status", "With describe: a summary: who leads, how far the others are, who votes.")
	f.replication = f.Switch("replication", "With describe: one line for each replica of the metadata log.")
	f.humanReadable = f.Switch("human-readable", "With describe --replication: times as \"12 ms ago\".")
	f.id = f.Int("controller-id", "id", "With remove-controller: the id of the controller to remove.")
	f.Alias(f.id, "i")
	f.directoryID = f.String("controller-directory-id", "uuid", "With remove-controller: the id of its metadata directory, as describe shows it.")
	f.Alias(f.directoryID, "d")
	f.dryRun = f.Switch("dry-run", "With add-controller, remove-controller: say what would be done, and do not do it.")
	f.Output()
	return f.run
}

func (f *quorumFlags) run(ctx context.Context, io IO) error {
	if err := f.check(); err != nil {
		return err
	}
	if path := f.connection.Config.Value(); f.connection.Config.Seen() {
		if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("Properties file %s does not exists!", path)
		}
	}
	// What the files and options say is settled before the cluster is asked.
	var added, removed *quorumVoter
	var err error
	switch f.Rest[0] {
	case "add-controller":
		added, err = f.voterToAdd()
	case "remove-controller":
		removed, err = f.voterToRemove()
	}
	if err != nil {
		return err
	}
	ctx, cluster, done, err := f.connection.DialCluster(ctx, io)
	if err != nil {
		return err
	}
	defer done()
	switch {
	case added != nil:
		return cluster.addVoter(ctx, added, f.dryRun.Seen())
	case removed != nil:
		return cluster.removeVoter(ctx, removed, f.dryRun.Seen())
	case f.replication.Seen():
		return cluster.printQuorumReplication(ctx, f.humanReadable.Seen(), f.JSON())
	}
	return cluster.printQuorumStatus(ctx, f.JSON())
}

// check repeats Kafka's rules of which options go together.
func (f *quorumFlags) check() error {
	c := f.connection
	switch {
	case len(f.Rest) != 1:
		return Usagef("kafka-metadata-quorum: error: give one of describe, add-controller, remove-controller")
	case f.Rest[0] != "describe" && f.Rest[0] != "add-controller" && f.Rest[0] != "remove-controller":
		return Usagef("kafka-metadata-quorum: error: invalid choice: '%s' (choose from 'describe', 'add-controller', 'remove-controller')", f.Rest[0])
	case c.Bootstrap.Seen() && c.Controllers.Seen():
		return Usagef("kafka-metadata-quorum: error: argument --bootstrap-controller: not allowed with argument --bootstrap-server")
	case !c.Bootstrap.Seen() && !c.Controllers.Seen():
		return Usagef("kafka-metadata-quorum: error: one of the arguments --bootstrap-server --bootstrap-controller is required")
	}
	switch f.Rest[0] {
	case "describe":
		switch {
		case f.status.Seen() && f.replication.Seen():
			return errors.New("Only one of --status or --replication should be specified with describe sub-command")
		case !f.status.Seen() && !f.replication.Seen():
			return errors.New("One of --status or --replication must be specified with describe sub-command")
		case f.status.Seen() && f.humanReadable.Seen():
			return errors.New("The option --human-readable is only supported along with --replication")
		}
	case "add-controller":
		if !c.Config.Seen() {
			return errors.New("You must supply the configuration file of the controller you are adding when using add-controller.")
		}
	case "remove-controller":
		for _, g := range []*Flag{f.directoryID, f.id} {
			if !g.Seen() {
				return Usagef("kafka-metadata-quorum: error: argument --%s/-%s is required", g.Names[0], g.Names[1])
			}
		}
	}
	return nil
}

// quorumState is what describe shows, and its form with --output json.
type quorumState struct {
	ClusterID            string          `json:"clusterId,omitempty"`
	LeaderID             int32           `json:"leaderId"`
	LeaderEpoch          int32           `json:"leaderEpoch"`
	HighWatermark        int64           `json:"highWatermark"`
	MaxFollowerLag       int64           `json:"maxFollowerLag"`
	MaxFollowerLagTimeMs int64           `json:"maxFollowerLagTimeMs"` // -1: not known
	Voters               []quorumReplica `json:"currentVoters"`
	Observers            []quorumReplica `json:"currentObservers"`
}

type quorumReplica struct {
	ID                      int32    `json:"id"`
	DirectoryID             *string  `json:"directoryId"`
	Endpoints               []string `json:"endpoints"` // LISTENER://host:port
	Status                  string   `json:"status"`    // Leader, Follower or Observer
	LogEndOffset            int64    `json:"logEndOffset"`
	Lag                     int64    `json:"lag"`
	LastFetchTimestampMs    int64    `json:"lastFetchTimestamp"`    // -1: not known
	LastCaughtUpTimestampMs int64    `json:"lastCaughtUpTimestamp"` // -1: not known
}

// metadataTopic is the name under which the quorum's log is asked for.
const metadataTopic = "__cluster_metadata"

func (c *clusterClient) quorum(ctx context.Context) (*quorumState, error) {
	req := kmsg.NewPtrDescribeQuorumRequest()
	req.Topics = []kmsg.DescribeQuorumRequestTopic{{Topic: metadataTopic, Partitions: []kmsg.DescribeQuorumRequestTopicPartition{{Partition: 0}}}}
	resp, err := req.RequestWith(ctx, c)
	if err != nil && strings.Contains(err.Error(), "broker is too old") { // the client's word for an API that is not advertised
		return nil, errors.New("The node does not support DESCRIBE_QUORUM: its cluster's metadata is in ZooKeeper, where there is no quorum of controllers")
	}
	if err != nil {
		return nil, err
	}
	if err := answer(resp.ErrorCode, resp.ErrorMessage); err != nil {
		return nil, err
	}
	if len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
		return nil, errors.New("the cluster's answer does not describe the metadata log")
	}
	p := resp.Topics[0].Partitions[0]
	if err := answer(p.ErrorCode, p.ErrorMessage); err != nil {
		return nil, err
	}
	return newQuorumState(p, resp.Nodes)
}

func newQuorumState(p kmsg.DescribeQuorumResponseTopicPartition, nodes []kmsg.DescribeQuorumResponseNode) (*quorumState, error) {
	endpoints := map[int32][]string{}
	for _, n := range nodes {
		for _, l := range n.Listeners {
			endpoints[n.NodeID] = append(endpoints[n.NodeID], l.Name+"://"+net.JoinHostPort(l.Host, strconv.Itoa(int(l.Port))))
		}
	}
	s := &quorumState{LeaderID: p.LeaderID, LeaderEpoch: p.LeaderEpoch, HighWatermark: p.HighWatermark, Voters: []quorumReplica{}, Observers: []quorumReplica{}}
	replicas := func(states []kmsg.DescribeQuorumResponseTopicPartitionReplicaState, status string) (out []quorumReplica) {
		out = []quorumReplica{}
		for _, r := range states {
			q := quorumReplica{ID: r.ReplicaID, Endpoints: endpoints[r.ReplicaID], Status: status,
				LogEndOffset: r.LogEndOffset, LastFetchTimestampMs: r.LastFetchTimestamp, LastCaughtUpTimestampMs: r.LastCaughtUpTimestamp}
			if r.ReplicaDirectoryID != [16]byte{} {
				id := topicIDString(r.ReplicaDirectoryID)
				q.DirectoryID = &id
			}
			if q.Endpoints == nil {
				q.Endpoints = []string{}
			}
			out = append(out, q)
		}
		return out
	}
	s.Voters = replicas(p.CurrentVoters, "Follower")
	s.Observers = replicas(p.Observers, "Observer")
	var leader, slowest *quorumReplica
	for i := range s.Voters {
		v := &s.Voters[i]
		if v.ID == s.LeaderID {
			leader, v.Status = v, "Leader"
		}
		if slowest == nil || v.LogEndOffset < slowest.LogEndOffset {
			slowest = v
		}
	}
	if leader == nil {
		return nil, fmt.Errorf("the quorum's leader, %d, is not among its voters; a change of voters may be under way: try again", s.LeaderID)
	}
	for _, list := range [][]quorumReplica{s.Voters, s.Observers} {
		for i := range list {
			list[i].Lag = leader.LogEndOffset - list[i].LogEndOffset
		}
	}
	s.MaxFollowerLag = slowest.Lag
	switch {
	case slowest == leader:
	case leader.LastCaughtUpTimestampMs >= 0 && slowest.LastCaughtUpTimestampMs >= 0:
		s.MaxFollowerLagTimeMs = leader.LastCaughtUpTimestampMs - slowest.LastCaughtUpTimestampMs
	default:
		s.MaxFollowerLagTimeMs = -1
	}
	return s, nil
}

func (c *clusterClient) printQuorumStatus(ctx context.Context, asJSON bool) error {
	cluster, err := c.describe(ctx, false)
	if err != nil {
		return err
	}
	s, err := c.quorum(ctx)
	if err != nil {
		return err
	}
	s.ClusterID = cluster.ClusterID
	if asJSON {
		return PrintJSON(c.io.Out, s)
	}
	fmt.Fprintf(c.io.Out, "ClusterId:              %s\nLeaderId:               %d\nLeaderEpoch:            %d\nHighWatermark:          %d\n"+
		"MaxFollowerLag:         %d\nMaxFollowerLagTimeMs:   %d\nCurrentVoters:          %s\nCurrentObservers:       %s\n",
		s.ClusterID, s.LeaderID, s.LeaderEpoch, s.HighWatermark, s.MaxFollowerLag, s.MaxFollowerLagTimeMs, replicaList(s.Voters), replicaList(s.Observers))
	return nil
}

// replicaList is [{"id": 1, "directoryId": "...", "endpoints": ["CONTROLLER://localhost:9093"]}].
func replicaList(replicas []quorumReplica) string {
	items := make([]string, len(replicas))
	for i, r := range replicas {
		id := "null"
		if r.DirectoryID != nil {
			id = `"` + *r.DirectoryID + `"`
		}
		items[i] = fmt.Sprintf(`{"id": %d, "directoryId": %s`, r.ID, id)
		if len(r.Endpoints) > 0 {
			items[i] += `, "endpoints": ["` + strings.Join(r.Endpoints, `", "`) + `"]`
		}
		items[i] += "}"
	}
	return "[" + strings.Join(items, ", ") + "]"
}

func (c *clusterClient) printQuorumReplication(ctx context.Context, humanReadable, asJSON bool) error {
	s, err := c.quorum(ctx)
	if err != nil {
		return err
	}
	if asJSON {
		return PrintJSON(c.io.Out, s.inOrder())
	}
	now := time.Now().UnixMilli()
	rows := [][]string{{"NodeId", "DirectoryId", "LogEndOffset", "Lag", "LastFetchTimestamp", "LastCaughtUpTimestamp", "Status"}}
	for _, r := range s.inOrder() {
		id := topicIDString([16]byte{})
		if r.DirectoryID != nil {
			id = *r.DirectoryID
		}
		fetched, caughtUp := strconv.FormatInt(r.LastFetchTimestampMs, 10), strconv.FormatInt(r.LastCaughtUpTimestampMs, 10)
		if humanReadable {
			if fetched, err = ago(now, r.LastFetchTimestampMs, "last fetch"); err != nil {
				return err
			}
			if caughtUp, err = ago(now, r.LastCaughtUpTimestampMs, "last caught up"); err != nil {
				return err
			}
		}
		rows = append(rows, []string{strconv.Itoa(int(r.ID)), id, strconv.FormatInt(r.LogEndOffset, 10), strconv.FormatInt(r.Lag, 10), fetched, caughtUp, r.Status})
	}
	printTable(c.io.Out, rows)
	return nil
}

// inOrder is the leader, the other voters, and the observers.
func (s *quorumState) inOrder() []quorumReplica {
	var out []quorumReplica
	for _, leads := range []bool{true, false} {
		for _, v := range s.Voters {
			if (v.Status == "Leader") == leads {
				out = append(out, v)
			}
		}
	}
	return append(out, s.Observers...)
}

// ago is a time relative to now. A time in the future is the leader's clock being ahead of this machine's.
func ago(nowMs, thenMs int64, what string) (string, error) {
	switch {
	case thenMs < 0:
		return "-1", nil
	case thenMs == 0 || thenMs > nowMs:
		return "", fmt.Errorf("Error while computing relative time, possible drift in system clock.\nCurrent timestamp is %d, %s timestamp is %d", nowMs, what, thenMs)
	}
	return fmt.Sprintf("%d ms ago", nowMs-thenMs), nil
}

// quorumUnsupported explains the codes with which a cluster refuses changes of its voters.
func quorumUnsupported(err error) error {
	if errors.Is(err, kerr.UnsupportedVersion) {
		return fmt.Errorf("%w The set of voters can change only when kraft.version is 1: see kafka-features.sh describe", err)
	}
	return err
}
