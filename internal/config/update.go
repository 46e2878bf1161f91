package config

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// ErrNotDynamic is a broker key that cannot change in the way it was asked to.
var ErrNotDynamic = errors.New("not a dynamic configuration")

// listenerPrefix is the prefix of a key for one listener alone: listener.name.internal.ssl.keystore.location.
var listenerPrefix = regexp.MustCompile(`^listener\.name\.([^.]+)\.(.+)$`)

// listenerOverride returns the key that name sets for one listener, or nil.
func listenerOverride(name string) *Key {
	m := listenerPrefix.FindStringSubmatch(name)
	if m == nil {
		return nil
	}
	if k := Lookup(ScopeBroker, m[2]); k != nil {
		return k
	}
	_, base, ok := strings.Cut(m[2], ".") // SASL settings name their mechanism before the key
	if !ok {
		return nil
	}
	return Lookup(ScopeBroker, base)
}

// clusterLevelListenerKeys may be set per listener for the whole cluster.
var clusterLevelListenerKeys = map[string]bool{"max.connections": true, "max.connection.creation.rate": true, "num.network.threads": true}

// ValidateBrokerUpdate checks what is to be altered at run time before it is stored: the complete set of one broker's
// own properties (perBroker) or of the cluster's defaults. static is the configuration they will lie over.
func ValidateBrokerUpdate(static *Values, props map[string]string, perBroker bool) error {
	var readOnly, onlyBroker, onlyListener []string
	for _, name := range sortedKeys(props) {
		k := Lookup(ScopeBroker, name)
		if k == nil {
			if base := listenerOverride(name); base != nil {
				if !perBroker && !clusterLevelListenerKeys[base.Name] {
					onlyBroker = append(onlyBroker, name)
				}
				if _, err := base.Parse(props[name]); err != nil {
					return err
				}
			}
			continue // properties that nobody knows are kept for plug-ins, as Kafka does
		}
		switch {
		case k.Update == ReadOnly:
			readOnly = append(readOnly, name)
		case strings.HasPrefix(name, "ssl.") && k.Update == PerBroker && name != "ssl.client.auth":
			onlyListener = append(onlyListener, name)
		case k.Update == PerBroker && !perBroker:
			onlyBroker = append(onlyBroker, name)
		}
	}
	switch {
	case len(readOnly) > 0:
		return fmt.Errorf("%w: Cannot update these configs dynamically: [%s]", ErrNotDynamic, strings.Join(readOnly, ", "))
	case len(onlyListener) > 0:
		return fmt.Errorf("%w: These security configs can be dynamically updated only per-listener using the listener prefix: [%s]", ErrNotDynamic, strings.Join(onlyListener, ", "))
	case len(onlyBroker) > 0:
		return fmt.Errorf("%w: Cannot update these configs at default cluster level, broker id must be specified: [%s]", ErrNotDynamic, strings.Join(onlyBroker, ", "))
	}
	source := SourceClusterDefault
	if perBroker {
		source = SourceBroker
	}
	layers := []layer{{source, props}}
	if static != nil {
		layers = append(layers, static.layers[len(static.layers)-1])
	}
	v, err := newValues(ScopeBroker, nil, layers...)
	if err != nil {
		return err
	}
	return checkBroker(v)
}

// An Op is what an incremental alteration does to a key, numbered as in IncrementalAlterConfigs requests (KIP-339).
type Op int8

const (
	OpSet      Op = 0
	OpDelete   Op = 1
	OpAppend   Op = 2
	OpSubtract Op = 3
)

// maxValue is how many bytes a value may have: what a reply can hold (see DescribeConfigs before version 4).
const maxValue = 1<<15 - 1

// Apply does one operation on props, which stays as it is when there is an error. APPEND and SUBTRACT work on lists, and
// on the key's default when it is not set.
func Apply(scope Scope, props map[string]string, op Op, name, value string) error {
	switch op {
	case OpSet:
		props[name] = value
	case OpDelete:
		delete(props, name)
	case OpAppend, OpSubtract:
		k := Lookup(scope, name)
		if k == nil {
			return fmt.Errorf("%w: Unknown config name: %s", ErrUnknownKey, name)
		}
		if k.Type != TypeList {
			what := map[Op]string{OpAppend: "APPEND", OpSubtract: "SUBTRACT"}[op]
			return whole(name, "Can't %s to key %s because its type is not LIST.", what, name)
		}
		text, ok := props[name]
		if !ok && k.Default != nil {
			text = *k.Default
		}
		list := splitList(text)
		for _, element := range splitList(value) {
			at := -1
			for i := range list {
				if list[i] == element {
					at = i
				}
			}
			switch {
			case op == OpAppend && at < 0:
				list = append(list, element)
			case op == OpSubtract && at >= 0:
				list = append(list[:at], list[at+1:]...)
			}
		}
		joined := strings.Join(list, ",")
		if len(joined) > maxValue {
			return whole(name, "The value of %s would become %d bytes long, more than the %d that a reply can hold.", name, len(joined), maxValue)
		}
		props[name] = joined
	default:
		return whole(name, "Unknown operations type %d", op)
	}
	return nil
}
