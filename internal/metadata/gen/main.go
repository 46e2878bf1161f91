// Command gen writes the Go form of the metadata records from the facts in records.txt.
package main

import (
	"bufio"
	"bytes"
	"flag"
	"fmt"
	"go/format"
	"os"
	"strconv"
	"strings"
)

// kind is a record or a structure inside records.
type kind struct {
	name       string
	isStruct   bool
	typeID     int
	maxVersion int
	fields     []field
}

type field struct {
	json, typ string // as in the facts file
	since     int
	tag       int // -1: not tagged
	null      bool
	def       string // Go expression; "" is the zero value
}

func main() {
	facts := flag.String("facts", "records.txt", "file of facts")
	out := flag.String("out", "records_gen.go", "Go file to write")
	flag.Parse()
	if err := run(*facts, *out); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

func run(facts, out string) error {
	text, err := os.ReadFile(facts)
	if err != nil {
		return err
	}
	kinds, err := parse(text)
	if err != nil {
		return fmt.Errorf("%s: %w", facts, err)
	}
	source, err := format.Source(generate(kinds))
	if err != nil {
		return err
	}
	return os.WriteFile(out, source, 0o644)
}

func parse(text []byte) ([]kind, error) {
	var kinds []kind
	lines := bufio.NewScanner(bytes.NewReader(text))
	for n := 1; lines.Scan(); n++ {
		line, _, _ := strings.Cut(lines.Text(), "#")
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		if line[0] != ' ' {
			k, err := parseKind(words)
			if err != nil {
				return nil, fmt.Errorf("line %d: %w", n, err)
			}
			kinds = append(kinds, k)
			continue
		}
		f, err := parseField(words)
		if err != nil || len(kinds) == 0 {
			return nil, fmt.Errorf("line %d: %v", n, err)
		}
		last := &kinds[len(kinds)-1]
		last.fields = append(last.fields, f)
	}
	return kinds, lines.Err()
}

func parseKind(words []string) (kind, error) {
	k := kind{name: words[0]}
	for _, w := range words[1:] {
		key, value, _ := strings.Cut(w, "=")
		var err error
		switch key {
		case "struct":
			k.isStruct = true
		case "type":
			k.typeID, err = strconv.Atoi(value)
		case "versions":
			_, last, _ := strings.Cut(value, "-")
			k.maxVersion, err = strconv.Atoi(last)
		default:
			err = fmt.Errorf("unknown word %q", w)
		}
		if err != nil {
			return k, err
		}
	}
	return k, nil
}

func parseField(words []string) (field, error) {
	if len(words) < 2 {
		return field{}, fmt.Errorf("a field needs a name and a type")
	}
	f := field{json: words[0], typ: words[1], tag: -1}
	for _, w := range words[2:] {
		key, value, _ := strings.Cut(w, "=")
		var err error
		switch key {
		case "since":
			f.since, err = strconv.Atoi(value)
		case "tag":
			f.tag, err = strconv.Atoi(value)
		case "null":
			f.null = true
		case "default":
			f.def = value
		default:
			err = fmt.Errorf("unknown option %q", w)
		}
		if err != nil {
			return f, err
		}
	}
	return f, nil
}
