package main

import (
	"bytes"
	"go/format"
	"os"
	"strings"
	"testing"
)

// What is committed is what the facts give; go generate brings it up to date.
func TestGeneratedIsCurrent(t *testing.T) {
	facts, err := os.ReadFile("../records.txt")
	if err != nil {
		t.Fatal(err)
	}
	kinds, err := parse(facts)
	if err != nil {
		t.Fatal(err)
	}
	want, err := format.Source(generate(kinds))
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("../records_gen.go")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("records_gen.go is not what records.txt gives: run go generate ./internal/metadata")
	}
}

func TestBadFacts(t *testing.T) {
	for _, facts := range []string{
		"R type=1 versions=0-0\n  name", "R type=x", "R colour=red", "R struct\n  a int8 since=soon", "R struct\n  a int8 big", "  a int8",
	} {
		if _, err := parse([]byte(facts)); err == nil || !strings.Contains(err.Error(), "line ") {
			t.Errorf("%q: %v", facts, err)
		}
	}
}

func TestNames(t *testing.T) {
	for json, want := range map[string]string{"topicId": "TopicID", "isr": "ISR", "lastKnownElr": "LastKnownELR", "isMigratingZkBroker": "IsMigratingZKBroker", "endPoints": "EndPoints"} {
		if got := goName(json); got != want {
			t.Errorf("%s: %s, want %s", json, got, want)
		}
	}
}
