package config

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Topic returns the effective configuration of a topic: its overrides over what it inherits from the broker. The
// error is an [*Error].
func Topic(broker *Values, overrides map[string]string) (*Values, error) {
	v, err := newValues(ScopeTopic, broker, layer{SourceTopic, overrides})
	if err != nil {
		return nil, err
	}
	if err := checkTopic(v); err != nil {
		return nil, err
	}
	return v, nil
}

// ValidateTopic checks the overrides that a topic is about to get. Unlike [Topic] it refuses unknown names.
func ValidateTopic(broker *Values, overrides map[string]string) error {
	if err := unknown(ScopeTopic, overrides, "Unknown topic config name: "); err != nil {
		return err
	}
	_, err := Topic(broker, overrides)
	return err
}

// Group returns the effective configuration of a group.
func Group(broker *Values, overrides map[string]string) (*Values, error) {
	return newValues(ScopeGroup, broker, layer{SourceGroup, overrides})
}

// ValidateGroup checks the overrides that a group is about to get.
func ValidateGroup(broker *Values, overrides map[string]string) error {
	if err := unknown(ScopeGroup, overrides, "Unknown group config name: "); err != nil {
		return err
	}
	v, err := Group(broker, overrides)
	if err != nil {
		return err
	}
	return checkGroup(v)
}

// ErrClientMetrics is a subscription that cannot be made (INVALID_REQUEST).
var ErrClientMetrics = errors.New("invalid client metrics subscription")

// matchable are the properties of a client that a subscription can choose by.
var matchable = []string{"client_instance_id", "client_id", "client_software_name", "client_software_version", "client_source_address", "client_source_port"}

// ValidateClientMetrics checks a client metrics subscription (KIP-714).
func ValidateClientMetrics(props map[string]string) error {
	for _, name := range sortedKeys(props) {
		if Lookup(ScopeClientMetrics, name) == nil {
			return fmt.Errorf("%w: Unknown client metrics configuration: %s", ErrClientMetrics, name)
		}
	}
	v, err := ClientMetrics(props)
	if err != nil {
		return err
	}
	if ms := v.Int64("interval.ms"); ms < 100 || ms > 3600000 {
		return fmt.Errorf("%w: Invalid value %d for interval.ms, interval must be between 100 and 3600000 (1 hour)", ErrClientMetrics, ms)
	}
	for _, pattern := range v.List("match") {
		name, expr, ok := strings.Cut(pattern, "=")
		_, err := regexp.Compile(strings.TrimSpace(expr))
		if !ok || err != nil || !slices.Contains(matchable, strings.TrimSpace(name)) {
			return &Error{Key: "match", Value: &pattern, whole: true, Reason: "Illegal client matching pattern: " + pattern}
		}
	}
	return nil
}

// ClientMetrics returns the configuration of a client metrics subscription.
func ClientMetrics(props map[string]string) (*Values, error) {
	return newValues(ScopeClientMetrics, nil, layer{SourceClientMetrics, props})
}

func unknown(scope Scope, props map[string]string, message string) error {
	for _, name := range sortedKeys(props) {
		if Lookup(scope, name) == nil {
			return fmt.Errorf("%w: %s%s", ErrUnknownKey, message, name)
		}
	}
	return nil
}

// checkTopic checks what two topic keys must not say together.
func checkTopic(v *Values) error {
	min, max := v.Int64("min.compaction.lag.ms"), v.Int64("max.compaction.lag.ms")
	if min > max {
		return &Error{Key: "max.compaction.lag.ms", Value: ptr(strconv.FormatInt(max, 10)), whole: true,
			Reason: fmt.Sprintf("conflict topic config setting min.compaction.lag.ms (%d) > max.compaction.lag.ms (%d)", min, max)}
	}
	if v.source["local.retention.ms"] == SourceTopic || v.source["local.retention.bytes"] == SourceTopic {
		if err := checkLocalRetention(v); err != nil {
			return err
		}
	}
	return nil
}

// checkLocalRetention: what is kept locally must not outlive what is kept at all (KIP-405).
func checkLocalRetention(v *Values) error {
	for _, unit := range []string{"ms", "bytes"} {
		local, total := v.Int64("local.retention."+unit), v.Int64("retention."+unit)
		if local == -2 || total == -1 {
			continue
		}
		if local == -1 || local > total {
			return &Error{Key: "local.retention." + unit, Value: ptr(strconv.FormatInt(local, 10)),
				Reason: fmt.Sprintf("Value must not be more than retention.%s property value: %d", unit, total)}
		}
	}
	return nil
}

// scale multiplies a number by the factor of an inherited key; a negative one (no limit) stays as it is.
func scale(text string, factor int64) string {
	if factor == 1 {
		return text
	}
	n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
	if err != nil || n < 0 {
		return text
	}
	if n > (1<<63-1)/factor {
		return strconv.FormatInt(1<<63-1, 10)
	}
	return strconv.FormatInt(n*factor, 10)
}

func sortedKeys(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }

func ptr[T any](v T) *T { return &v }
