package cli

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// plannedOffset is one line of a reset's plan, and its form with --output json.
type plannedOffset struct {
	Group     string `json:"group"`
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"newOffset"`
}

func (f *groupsFlags) printPlan(io IO, plan []plannedOffset, single bool) error {
	switch {
	case f.JSON():
		return PrintJSON(io.Out, plan)
	case f.export.Seen():
		for _, p := range plan {
			if !single {
				fmt.Fprint(io.Out, p.Group+",")
			}
			fmt.Fprintf(io.Out, "%s,%d,%d\n", p.Topic, p.Partition, p.Offset)
		}
	default:
		group, topic := 15, 15
		for _, p := range plan {
			group, topic = max(group, len(p.Group)), max(topic, len(p.Topic))
		}
		if len(plan) > 0 {
			fmt.Fprintf(io.Out, "\n%-*s %-*s %-10s %s", group, "GROUP", topic, "TOPIC", "PARTITION", "NEW-OFFSET")
		}
		for _, p := range plan {
			fmt.Fprintf(io.Out, "\n%-*s %-*s %-10d %d", group, p.Group, topic, p.Topic, p.Partition, p.Offset)
		}
	}
	fmt.Fprintln(io.Out)
	return nil
}

// parseDatetime reads YYYY-MM-DDThh:mm:ss.sss with or without a zone; without one it is UTC.
func parseDatetime(text string) (time.Time, error) {
	if !strings.Contains(text, "T") {
		return time.Time{}, errors.New("Error parsing timestamp. It does not contain a 'T' according to ISO8601 format") //nolint:staticcheck // Kafka's words
	}
	for _, layout := range []string{"2006-01-02T15:04:05.999Z07:00", "2006-01-02T15:04:05.999Z0700", "2006-01-02T15:04:05.999Z07", "2006-01-02T15:04:05.999", "2006-01-02T15:04"} {
		if at, err := time.Parse(layout, text); err == nil {
			return at, nil
		}
	}
	return time.Time{}, fmt.Errorf("--to-datetime %q is no time: give it as YYYY-MM-DDThh:mm:ss.sss, for example 2030-01-31T18:00:00.000", text)
}

// readPlan reads topic,partition,offset, or group,topic,partition,offset.
func (f *groupsFlags) readPlan(groups []string) ([]plannedOffset, error) {
	path := f.fromFile.Value()
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("--from-file: %w", err)
	}
	var plan []plannedOffset
	for i, line := range strings.Split(strings.TrimSpace(string(text)), "\n") {
		words := strings.Split(strings.TrimSpace(line), ",")
		for j := range words {
			words[j] = strings.Trim(strings.TrimSpace(words[j]), `"`)
		}
		if len(words) == 3 && len(groups) == 1 {
			words = append([]string{groups[0]}, words...)
		}
		if len(words) != 4 {
			return nil, fmt.Errorf("--from-file %s line %d: expected topic,partition,offset (with several groups: group,topic,partition,offset), found %q", path, i+1, line)
		}
		partition, err1 := strconv.ParseInt(words[2], 10, 32)
		offset, err2 := strconv.ParseInt(words[3], 10, 64)
		if err := cmp.Or(err1, err2); err != nil {
			return nil, fmt.Errorf("--from-file %s line %d: partition and offset must be numbers: %q", path, i+1, line)
		}
		plan = append(plan, plannedOffset{words[0], words[1], int32(partition), offset})
	}
	return plan, nil
}
