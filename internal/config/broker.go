package config

import (
	"errors"
	"fmt"
)

// ErrUnknownKey is a name that the table does not have, where only known names are allowed.
var ErrUnknownKey = errors.New("unknown configuration key")

// ParseBroker reads a broker's properties. The warnings are about keys without effect. The error is an [*Error] when
// one value is wrong.
func ParseBroker(props map[string]string) (*Values, []Warning, error) {
	v, err := newValues(ScopeBroker, nil, layer{SourceStatic, props})
	if err != nil {
		return nil, nil, err
	}
	if err := checkBroker(v); err != nil {
		return nil, nil, err
	}
	return v, warnings(v), nil
}

func warnings(v *Values) []Warning {
	var list []Warning
	for _, name := range sortedKeys(v.layers[len(v.layers)-1].props) {
		k := Lookup(ScopeBroker, name)
		if k == nil {
			if base := listenerOverride(name); base != nil {
				list = append(list, Warning{name, "known to Kafka, without effect in this version"})
				continue
			}
			list = append(list, Warning{name, "no such configuration key"})
			continue
		}
		if !k.Used {
			list = append(list, Warning{name, "known to Kafka, without effect in this version"})
		}
	}
	return list
}

func checkBroker(v *Values) error { return nil }

func listenerOverride(name string) *Key { return nil }

var _ = fmt.Sprint
