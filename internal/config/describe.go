package config

import (
	"math"
	"strconv"
	"strings"
)

// Entry describes one key of a resource, as DescribeConfigs answers it.
type Entry struct {
	Name      string
	Value     *string // nil: null, or not to be shown
	Source    Source
	Type      Type
	Sensitive bool
	ReadOnly  bool
	Synonyms  []Synonym // what the value was looked for in, the strongest first
	Doc       string    // "" if there is none
}

// Synonym is one place that a value was found in.
type Synonym struct {
	Name   string
	Value  *string
	Source Source
}

// DescribeBroker describes the documented keys of a running broker, and the properties that no table has.
func (l *Live) DescribeBroker() []Entry {
	v := l.Load()
	var entries []Entry
	for _, k := range Keys(ScopeBroker) {
		_, set := v.source[k.Name]
		if !set && (k.Internal || k.Removed || k.Own || k.dynamicOnly()) {
			continue
		}
		e := k.entry(v)
		e.ReadOnly = k.Update == ReadOnly
		e.Synonyms = v.synonyms(k.Name)
		e.Source = SourceDefault
		if len(e.Synonyms) > 0 {
			e.Source = e.Synonyms[0].Source
		}
		entries = append(entries, e)
	}
	for _, name := range sortedKeys(v.extra) {
		// What nobody knows may be a secret.
		entries = append(entries, Entry{Name: name, Source: SourceStatic, Sensitive: true, ReadOnly: true,
			Synonyms: []Synonym{{Name: name, Source: SourceStatic}}})
	}
	return entries
}

// DescribeDefaults describes what was altered at run time for all brokers.
func (l *Live) DescribeDefaults() []Entry {
	v := l.Load()
	var entries []Entry
	for _, layer := range v.layers {
		if layer.source != SourceClusterDefault {
			continue
		}
		for _, name := range sortedKeys(layer.props) {
			value := layer.props[name]
			e := Entry{Name: name, Value: &value, Source: SourceClusterDefault}
			if k := Lookup(ScopeBroker, name); k == nil || k.Sensitive() {
				e.Sensitive, e.Value = true, nil
			} else {
				e.Type, e.ReadOnly, e.Doc = k.Type, k.Update == ReadOnly, doc(k)
			}
			e.Synonyms = []Synonym{{Name: name, Value: e.Value, Source: SourceClusterDefault}}
			entries = append(entries, e)
		}
	}
	return entries
}

// Describe describes the documented keys of a topic, a group or a client metrics subscription.
func (v *Values) Describe() []Entry {
	var entries []Entry
	for _, k := range Keys(v.scope) {
		own, set := v.source[k.Name]
		if k.Internal {
			continue
		}
		e := k.entry(v)
		var syn []Synonym
		switch {
		case v.scope == ScopeClientMetrics:
			// A subscription has no defaults and no synonyms.
		case len(k.Inherits) > 0:
			syn = v.parent.synonyms(k.Inherits[0].Name)
		case v.scope == ScopeGroup:
			syn = []Synonym{{Name: k.Name, Value: e.Value, Source: SourceDefault}}
		}
		if set {
			syn = append([]Synonym{{Name: k.Name, Value: e.Value, Source: own}}, syn...)
		}
		e.Synonyms, e.Source = syn, SourceDefault
		if len(syn) > 0 {
			e.Source = syn[0].Source
		}
		entries = append(entries, e)
	}
	return entries
}

// dynamicOnly keys are not in a properties file: the replication throttles.
func (k *Key) dynamicOnly() bool {
	return strings.HasSuffix(k.Name, "replication.throttled.rate") || k.Name == "replica.alter.log.dirs.io.max.bytes.per.second"
}

func (k *Key) entry(v *Values) Entry {
	e := Entry{Name: k.Name, Type: k.Type, Sensitive: k.Sensitive(), Doc: doc(k)}
	if _, ok := v.Text(k.Name); ok && !e.Sensitive {
		text := k.format(v.value(k.Name, k.Type))
		e.Value = &text
	}
	return e
}

// groupsOfSynonyms are broker keys that say the same in other units; the first one set wins.
var groupsOfSynonyms = [][]string{
	{"log.roll.ms", "log.roll.hours"},
	{"log.roll.jitter.ms", "log.roll.jitter.hours"},
	{"log.retention.ms", "log.retention.minutes", "log.retention.hours"},
}

func brokerSynonyms(name string) []string {
	if name == "log.flush.interval.ms" { // the scheduler's interval is its default, but not the other way round
		return []string{name, "log.flush.scheduler.interval.ms"}
	}
	for _, group := range groupsOfSynonyms {
		for _, member := range group {
			if member == name {
				return group
			}
		}
	}
	return []string{name}
}

// synonyms lists where a broker key's value is looked for. Like Kafka it leaves out what comes before the first place
// that has this very key, so log.retention.hours does not show under log.retention.ms.
func (v *Values) synonyms(name string) []Synonym {
	var all []Synonym
	add := func(name, value string, source Source) {
		s := Synonym{Name: name, Value: &value, Source: source}
		if k := Lookup(ScopeBroker, name); k == nil || k.Sensitive() {
			s.Value = nil
		}
		all = append(all, s)
	}
	group := brokerSynonyms(name)
	for _, l := range v.layers {
		for _, n := range group {
			if text, ok := l.props[n]; ok {
				add(n, text, l.source)
			}
		}
	}
	for _, n := range group {
		if k := Lookup(ScopeBroker, n); k != nil && k.Default != nil {
			add(n, *k.Default, SourceDefault)
		}
	}
	for len(all) > 0 && all[0].Name != name {
		all = all[1:]
	}
	return all
}

// format writes a typed value as Kafka does.
func (k *Key) format(v any) string {
	switch v := v.(type) {
	case bool:
		return strconv.FormatBool(v)
	case int64:
		return strconv.FormatInt(v, 10)
	case float64:
		return javaDouble(v)
	case []string:
		return strings.Join(v, ",")
	case string:
		return v
	}
	return ""
}

// javaDouble writes a number as Java's Double.toString.
func javaDouble(f float64) string {
	switch abs := math.Abs(f); {
	case math.IsNaN(f):
		return "NaN"
	case math.IsInf(f, 0):
		if f < 0 {
			return "-Infinity"
		}
		return "Infinity"
	case abs == 0 || abs >= 1e-3 && abs < 1e7:
		s := strconv.FormatFloat(f, 'f', -1, 64)
		if !strings.Contains(s, ".") {
			s += ".0"
		}
		return s
	}
	s := strconv.FormatFloat(f, 'E', -1, 64)
	mantissa, exp, _ := strings.Cut(s, "E")
	if !strings.Contains(mantissa, ".") {
		mantissa += ".0"
	}
	n, _ := strconv.Atoi(exp)
	return mantissa + "E" + strconv.Itoa(n)
}

// doc says in a line what a key is; for most keys that is its type, range and what becomes of it here.
func doc(k *Key) string {
	s := strings.ToLower(k.Type.String())
	if k.ValidText != "" {
		s += ", valid: " + k.ValidText
	}
	if !k.Used {
		s += "; accepted, without effect in this version"
	}
	return s
}
