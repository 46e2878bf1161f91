package config

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// notInForce are keys that the sources name without acting on them.
var notInForce = []string{
	"log.local.retention.ms", "log.local.retention.bytes", "local.retention.ms", "local.retention.bytes",
	"share.coordinator.state.topic.replication.factor", "share.coordinator.state.topic.min.isr", // set for a single node
}

// TestStatusIsTrue: a key that the table calls used is named in the sources, and the other way round, so that the
// warning about keys without effect can be believed.
func TestStatusIsTrue(t *testing.T) {
	named := map[string]bool{}
	literal := regexp.MustCompile(`"([a-z0-9.]+)"`)
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		base := filepath.Base(path)
		switch {
		case err != nil:
			return err
		case d.IsDir() && base == "cli":
			return fs.SkipDir // tools name a broker's keys without acting on them
		case !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go"):
			return nil
		case filepath.Dir(path) == filepath.Join("..", "config") && slices.Contains([]string{"checks.go", "describe.go", "update.go"}, base):
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, m := range literal.FindAllSubmatch(text, -1) {
			named[string(m[1])] = true
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range notInForce {
		delete(named, name)
	}
	for _, k := range Keys(ScopeTopic) {
		for _, in := range k.Inherits {
			if named[k.Name] {
				named[in.Name] = true
			}
		}
	}
	for _, scope := range []Scope{ScopeBroker, ScopeTopic} {
		for _, k := range Keys(scope) {
			switch {
			case k.Used && !named[k.Name]:
				t.Errorf("%s key %s is called used, and nothing names it", scope, k.Name)
			case !k.Used && named[k.Name]:
				t.Errorf("%s key %s is called accepted only, but is named in the sources", scope, k.Name)
			}
		}
	}
}
