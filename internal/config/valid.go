package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// A rule checks a typed value; the answer is "" or says which values are valid.
type rule func(v any) string

// parseRule makes the rule that Kafka's documentation writes as text, such as "[0,...,1]" or "[compact, delete]".
func parseRule(text string, t Type) (rule, error) {
	switch {
	case text == "":
		return nil, nil
	case text == "non-empty list":
		return func(v any) string {
			for _, s := range v.([]string) {
				if s == "" {
					return "element must not be empty"
				}
			}
			return ""
		}, nil
	case text == "non-empty string":
		return func(v any) string {
			if strings.TrimSpace(v.(string)) == "" {
				return "String must be non-empty"
			}
			return ""
		}, nil
	case text == "non-null string":
		return nil, nil
	case strings.HasPrefix(text, "[partitionId]:[brokerId]"):
		return throttledReplicas, nil
	case strings.Contains(text, "by_duration:"):
		return offsetReset, nil
	case strings.HasPrefix(text, "(case insensitive) "):
		return oneOf(strings.TrimPrefix(text, "(case insensitive) "), true)
	}
	if body, other, ok := strings.Cut(text, " or "); ok {
		exception, err := strconv.ParseFloat(other, 64)
		if err != nil {
			return nil, fmt.Errorf("valid values %q: %w", text, err)
		}
		return rangeRule(body, &exception)
	}
	if strings.Contains(text, "...") {
		return rangeRule(text, nil)
	}
	return oneOf(text, false)
}

// rangeRule is a closed range "[lo,...]" or "[lo,...,hi]" of numbers.
func rangeRule(text string, exception *float64) (rule, error) {
	parts := strings.Split(strings.Trim(text, "[]"), ",")
	if len(parts) < 2 || len(parts) > 3 || parts[1] != "..." {
		return nil, fmt.Errorf("valid values %q: not a range", text)
	}
	lo, err := strconv.ParseFloat(parts[0], 64)
	if err != nil {
		return nil, fmt.Errorf("valid values %q: %w", text, err)
	}
	hi, hasHi := 0.0, len(parts) == 3
	if hasHi {
		if hi, err = strconv.ParseFloat(parts[2], 64); err != nil {
			return nil, fmt.Errorf("valid values %q: %w", text, err)
		}
	}
	return func(v any) string {
		// The bounds are small enough for a float64 to hold exactly; a long beside them only has to compare.
		var f float64
		switch n := v.(type) {
		case int64:
			f = float64(n)
		case float64:
			f = n
		}
		if exception != nil && f == *exception {
			return ""
		}
		// Written so that NaN is outside.
		if !(f >= lo) {
			return "Value must be at least " + parts[0]
		}
		if hasHi && !(f <= hi) {
			return "Value must be no more than " + parts[2]
		}
		return ""
	}, nil
}

// oneOf allows the words of "[a, b, c]"; for a list each element must be one of them, and none twice.
func oneOf(text string, foldCase bool) (rule, error) {
	words := splitList(strings.Trim(text, "[]"))
	if len(words) == 0 || !strings.HasPrefix(text, "[") {
		return nil, fmt.Errorf("valid values %q: not understood", text)
	}
	known := func(s string) bool {
		return slices.ContainsFunc(words, func(w string) bool { return w == s || foldCase && strings.EqualFold(w, s) })
	}
	return func(v any) string {
		switch v := v.(type) {
		case string:
			if !known(v) {
				return "String must be one of: " + strings.Join(words, ", ")
			}
		case []string:
			for i, s := range v {
				if !known(s) {
					return "String must be one of: " + strings.Join(words, ", ")
				}
				if slices.Contains(v[:i], s) {
					return s + " is listed twice"
				}
			}
		}
		return ""
	}, nil
}

// throttledReplicas is "*", or partition:broker pairs, or nothing (KIP-73).
func throttledReplicas(v any) string {
	list := v.([]string)
	if len(list) == 1 && list[0] == "*" {
		return ""
	}
	for _, pair := range list {
		p, b, ok := strings.Cut(pair, ":")
		if !ok || !isID(p) || !isID(b) {
			return "must be the literal '*', empty, or a list of replicas in the form [partitionId]:[brokerId],[partitionId]:[brokerId],..."
		}
	}
	return ""
}

func isID(s string) bool {
	n, err := strconv.ParseInt(s, 10, 32)
	return err == nil && n >= 0
}

// offsetReset is latest, earliest, or by_duration: and an ISO 8601 duration that is not negative (KIP-1106).
func offsetReset(v any) string {
	s := v.(string)
	if s == "latest" || s == "earliest" {
		return ""
	}
	if d, ok := strings.CutPrefix(s, "by_duration:"); ok && isoDuration.MatchString(d) && d != "P" && !strings.HasSuffix(d, "T") {
		return ""
	}
	return "Invalid value " + s + ": must be latest, earliest, or by_duration:PnDTnHnMn.nS"
}
