package config

import (
	"fmt"
	"strconv"
	"strings"
)

// number makes the error for a number that does not fit beside another key's.
func number(v *Values, key, reason string, args ...any) error {
	text, _ := v.Text(key)
	return &Error{Key: key, Value: &text, Reason: fmt.Sprintf(reason, args...)}
}

// whole makes an error whose message is Kafka's.
func whole(key, message string, args ...any) error {
	return &Error{Key: key, Reason: fmt.Sprintf(message, args...), whole: true}
}

func checkLog(v *Values) error {
	for _, key := range []string{"log.retention.ms", "log.retention.minutes", "log.retention.hours"} {
		if n := v.Int64(key); v.Has(key) && n < 1 && n != -1 {
			return number(v, key, "must be -1 (no limit) or at least 1")
		}
	}
	if v.Has("log.roll.ms") && v.Int64("log.roll.ms") < 1 {
		return number(v, "log.roll.ms", "must be at least 1")
	}
	if v.Has("log.roll.jitter.ms") && v.Int64("log.roll.jitter.ms") < 0 {
		return number(v, "log.roll.jitter.ms", "must be at least 0")
	}
	if threads := v.Int64("log.cleaner.threads"); threads > 0 && v.Int64("log.cleaner.dedupe.buffer.size")/threads <= 1<<20 {
		return number(v, "log.cleaner.dedupe.buffer.size", "must be more than 1048576 for each of the %d log.cleaner.threads", threads)
	}
	_, err := Topic(v, nil) // what topics inherit must fit together
	return err
}

func checkRequests(v *Values) error {
	wait := v.Int64("replica.fetch.wait.max.ms")
	if limit := v.Int64("replica.socket.timeout.ms"); wait > limit {
		return number(v, "replica.socket.timeout.ms", "must be at least replica.fetch.wait.max.ms=%d", wait)
	}
	if limit := v.Int64("replica.lag.time.max.ms"); wait > limit {
		return number(v, "replica.lag.time.max.ms", "must be at least replica.fetch.wait.max.ms=%d, or replicas leave the ISR all the time", wait)
	}
	if queued, largest := v.Int64("queued.max.request.bytes"), v.Int64("socket.request.max.bytes"); queued > 0 && queued < largest {
		return number(v, "queued.max.request.bytes", "must be at least socket.request.max.bytes=%d, or -1 for no limit", largest)
	}
	overrides, err := v.ConnectionsPerIP()
	if err != nil {
		return err
	}
	if v.Int("max.connections.per.ip") == 0 && len(overrides) == 0 {
		return number(v, "max.connections.per.ip", "can be 0 only if max.connections.per.ip.overrides lets somebody in")
	}
	if idle, delay := v.Int64("connections.max.idle.ms"), v.Int64("connection.failed.authentication.delay.ms"); idle >= 0 && delay >= idle {
		return number(v, "connection.failed.authentication.delay.ms", "must be less than connections.max.idle.ms=%d", idle)
	}
	if beat, session := v.Int64("broker.heartbeat.interval.ms"), v.Int64("broker.session.timeout.ms"); beat*2 > session {
		return number(v, "broker.heartbeat.interval.ms", "must be at most half of broker.session.timeout.ms=%d", session)
	}
	return nil
}

// ConnectionsPerIP reads max.connections.per.ip.overrides: host:count, ...
func (v *Values) ConnectionsPerIP() (map[string]int, error) {
	const key = "max.connections.per.ip.overrides"
	m := map[string]int{}
	for _, pair := range splitList(v.String(key)) {
		i := strings.LastIndexByte(pair, ':')
		if i <= 0 {
			return nil, &Error{Key: key, Value: &pair, Reason: "expected host:count"}
		}
		n, err := strconv.ParseInt(strings.TrimSpace(pair[i+1:]), 10, 32)
		if err != nil || n < 0 {
			return nil, &Error{Key: key, Value: &pair, Reason: "expected host:count"}
		}
		m[strings.Trim(pair[:i], "[] ")] = int(n)
	}
	return m, nil
}

// checkGroups: the timeouts of groups lie between their minimum and maximum.
func checkGroups(v *Values) error {
	if low, high := v.Int64("group.min.session.timeout.ms"), v.Int64("group.max.session.timeout.ms"); low > high {
		return number(v, "group.max.session.timeout.ms", "must be at least group.min.session.timeout.ms=%d", low)
	}
	for _, kind := range []string{"consumer", "share", "streams"} {
		for _, what := range []string{"heartbeat.interval.ms", "session.timeout.ms", "assignment.interval.ms"} {
			key := "group." + kind + "." + what
			low, high := v.Int64("group."+kind+".min."+what), v.Int64("group."+kind+".max."+what)
			if high < low {
				return number(v, "group."+kind+".max."+what, "must be at least group.%s.min.%s=%d", kind, what, low)
			}
			if n := v.Int64(key); n < low || n > high {
				return number(v, key, "must be between group.%s.min.%s=%d and group.%s.max.%s=%d", kind, what, low, kind, what, high)
			}
		}
		if beat, session := v.Int64("group."+kind+".heartbeat.interval.ms"), v.Int64("group."+kind+".session.timeout.ms"); beat >= session {
			return number(v, "group."+kind+".heartbeat.interval.ms", "must be less than group.%s.session.timeout.ms=%d", kind, session)
		}
	}
	return nil
}

// checkGroup: a group's own timeouts lie between the broker's minimum and maximum.
func checkGroup(v *Values) error {
	for _, kind := range []string{"consumer", "share", "streams"} {
		for _, what := range []string{"heartbeat.interval.ms", "session.timeout.ms", "assignment.interval.ms"} {
			key := kind + "." + what
			low, high := v.parent.Int64("group."+kind+".min."+what), v.parent.Int64("group."+kind+".max."+what)
			n := v.Int64(key)
			if n < low {
				return whole(key, "%s must be greater than or equal to group.%s.min.%s", key, kind, what)
			}
			if n > high {
				return whole(key, "%s must be less than or equal to group.%s.max.%s", key, kind, what)
			}
		}
		if beat, session := v.Int64(kind+".heartbeat.interval.ms"), v.Int64(kind+".session.timeout.ms"); beat >= session {
			return whole(kind+".session.timeout.ms", "%[1]s.session.timeout.ms must be greater than %[1]s.heartbeat.interval.ms", kind)
		}
	}
	return nil
}
