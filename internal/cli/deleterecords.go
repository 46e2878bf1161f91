package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

func deleteRecordsCommand() Command {
	return Command{Name: "delete-records", Script: "kafka-delete-records", Summary: "Delete the records of partitions up to an offset.", Build: buildDeleteRecords}
}

func buildDeleteRecords(f *Flags) Action {
	f.About = "This tool helps to delete records of the given partitions down to the specified offset."
	f.Examples = []string{
		`echo '{"version":1,"partitions":[{"topic":"orders","partition":0,"offset":100}]}' > offsets.json`,
		"kafka-delete-records.sh --bootstrap-server localhost:9092 --offset-json-file offsets.json",
	}
	connection := f.Connection()
	file := f.String("offset-json-file", "file", "REQUIRED: Which records: {\"partitions\":[{\"topic\":\"foo\",\"partition\":1,\"offset\":1}],\"version\":1}. Those below the offset are deleted; -1 means all.")
	f.Output()
	return func(ctx context.Context, io IO) error {
		if err := Require(connection.Bootstrap, file); err != nil {
			return err
		}
		text, err := os.ReadFile(file.Value())
		if err != nil {
			return fmt.Errorf("--offset-json-file: %w", err)
		}
		offsets, err := parseDeletions(text)
		if err != nil {
			return err
		}
		ctx, client, done, err := connection.Dial(ctx, io)
		if err != nil {
			return err
		}
		defer done()
		return deleteRecords(ctx, kadm.NewClient(client), offsets, f.JSON(), io)
	}
}

// parseDeletions reads the file of --offset-json-file.
func parseDeletions(text []byte) (kadm.Offsets, error) {
	var file struct {
		Version    *int `json:"version"`
		Partitions *[]struct {
			Topic     *string `json:"topic"`
			Partition *int32  `json:"partition"`
			Offset    *int64  `json:"offset"`
		} `json:"partitions"`
	}
	if err := json.Unmarshal(text, &file); err != nil {
		var kind *json.UnmarshalTypeError
		if errors.As(err, &kind) {
			return nil, fmt.Errorf("--offset-json-file: %s cannot be a %s", kind.Field, kind.Value)
		}
		return nil, errors.New("The input string is not a valid JSON") //nolint:staticcheck // Kafka's words
	}
	if file.Version != nil && *file.Version != 1 {
		return nil, fmt.Errorf("Not supported version field value %d", *file.Version) //nolint:staticcheck // Kafka's words
	}
	if file.Partitions == nil {
		return nil, errors.New("Missing partitions field") //nolint:staticcheck // Kafka's words
	}
	offsets := kadm.Offsets{}
	var twice []string
	for i, p := range *file.Partitions {
		if p.Topic == nil || p.Partition == nil || p.Offset == nil {
			return nil, fmt.Errorf("--offset-json-file: entry %d needs topic, partition and offset", i+1)
		}
		if _, ok := offsets.Lookup(*p.Topic, *p.Partition); ok {
			twice = append(twice, fmt.Sprintf("%s-%d", *p.Topic, *p.Partition))
		}
		offsets.AddOffset(*p.Topic, *p.Partition, *p.Offset, -1)
	}
	if twice != nil {
		slices.Sort(twice)
		return nil, fmt.Errorf("Offset json file contains duplicate topic partitions: %s", strings.Join(slices.Compact(twice), ",")) //nolint:staticcheck // Kafka's words
	}
	return offsets, nil
}

// deletion is one line of the answer, and its form with --output json.
type deletion struct {
	Topic        string `json:"topic"`
	Partition    int32  `json:"partition"`
	LowWatermark int64  `json:"lowWatermark"`
	Error        string `json:"error,omitempty"`
}

func deleteRecords(ctx context.Context, admin *kadm.Client, offsets kadm.Offsets, asJSON bool, io IO) error {
	if !asJSON {
		fmt.Fprintln(io.Out, "Executing records delete operation")
	}
	responses := kadm.DeleteRecordsResponses{}
	if len(offsets) > 0 {
		var err error
		if responses, err = admin.DeleteRecords(ctx, offsets); err != nil && len(responses) == 0 {
			return err
		}
	}
	done := []deletion{}
	offsets.Each(func(o kadm.Offset) {
		d := deletion{Topic: o.Topic, Partition: o.Partition}
		if r, ok := responses.Lookup(o.Topic, o.Partition); !ok {
			d.Error = javaError(kerr.UnknownTopicOrPartition, nil)
		} else if r.Err != nil {
			d.Error = javaError(r.Err, nil)
		} else {
			d.LowWatermark = r.LowWatermark
		}
		done = append(done, d)
	})
	slices.SortFunc(done, func(a, b deletion) int {
		return cmp.Or(strings.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
	if asJSON {
		return PrintJSON(io.Out, done)
	}
	fmt.Fprintln(io.Out, "Records delete operation completed:")
	for _, d := range done {
		if d.Error != "" {
			fmt.Fprintf(io.Out, "partition: %s-%d\terror: %s\n", d.Topic, d.Partition, d.Error)
			continue
		}
		fmt.Fprintf(io.Out, "partition: %s-%d\tlow_watermark: %d\n", d.Topic, d.Partition, d.LowWatermark)
	}
	return nil
}
