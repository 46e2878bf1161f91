package config

import (
	"bytes"
	"embed"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// The table is data, not code: one line a key, in facts/.
//
//go:embed facts/*.tsv
var facts embed.FS

var isoDuration = regexp.MustCompile(`^P(\d+D)?(T(\d+H)?(\d+M)?(\d+(\.\d+)?S)?)?$`)

type table struct {
	byName map[string]*Key
	keys   []*Key // by name
}

// tables reads the facts once. They are part of the program, so one that does not parse is a broken build.
var tables = sync.OnceValue(func() [4]table {
	var all [4]table
	for _, f := range []struct {
		file  string
		scope Scope
	}{
		{"broker.tsv", ScopeBroker},
		{"broker-removed.tsv", ScopeBroker},
		{"broker-own.tsv", ScopeBroker},
		{"topic.tsv", ScopeTopic},
		{"group.tsv", ScopeGroup},
		{"client-metrics.tsv", ScopeClientMetrics},
	} {
		text, err := facts.ReadFile("facts/" + f.file)
		if err != nil {
			panic(err)
		}
		keys, err := readTable(text, f.scope)
		if err != nil {
			panic(fmt.Sprintf("facts/%s: %v", f.file, err))
		}
		t := &all[f.scope]
		if t.byName == nil {
			t.byName = make(map[string]*Key, len(keys))
		}
		for _, k := range keys {
			k.Removed = f.file == "broker-removed.tsv"
			k.Own = f.file == "broker-own.tsv"
			t.byName[k.Name] = k
			t.keys = append(t.keys, k)
		}
		slices.SortFunc(t.keys, func(a, b *Key) int { return strings.Compare(a.Name, b.Name) })
	}
	return all
})

// Lookup returns the key, or nil. A broker key may carry the prefix listener.name.X. of a listener's override.
func Lookup(scope Scope, name string) *Key {
	return tables()[scope].byName[name]
}

// Keys returns the keys of a scope by name. The slice is shared: do not change it.
func Keys(scope Scope) []*Key { return tables()[scope].keys }

func readTable(text []byte, scope Scope) ([]*Key, error) {
	keys := make([]*Key, 0, 400)
	header := true
	for line := range bytes.Lines(text) {
		s := strings.TrimSuffix(string(line), "\n")
		if strings.HasPrefix(s, "#") {
			continue
		}
		if header { // the column names
			header = false
			continue
		}
		col := strings.Split(s, "\t")
		if len(col) != 9 {
			return nil, fmt.Errorf("%q: %d columns, want 9", s, len(col))
		}
		k := &Key{Scope: scope, Name: col[0], ValidText: col[3], High: col[4] == "HIGH", Internal: col[5] == "internal", Used: col[7] == "used"}
		var ok bool
		if k.Type, ok = typeNames[col[1]]; !ok {
			return nil, fmt.Errorf("%s: type %q", k.Name, col[1])
		}
		switch col[6] {
		case "read-only":
		case "per-broker":
			k.Update = PerBroker
		case "cluster-wide":
			k.Update = ClusterWide
		default:
			return nil, fmt.Errorf("%s: update mode %q", k.Name, col[6])
		}
		var err error
		if k.valid, err = parseRule(k.ValidText, k.Type); err != nil {
			return nil, fmt.Errorf("%s: %w", k.Name, err)
		}
		for _, in := range splitList(col[8]) {
			name, factor, _ := strings.Cut(in, "*")
			i := Inherit{Name: name, Factor: 1}
			if factor != "" {
				if i.Factor, err = strconv.ParseInt(factor, 10, 64); err != nil {
					return nil, fmt.Errorf("%s: inherits %q: %w", k.Name, in, err)
				}
			}
			k.Inherits = append(k.Inherits, i)
		}
		switch text := col[2]; text {
		case "null", "(required)":
		default:
			k.Default = &text
			if k.parsed, err = k.parseType(text); err != nil {
				return nil, fmt.Errorf("%s: default: %w", k.Name, err)
			}
		}
		keys = append(keys, k)
	}
	return keys, nil
}
