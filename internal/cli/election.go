package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func leaderElectionCommand() Command {
	return Command{Name: "leader-election", Script: "kafka-leader-election", Summary: "Elect preferred leaders, or unclean ones where nothing else is left.", Build: buildLeaderElection}
}

type electionFlags struct {
	*Flags
	connection                   *Connection
	topic, partition, all, file_ *Flag
	kind                         *Flag
}

func buildLeaderElection(flags *Flags) Action {
	flags.About = "This tool attempts to elect a new leader for a set of topic partitions. The type of elections supported are preferred replicas and unclean replicas."
	flags.Examples = []string{
		"kafka-leader-election.sh --bootstrap-server localhost:9092 --election-type preferred --all-topic-partitions",
		"kafka-leader-election.sh --bootstrap-server localhost:9092 --election-type preferred --topic orders --partition 0",
		`echo '{"partitions":[{"topic":"orders","partition":0},{"topic":"orders","partition":1}]}' > partitions.json`,
		"kafka-leader-election.sh --bootstrap-server localhost:9092 --election-type unclean --path-to-json-file partitions.json",
	}
	f := &electionFlags{Flags: flags, connection: flags.Connection("admin.config")}
	f.kind = f.String("election-type", "preferred|unclean", "REQUIRED: preferred elects the first replica where another leads. unclean elects a replica that is not in sync where no leader is left: records that only the lost replicas had are gone for good.")
	f.all = f.Switch("all-topic-partitions", "Every partition that such an election would change. Not with --topic or --path-to-json-file.")
	f.topic = f.String("topic", "topic", "The topic. Not with --all-topic-partitions or --path-to-json-file.")
	f.partition = f.Int("partition", "id", "The partition of --topic.")
	f.file_ = f.String("path-to-json-file", "file", "A file that lists partitions: {\"partitions\":[{\"topic\": \"foo\", \"partition\": 1}]}. Not with --all-topic-partitions or --topic.")
	f.Output()
	return f.run
}

const electUnclean = 1 // as in the request; preferred is 0

func (f *electionFlags) check() (kind string, err error) {
	var missing []string
	for _, g := range []*Flag{f.connection.Bootstrap, f.kind} {
		if !g.Seen() {
			missing = append(missing, g.Name())
		}
	}
	kind = strings.ToUpper(f.kind.Value())
	switch {
	case missing != nil:
		return "", errors.New("Missing required option(s): " + strings.Join(missing, ", "))
	case kind != "PREFERRED" && kind != "UNCLEAN":
		return "", fmt.Errorf("Cannot parse argument '%s' of option election-type: it is preferred or unclean", f.kind.Value())
	case !ExactlyOne(f.topic, f.all, f.file_):
		return "", errors.New("One and only one of the following options is required: topic, all-topic-partitions, path-to-json-file")
	case f.topic.Seen() && !f.partition.Seen():
		return "", errors.New("Missing required option(s): partition")
	case !f.topic.Seen() && f.partition.Seen():
		return "", errors.New("Option partition is only allowed if topic is used")
	}
	return kind, nil
}

func (f *electionFlags) run(ctx context.Context, io IO) error {
	kind, err := f.check()
	if err != nil {
		return err
	}
	req := kmsg.NewPtrElectLeadersRequest()
	req.TimeoutMillis = requestTimeoutMs
	if kind == "UNCLEAN" {
		req.ElectionType = electUnclean
	}
	var chosen []topicPartition
	switch {
	case f.topic.Seen():
		chosen = []topicPartition{{f.topic.Value(), int32(f.partition.Int())}}
	case f.file_.Seen():
		if chosen, err = electionPartitions(f.file_.Value()); err != nil {
			return err
		}
		req.Topics = []kmsg.ElectLeadersRequestTopic{} // null would mean all
	}
	byTopic(chosen, func(topic string, ids []int32) {
		req.Topics = append(req.Topics, kmsg.ElectLeadersRequestTopic{Topic: topic, Partitions: ids})
	})
	ctx, client, done, err := f.connection.Dial(ctx, io)
	if err != nil {
		return err
	}
	defer done()
	resp, err := req.RequestWith(ctx, client)
	if err == nil {
		err = answer(resp.ErrorCode, nil)
	}
	switch {
	case errors.Is(err, kerr.ClusterAuthorizationFailed):
		fmt.Fprintln(io.Out, "Not authorized to perform leader election")
		return err
	case errors.Is(err, kerr.RequestTimedOut), errors.Is(err, context.DeadlineExceeded):
		fmt.Fprintln(io.Out, "Timeout waiting for election results")
		return err
	case err != nil:
		return err
	}
	return f.print(io, kind, electionResults(resp))
}

// electionPartitions reads the file of --path-to-json-file.
func electionPartitions(path string) ([]topicPartition, error) {
	file, err := readJSON(path)
	if err != nil {
		return nil, err
	}
	if _, ok := file["partitions"]; !ok {
		return nil, errors.New(`Replica election data is missing "partitions" field`)
	}
	items, err := file.objects("partitions")
	if err != nil {
		return nil, err
	}
	var found []topicPartition
	for _, item := range items {
		topic, err := item.text("topic")
		if err != nil {
			return nil, err
		}
		partition, err := item.int("partition")
		if err != nil {
			return nil, err
		}
		found = append(found, topicPartition{topic, partition})
	}
	if twice := duplicates(found); twice != nil {
		return nil, fmt.Errorf("Replica election data contains duplicate partitions: [%s]", join(twice, ", "))
	}
	slices.SortFunc(found, comparePartitions)
	return found, nil
}

// electionResult is what became of one partition, and its form with --output json.
type electionResult struct {
	topicPartition
	Result string `json:"result"` // elected, not-needed, failed
	Error  string `json:"error,omitempty"`
}

func electionResults(resp *kmsg.ElectLeadersResponse) []electionResult {
	results := []electionResult{}
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			r := electionResult{topicPartition: topicPartition{t.Topic, p.Partition}, Result: "elected"}
			switch err := kerr.ErrorForCode(p.ErrorCode); {
			case errors.Is(err, kerr.ElectionNotNeeded):
				r.Result = "not-needed"
			case err != nil:
				r.Result, r.Error = "failed", javaError(err, p.ErrorMessage)
			}
			results = append(results, r)
		}
	}
	slices.SortFunc(results, func(a, b electionResult) int {
		return comparePartitions(a.topicPartition, b.topicPartition)
	})
	return results
}

func (f *electionFlags) print(io IO, kind string, results []electionResult) error {
	var elected, valid []topicPartition
	failed := 0
	for _, r := range results {
		switch r.Result {
		case "elected":
			elected = append(elected, r.topicPartition)
		case "not-needed":
			valid = append(valid, r.topicPartition)
		default:
			failed++
		}
	}
	if f.JSON() {
		if err := PrintJSON(io.Out, results); err != nil {
			return err
		}
	} else {
		if elected != nil {
			fmt.Fprintf(io.Out, "Successfully completed leader election (%s) for partitions %s\n", kind, join(elected, ", "))
		}
		if valid != nil {
			fmt.Fprintf(io.Out, "Valid replica already elected for partitions %s\n", join(valid, ", "))
		}
		for _, r := range results {
			if r.Result == "failed" {
				fmt.Fprintf(io.Out, "Error completing leader election (%s) for partition: %s: %s\n", kind, r.topicPartition, r.Error)
			}
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d replica(s) could not be elected", failed)
	}
	return nil
}
