package config

import (
	"fmt"
	"maps"
	"time"
)

// Values is the effective configuration of one broker, topic or group. It never changes.
type Values struct {
	scope  Scope
	layers []layer           // the first layer that has a key wins
	extra  map[string]string // properties that no table has, as given
	typed  map[string]any    // parsed values of all layers; a key that is not here has its default
	source map[string]Source
	parent *Values // the broker, for a topic or group
}

// layer is a set of properties from one source.
type layer struct {
	source Source
	props  map[string]string
}

// newValues parses the layers, the strongest first. Keys that no table has are left in extra.
func newValues(scope Scope, parent *Values, layers ...layer) (*Values, error) {
	v := &Values{scope: scope, layers: layers, parent: parent, typed: map[string]any{}, source: map[string]Source{}, extra: map[string]string{}}
	for _, l := range layers {
		for _, name := range sortedKeys(l.props) {
			key := Lookup(scope, name)
			if key == nil {
				if _, ok := v.extra[name]; !ok {
					v.extra[name] = l.props[name]
				}
				continue
			}
			parsed, err := key.Parse(l.props[name])
			if err != nil {
				return nil, err
			}
			if _, ok := v.source[name]; ok {
				continue
			}
			v.typed[name], v.source[name] = parsed, l.source
		}
	}
	return v, nil
}

// raw finds a key's text; ok is false when it has no value at all.
func (v *Values) raw(k *Key) (text string, source Source, ok bool) {
	for _, l := range v.layers {
		if s, ok := l.props[k.Name]; ok {
			return s, l.source, true
		}
	}
	if v.parent != nil && len(k.Inherits) > 0 {
		return v.inherited(k)
	}
	if k.Default == nil {
		return "", SourceDefault, false
	}
	return *k.Default, SourceDefault, true
}

// inherited finds the value that a topic or group key takes from the broker: the first of its broker keys that is set,
// else the first that has a default.
func (v *Values) inherited(k *Key) (text string, source Source, ok bool) {
	var first *Inherit
	for i := range k.Inherits {
		in := &k.Inherits[i]
		bk := Lookup(ScopeBroker, in.Name)
		s, src, has := v.parent.raw(bk)
		if has && src != SourceDefault {
			return scale(s, in.Factor), src, true
		}
		if has && first == nil {
			first = in
		}
	}
	if first == nil {
		return "", SourceDefault, false
	}
	s, _, _ := v.parent.raw(Lookup(ScopeBroker, first.Name))
	return scale(s, first.Factor), SourceDefault, true
}

// value returns the typed value or nil.
func (v *Values) value(name string, want ...Type) any {
	k := Lookup(v.scope, name)
	if k == nil {
		panic(fmt.Sprintf("config: no %s key %s", v.scope, name))
	}
	ok := false
	for _, t := range want {
		ok = ok || t == k.Type
	}
	if !ok {
		panic(fmt.Sprintf("config: %s is of type %s", name, k.Type))
	}
	if t, ok := v.typed[name]; ok {
		return t
	}
	if v.parent != nil && len(k.Inherits) > 0 {
		if text, _, ok := v.inherited(k); ok {
			if t, err := k.parseType(text); err == nil {
				return t
			}
		}
		return nil
	}
	return k.parsed
}

// Int64 returns an INT, SHORT or LONG value; 0 when it is null (see [Values.Has]).
func (v *Values) Int64(name string) int64 {
	n, _ := v.value(name, TypeInt, TypeShort, TypeLong).(int64)
	return n
}

// Int returns an INT or SHORT value; 0 when it is null.
func (v *Values) Int(name string) int {
	n, _ := v.value(name, TypeInt, TypeShort).(int64)
	return int(n)
}

// Int32 returns an INT or SHORT value; 0 when it is null.
func (v *Values) Int32(name string) int32 { return int32(v.Int(name)) }

// Bool returns a BOOLEAN value.
func (v *Values) Bool(name string) bool {
	b, _ := v.value(name, TypeBoolean).(bool)
	return b
}

// Float returns a DOUBLE value.
func (v *Values) Float(name string) float64 {
	f, _ := v.value(name, TypeDouble).(float64)
	return f
}

// String returns a STRING, CLASS or PASSWORD value; "" when it is null.
func (v *Values) String(name string) string {
	s, _ := v.value(name, TypeString, TypeClass, TypePassword).(string)
	return s
}

// List returns a LIST value; nil when it is null or empty. The slice is shared: do not change it.
func (v *Values) List(name string) []string {
	l, _ := v.value(name, TypeList).([]string)
	return l
}

// Millis returns a number of milliseconds (a key that ends in .ms) as a duration; one that does not fit is the longest
// duration there is.
func (v *Values) Millis(name string) time.Duration {
	ms := v.Int64(name)
	if ms > int64(maxDuration/time.Millisecond) {
		return maxDuration
	}
	return time.Duration(ms) * time.Millisecond
}

const maxDuration = time.Duration(1<<63 - 1)

// Has reports whether the key has a value, be it only the default.
func (v *Values) Has(name string) bool {
	k := Lookup(v.scope, name)
	if k == nil {
		return false
	}
	_, _, ok := v.raw(k)
	return ok
}

// Text returns the value as it was written.
func (v *Values) Text(name string) (string, bool) {
	k := Lookup(v.scope, name)
	if k == nil {
		s, ok := v.extra[name]
		return s, ok
	}
	s, _, ok := v.raw(k)
	return s, ok
}

// Source says where the value of a key comes from. For a topic or group key that is not overridden it is the source of
// the broker key it inherits from.
func (v *Values) Source(name string) Source {
	k := Lookup(v.scope, name)
	if k == nil {
		return SourceUnknown
	}
	_, s, _ := v.raw(k)
	return s
}

// Extra returns the properties that no table has, as given.
func (v *Values) Extra() map[string]string { return maps.Clone(v.extra) }
