// Package config knows Kafka's configuration keys: one table with type, default, valid values and update mode of
// every broker, topic, group and client-metrics key of Apache Kafka 4.3, and the broker keys that 3.9 knew besides.
//
// A broker's properties become a [Values] with [ParseBroker]. [Live] holds the current one and layers the values that
// were altered at run time (cluster default, then this broker) over it. [Topic] and [Group] give the effective
// configuration of a topic or group: its own overrides over what it inherits from the broker.
//
// Values are immutable and safe for use from several goroutines. Asking for a key that the table does not have is a
// mistake of the programmer and panics.
package config

import (
	"fmt"
	"strconv"
	"strings"
)

// Scope says what a key configures.
type Scope int8

const (
	ScopeBroker Scope = iota
	ScopeTopic
	ScopeGroup
	ScopeClientMetrics
)

func (s Scope) String() string {
	return [...]string{"broker", "topic", "group", "client-metrics"}[s]
}

// Type is the type of a key's value, numbered as in DescribeConfigs responses.
type Type int8

const (
	TypeBoolean  Type = 1
	TypeString   Type = 2
	TypeInt      Type = 3
	TypeShort    Type = 4
	TypeLong     Type = 5
	TypeDouble   Type = 6
	TypeList     Type = 7
	TypeClass    Type = 8
	TypePassword Type = 9
)

var typeNames = map[string]Type{
	"BOOLEAN": TypeBoolean, "STRING": TypeString, "INT": TypeInt, "SHORT": TypeShort, "LONG": TypeLong,
	"DOUBLE": TypeDouble, "LIST": TypeList, "CLASS": TypeClass, "PASSWORD": TypePassword,
}

func (t Type) String() string {
	for name, typ := range typeNames {
		if typ == t {
			return name
		}
	}
	return "UNKNOWN"
}

// Update says how a broker key may change while the broker runs (KIP-226).
type Update int8

const (
	ReadOnly    Update = iota // only in the properties file
	PerBroker                 // for one broker
	ClusterWide               // as a default of the cluster, or for one broker
)

// Source says where a value comes from, numbered as in DescribeConfigs responses.
type Source int8

const (
	SourceUnknown        Source = 0
	SourceTopic          Source = 1
	SourceBroker         Source = 2 // altered at run time for one broker
	SourceClusterDefault Source = 3 // altered at run time for all brokers
	SourceStatic         Source = 4 // the properties file
	SourceDefault        Source = 5
	SourceBrokerLogger   Source = 6
	SourceClientMetrics  Source = 7
	SourceGroup          Source = 8
)

func (s Source) String() string {
	switch s {
	case SourceTopic:
		return "DYNAMIC_TOPIC_CONFIG"
	case SourceBroker:
		return "DYNAMIC_BROKER_CONFIG"
	case SourceClusterDefault:
		return "DYNAMIC_DEFAULT_BROKER_CONFIG"
	case SourceStatic:
		return "STATIC_BROKER_CONFIG"
	case SourceDefault:
		return "DEFAULT_CONFIG"
	case SourceBrokerLogger:
		return "DYNAMIC_BROKER_LOGGER_CONFIG"
	case SourceClientMetrics:
		return "DYNAMIC_CLIENT_METRICS_CONFIG"
	case SourceGroup:
		return "DYNAMIC_GROUP_CONFIG"
	}
	return "UNKNOWN"
}

// Key is one row of the table.
type Key struct {
	Scope     Scope
	Name      string
	Type      Type
	Default   *string // nil: no value
	ValidText string  // the valid values as Kafka's documentation writes them; "" if any value of the type is valid
	High      bool    // importance HIGH
	Internal  bool    // not part of Kafka's documented interface
	Update    Update
	Used      bool      // false: known and accepted, without effect yet
	Removed   bool      // a key of Kafka 3.9 that 4.x no longer has
	Own       bool      // a key that Kafka does not have
	Inherits  []Inherit // for a topic or group key: the broker keys that give its default, the first one set wins

	valid  rule
	parsed any // Default, parsed
}

// Inherit names a broker key whose value, times Factor, is the default of a topic or group key.
type Inherit struct {
	Name   string
	Factor int64
}

// Sensitive reports whether the value must never be shown.
func (k *Key) Sensitive() bool { return k.Type == TypePassword }

// An Error is a value that cannot be used. Nothing was changed.
type Error struct {
	Key    string
	Value  *string // nil when there is none
	Reason string  // what is wrong with it, in Kafka's words where it has some
	Valid  string  // the valid values; "" if Reason says it all

	whole bool // Reason is the whole message, as Kafka writes it
	long  bool // the message names the valid values too
}

// Error is the message that Apache Kafka's broker and tools give. [ParseBroker] adds the valid values.
func (e *Error) Error() string {
	value := "null"
	if e.Value != nil {
		value = *e.Value
	}
	text := fmt.Sprintf("Invalid value %s for configuration %s: %s", value, e.Key, e.Reason)
	if e.whole {
		text = e.Reason
	}
	if e.long && e.Valid != "" {
		text += "; valid values: " + e.Valid
	}
	return text
}

// A Warning is about a key that is accepted but has no effect.
type Warning struct {
	Key     string
	Message string
}

func (w Warning) String() string { return w.Key + ": " + w.Message }

func (k *Key) fail(value string, reason string) *Error {
	if k.Sensitive() {
		value = "[hidden]"
	}
	return &Error{Key: k.Name, Value: &value, Reason: reason, Valid: k.ValidText}
}

// Parse checks text against the key's type and valid values and returns the typed value: bool, string, int64
// (INT, SHORT, LONG), float64, or []string. The error is an [*Error].
func (k *Key) Parse(text string) (any, error) {
	v, err := k.parseType(text)
	if err != nil {
		return nil, err
	}
	if k.valid != nil {
		if reason := k.valid(v); reason != "" {
			return nil, k.fail(text, reason)
		}
	}
	return v, nil
}

func (k *Key) parseType(text string) (any, error) {
	trimmed := strings.TrimSpace(text)
	switch k.Type {
	case TypeBoolean:
		switch strings.ToLower(trimmed) {
		case "true":
			return true, nil
		case "false":
			return false, nil
		}
		return nil, k.fail(text, "Expected value to be either true or false")
	case TypeInt, TypeShort, TypeLong:
		bits := map[Type]int{TypeInt: 32, TypeShort: 16, TypeLong: 64}[k.Type]
		n, err := strconv.ParseInt(trimmed, 10, bits)
		if err != nil {
			return nil, k.fail(text, "Not a number of type "+k.Type.String())
		}
		return n, nil
	case TypeDouble:
		f, err := strconv.ParseFloat(trimmed, 64)
		if err != nil {
			return nil, k.fail(text, "Not a number of type DOUBLE")
		}
		return f, nil
	case TypeList:
		return splitList(text), nil
	default:
		return text, nil
	}
}

// splitList splits at commas; blanks around an element do not count, an empty text is an empty list.
func splitList(text string) []string {
	text = strings.TrimSpace(text)
	if text == "" {
		return nil
	}
	parts := strings.Split(text, ",")
	for i := range parts {
		parts[i] = strings.TrimSpace(parts[i])
	}
	return parts
}
