package cli

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// consumerOptions turn a consumer's settings into a client's. The names, values and defaults are Kafka's; what
// concerns the group is added by groupOptions.
func consumerOptions(props map[string]string) ([]kgo.Opt, error) {
	var opts []kgo.Opt
	switch level := props["isolation.level"]; strings.ToLower(level) {
	case "", "read_uncommitted":
	case "read_committed":
		opts = append(opts, kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	default:
		return nil, badValue("isolation.level", level, "read_committed, read_uncommitted")
	}
	reset, err := parseReset(props["auto.offset.reset"])
	if err != nil {
		return nil, err
	}
	opts = append(opts, kgo.ConsumeResetOffset(reset.offset()))
	if rack := props["client.rack"]; rack != "" {
		opts = append(opts, kgo.Rack(rack))
	}
	return appendNumbers(opts, props, map[string]func(int64) kgo.Opt{
		"fetch.min.bytes":           func(n int64) kgo.Opt { return kgo.FetchMinBytes(int32(n)) },
		"fetch.max.bytes":           func(n int64) kgo.Opt { return kgo.FetchMaxBytes(int32(n)) },
		"max.partition.fetch.bytes": func(n int64) kgo.Opt { return kgo.FetchMaxPartitionBytes(int32(n)) },
		"fetch.max.wait.ms":         func(n int64) kgo.Opt { return kgo.FetchMaxWait(milliseconds(n)) },
	}, map[string]string{"fetch.max.wait.ms": "500"})
}

func milliseconds(n int64) time.Duration { return time.Duration(n) * time.Millisecond }

// groupOptions are the settings of a consumer that belongs to a group.
func groupOptions(props map[string]string) ([]kgo.Opt, error) {
	opts := []kgo.Opt{kgo.ConsumerGroup(props["group.id"]), kgo.DisableAutoCommit(), kgo.BlockRebalanceOnPoll()}
	var balancers []kgo.GroupBalancer
	names := props["partition.assignment.strategy"]
	if names == "" {
		names = "org.apache.kafka.clients.consumer.RangeAssignor"
	}
	for _, name := range strings.Split(names, ",") {
		switch strings.TrimPrefix(strings.TrimSpace(name), "org.apache.kafka.clients.consumer.") {
		case "RangeAssignor", "range":
			balancers = append(balancers, kgo.RangeBalancer())
		case "RoundRobinAssignor", "roundrobin":
			balancers = append(balancers, kgo.RoundRobinBalancer())
		case "StickyAssignor", "sticky":
			balancers = append(balancers, kgo.StickyBalancer())
		case "CooperativeStickyAssignor", "cooperative-sticky":
			balancers = append(balancers, kgo.CooperativeStickyBalancer())
		default:
			return nil, badValue("partition.assignment.strategy", name, "RangeAssignor, RoundRobinAssignor, StickyAssignor, CooperativeStickyAssignor (of org.apache.kafka.clients.consumer)")
		}
	}
	opts = append(opts, kgo.Balancers(balancers...))
	if id := props["group.instance.id"]; id != "" {
		opts = append(opts, kgo.InstanceID(id))
	}
	return appendNumbers(opts, props, map[string]func(int64) kgo.Opt{
		"session.timeout.ms":    func(n int64) kgo.Opt { return kgo.SessionTimeout(milliseconds(n)) },
		"heartbeat.interval.ms": func(n int64) kgo.Opt { return kgo.HeartbeatInterval(milliseconds(n)) },
		"max.poll.interval.ms":  func(n int64) kgo.Opt { return kgo.RebalanceTimeout(milliseconds(n)) },
	}, map[string]string{"session.timeout.ms": "45000", "heartbeat.interval.ms": "3000", "max.poll.interval.ms": "300000"})
}

// appendNumbers adds an option for each setting that is there or has a default.
func appendNumbers(opts []kgo.Opt, props map[string]string, known map[string]func(int64) kgo.Opt, defaults map[string]string) ([]kgo.Opt, error) {
	for key, use := range known {
		text, set := props[key]
		if !set {
			text = defaults[key]
		}
		if text == "" {
			continue
		}
		n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
		if err != nil || n < 0 {
			return nil, badValue(key, text, "a number, 0 or more")
		}
		opts = append(opts, use(n))
	}
	return opts, nil
}

// reset is auto.offset.reset: where a consumer begins that has committed nothing.
type reset struct {
	kind string        // earliest, latest, none, by_duration
	ago  time.Duration // of by_duration
}

func parseReset(text string) (reset, error) {
	lower := strings.ToLower(strings.TrimSpace(text))
	switch {
	case lower == "":
		return reset{kind: "latest"}, nil
	case lower == "earliest" || lower == "latest" || lower == "none":
		return reset{kind: lower}, nil
	case strings.HasPrefix(lower, "by_duration:"):
		ago, err := parseISODuration(strings.TrimSpace(text)[len("by_duration:"):])
		if err == nil && ago >= 0 {
			return reset{"by_duration", ago}, nil
		}
	}
	return reset{}, fmt.Errorf("Invalid value `%s` for configuration auto.offset.reset. The value must be either 'earliest', 'latest', 'none' or of the format 'by_duration:<PnDTnHnMn.nS.>'.", text) //nolint:staticcheck // Kafka's words
}

func (r reset) offset() kgo.Offset {
	switch r.kind {
	case "earliest":
		return kgo.NewOffset().AtStart()
	case "none":
		return kgo.NoResetOffset()
	case "by_duration":
		return kgo.NewOffset().AfterMilli(time.Now().Add(-r.ago).UnixMilli())
	}
	return kgo.NewOffset().AtEnd()
}

var isoDuration = regexp.MustCompile(`^([-+]?)P(?:([-+]?\d+)D)?(?:T(?:([-+]?\d+)H)?(?:([-+]?\d+)M)?(?:([-+]?\d+)(?:[.,](\d{0,9}))?S)?)?$`)

// parseISODuration reads PnDTnHnMn.nS, the form that Java's Duration has.
func parseISODuration(text string) (time.Duration, error) {
	upper := strings.ToUpper(text)
	m := isoDuration.FindStringSubmatch(upper)
	if m == nil || strings.HasSuffix(upper, "P") || strings.HasSuffix(upper, "T") {
		return 0, fmt.Errorf("%q is no duration: give it as PnDTnHnMnS, for example PT1H30M", text)
	}
	var total time.Duration
	for i, unit := range []time.Duration{24 * time.Hour, time.Hour, time.Minute, time.Second} {
		n, _ := strconv.ParseInt(m[i+2], 10, 64)
		total += time.Duration(n) * unit
	}
	if m[6] != "" {
		fraction, _ := strconv.ParseInt((m[6] + "000000000")[:9], 10, 64)
		if strings.HasPrefix(m[5], "-") {
			fraction = -fraction
		}
		total += time.Duration(fraction)
	}
	if m[1] == "-" {
		total = -total
	}
	return total, nil
}
