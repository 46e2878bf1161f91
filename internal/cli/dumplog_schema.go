package cli

import (
	_ "embed"
	"strconv"
	"strings"
	"sync"
)

// The records of the internal topics are decoded by description, not by
// types: nothing is done with them but printing.
//
//go:embed dumplog_records.txt
var recordFacts string

// schema is one type: a primitive, an array or a struct.
type schema struct {
	kind     string // int8 .. uuid, string, bytes, array, struct
	compact  bool
	nullable bool
	element  *schema
	fields   []schemaField
	tagged   bool // a struct with a section of tagged fields
}

type schemaField struct {
	name     string
	tag      int // -1: none
	fallback string
	schema   *schema
}

// recordSchema is one record in all its versions.
type recordSchema struct {
	name     string
	id       int16
	versions map[int16]*schema
}

var loadRecordSchemas = sync.OnceValue(func() map[string]*recordSchema {
	all := map[string]*recordSchema{}
	var current *recordSchema
	for _, line := range strings.Split(recordFacts, "\n") {
		words := strings.Fields(line)
		switch {
		case len(words) == 0 || words[0] == "#" || strings.HasPrefix(line, "#"):
		case strings.HasPrefix(line, " "):
			version, _ := strconv.Atoi(words[0][1:])
			p := schemaParser{strings.Join(words[1:], " ")}
			current.versions[int16(version)] = p.schema()
		default:
			id, _ := strconv.Atoi(words[1])
			current = &recordSchema{words[0], int16(id), map[int16]*schema{}}
			all[current.name] = current
		}
	}
	return all
})

// schemaParser reads one description; the text is our own, so a mistake in it panics in the first test.
type schemaParser struct{ s string }

func (p *schemaParser) eat(prefix string) bool {
	if !strings.HasPrefix(p.s, prefix) {
		return false
	}
	p.s = p.s[len(prefix):]
	return true
}

func (p *schemaParser) word() string {
	n := strings.IndexAny(p.s, " ,]}?")
	w := p.s[:n]
	p.s = p.s[n:]
	return w
}

func (p *schemaParser) schema() *schema {
	s := &schema{}
	switch {
	case strings.HasPrefix(p.s, "c["), strings.HasPrefix(p.s, "["):
		s.kind, s.compact = "array", p.eat("c")
		p.eat("[")
		s.element = p.schema()
		p.eat("]")
	case p.eat("{"):
		s.kind = "struct"
		for !p.eat("}") {
			p.eat(", ")
			if p.eat("~") {
				s.tagged = true
				continue
			}
			f := schemaField{name: p.word(), tag: -1}
			if name, mark, ok := strings.Cut(f.name, "@"); ok {
				tag, fallback, _ := strings.Cut(mark, "=")
				f.name, f.fallback = name, fallback
				if fallback == "{" || fallback == "[" {
					f.fallback += p.s[:1]
					p.s = p.s[1:]
				}
				f.tag, _ = strconv.Atoi(tag)
			}
			p.eat(" ")
			f.schema = p.schema()
			s.fields = append(s.fields, f)
		}
	default:
		s.kind = p.word()
		if s.kind == "cstring" || s.kind == "cbytes" {
			s.kind, s.compact = s.kind[1:], true
		}
	}
	s.nullable = p.eat("?")
	return s
}
