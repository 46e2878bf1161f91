package e2e

import (
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"gregor"
	"gregor/test/client"
)

// TestEmbedded runs two brokers inside this process; they share nothing, and leave nothing behind.
func TestEmbedded(t *testing.T) {
	dirs := []string{t.TempDir(), t.TempDir()}
	for round := range 2 {
		var brokers []*gregor.Broker
		for _, dir := range dirs {
			b, err := gregor.Start(client.Context(t), gregor.Config{Dir: dir})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { b.Close() })
			brokers = append(brokers, b)
		}
		if brokers[0].ClusterID() == brokers[1].ClusterID() {
			t.Error("two brokers are one cluster")
		}
		if round == 0 {
			for i, b := range brokers {
				client.Create(t, b.Addr(), "kept", 1)
				c := client.New(t, b.Addr())
				client.Produce(t, c, &kgo.Record{Topic: "kept", Value: []byte(dirs[i])})
				c.Close()
			}
		}
		for i, b := range brokers {
			if got := client.ReadPartition(t, b.Addr(), "kept", 0, -1); len(got) != 1 || string(got[0].Value) != dirs[i] {
				t.Errorf("broker %d holds %d records", i, len(got))
			}
			start := time.Now()
			if err := b.Close(); err != nil {
				t.Error(err)
			}
			if took := time.Since(start); took > 3*time.Second {
				t.Errorf("the end of a broker took %v", took)
			}
		}
	}
	// Goroutines of the brokers; clients of this test may still be on their way out.
	var left []string
	for end := time.Now().Add(5 * time.Second); ; runtime.Gosched() {
		stacks := make([]byte, 1<<20)
		stacks = stacks[:runtime.Stack(stacks, true)]
		left = slices.DeleteFunc(strings.Split(string(stacks), "\n\n"), func(s string) bool { return !strings.Contains(s, "gregor/internal") })
		if len(left) == 0 {
			return
		}
		if time.Now().After(end) {
			break
		}
	}
	for _, stack := range left {
		t.Errorf("a goroutine outlives its broker:\n%s", stack)
	}
}

// TestEmbeddedRefusesBadSettings checks that nothing is written before the settings are known to be good.
func TestEmbeddedRefusesBadSettings(t *testing.T) {
	dir := t.TempDir() + "/new"
	_, err := gregor.Start(client.Context(t), gregor.Config{Dir: dir, Properties: map[string]string{"log.segment.bytes": "many"}})
	if err == nil || !strings.Contains(err.Error(), "log.segment.bytes") || !strings.Contains(err.Error(), "many") {
		t.Errorf("the error does not name key and value: %v", err)
	}
	if exists(dir) {
		t.Error("a directory was made for settings that were refused")
	}
}
