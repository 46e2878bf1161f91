package config

import (
	"errors"
	"maps"
	"slices"
	"strings"
)

// ErrUnknownKey is a name that the table does not have, where only known names are allowed.
var ErrUnknownKey = errors.New("unknown configuration key")

// ErrNotYet is a configuration that Kafka can run and this version cannot.
var ErrNotYet = errors.New("comes with a later version")

// ParseBroker reads a broker's properties. The warnings are about keys without effect. The error is an [*Error] when
// one value is wrong.
func ParseBroker(props map[string]string) (_ *Values, _ []Warning, err error) {
	defer func() {
		var e *Error
		if errors.As(err, &e) {
			e.long = true
		}
	}()
	static, err := withNodeID(props)
	if err != nil {
		return nil, nil, err
	}
	v, err := newValues(ScopeBroker, nil, layer{SourceStatic, static})
	if err != nil {
		return nil, nil, err
	}
	if err := checkBroker(v); err != nil {
		return nil, nil, err
	}
	return v, warnings(v, props), nil
}

// withNodeID copies the properties; node.id and broker.id are the same thing under its new and its old name.
func withNodeID(props map[string]string) (map[string]string, error) {
	static := maps.Clone(props)
	if static == nil {
		static = map[string]string{}
	}
	nodeID, hasNode := props["node.id"]
	brokerID, hasBroker := props["broker.id"]
	if hasBroker && strings.TrimSpace(brokerID) == "-1" {
		hasBroker = false // ZooKeeper's way to have an id made
		delete(static, "broker.id")
	}
	switch {
	case hasNode && hasBroker:
		if strings.TrimSpace(nodeID) != strings.TrimSpace(brokerID) {
			return nil, &Error{Key: "node.id", Value: &nodeID, Reason: "broker.id=" + brokerID + " says otherwise; they are two names of one setting, remove one"}
		}
	case hasNode:
		static["broker.id"] = nodeID
	case hasBroker:
		static["node.id"] = brokerID
	}
	return static, nil
}

// NodeID returns node.id or broker.id; ok is false when neither is set.
func (v *Values) NodeID() (id int32, ok bool) {
	if !v.Has("node.id") {
		return 0, false
	}
	return v.Int32("node.id"), true
}

// LogDirs returns log.dirs, or log.dir if that is not set.
func (v *Values) LogDirs() []string {
	if v.Has("log.dirs") {
		return v.List("log.dirs")
	}
	return v.List("log.dir")
}

// MetadataDir returns the directory that __cluster_metadata-0 is in.
func (v *Values) MetadataDir() string {
	if dir := v.String("metadata.log.dir"); dir != "" {
		return dir
	}
	return v.LogDirs()[0]
}

// Set returns the values with a few static properties set or, with an empty text, removed. The caller uses it for what
// it finds out when it starts, such as a node id that was kept on disk.
func (v *Values) Set(props map[string]string) (*Values, error) {
	next := maps.Clone(v.layers[len(v.layers)-1].props)
	for k, text := range props {
		if text == "" {
			delete(next, k)
		} else {
			next[k] = text
		}
	}
	n, _, err := ParseBroker(next)
	return n, err
}

// Static returns the properties that the broker was started with.
func (v *Values) Static() map[string]string { return maps.Clone(v.layers[len(v.layers)-1].props) }

func warnings(v *Values, props map[string]string) []Warning {
	var list []Warning
	for _, name := range sortedKeys(props) {
		k := Lookup(ScopeBroker, name)
		switch {
		case k == nil && listenerOverride(name) == nil:
			w := "no such configuration key; it is ignored"
			if near := nearest(name); near != "" {
				w += " (is " + near + " meant?)"
			}
			list = append(list, Warning{name, w})
		case k != nil && k.Removed && (!k.Used || !v.OnZooKeeper()):
			list = append(list, Warning{name, "a key of Apache Kafka 3.x and older; it has no effect"})
		case k == nil || !k.Used:
			list = append(list, Warning{name, "known, but without effect in this version"})
		}
	}
	return list
}

// nearest finds a key that differs from name in two letters at most.
func nearest(name string) string {
	for _, k := range Keys(ScopeBroker) {
		if d := len(k.Name) - len(name); d >= -2 && d <= 2 && distance(name, k.Name) <= 2 {
			return k.Name
		}
	}
	return ""
}

// distance is the number of letters to insert, delete or replace to make b of a.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// checkBroker checks what keys must not say together, the quorum and the listeners.
func checkBroker(v *Values) error {
	for _, check := range []func(*Values) error{checkRoles, checkDirs, checkLog, checkRequests, checkGroups} {
		if err := check(v); err != nil {
			return err
		}
	}
	_, err := v.Listeners()
	return err
}

func checkDirs(v *Values) error {
	for _, key := range []string{"log.dirs", "log.dir"} {
		if !v.Has(key) {
			continue
		}
		dirs := v.List(key)
		text, _ := v.Text(key)
		if len(dirs) == 0 {
			return &Error{Key: key, Value: &text, Reason: "at least one directory is needed"}
		}
		for i, d := range dirs {
			if d == "" {
				return &Error{Key: key, Value: &text, Reason: "a directory's name is empty"}
			}
			if slices.Contains(dirs[:i], d) {
				return &Error{Key: key, Value: &text, Reason: d + " is there twice"}
			}
		}
	}
	return nil
}
