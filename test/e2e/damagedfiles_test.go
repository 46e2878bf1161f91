package e2e

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"gregor/test/client"
	"gregor/test/server"
)

// seen is what clients see of a broker: the committed records of two topics, and where a group is.
func seenOf(t *testing.T, s *server.Server) string {
	t.Helper()
	var text strings.Builder
	for _, topic := range []string{"t", "compacted"} {
		cl := client.New(t, s.Addr, kgo.FetchIsolationLevel(kgo.ReadCommitted()),
			kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().AtStart()}}))
		var records []string
		for ctx, done := client.Context(t), false; !done; {
			fetches := cl.PollFetches(ctx)
			if ctx.Err() != nil {
				t.Fatalf("%s ends after %d records: %v", topic, len(records), fetches.Err())
			}
			fetches.EachRecord(func(r *kgo.Record) {
				records = append(records, fmt.Sprint(r.Offset, " ", string(r.Key), string(r.Value[:min(20, len(r.Value))])))
				done = done || string(r.Value) == topic+" last"
			})
		}
		cl.Close()
		slices.Sort(records)
		fmt.Fprint(&text, topic, records)
	}
	cl := client.New(t, s.Addr)
	defer cl.Close()
	offsets, err := kadm.NewClient(cl).FetchOffsets(client.Context(t), "g")
	if err != nil {
		t.Fatal(err)
	}
	o, _ := offsets.Lookup("t", 0)
	fmt.Fprint(&text, " group at ", o.At)
	return text.String()
}

// TestDamagedFiles: of a broker that does not run, each kind of file beside the segments is lost, cut, or full of garbage. After
// the start clients see what they saw before.
func TestDamagedFiles(t *testing.T) {
	if server.Apache() {
		t.Skip("a broker of ours")
	}
	s := server.Start(t, server.Options{Ours: true, Extra: []string{"offsets.topic.num.partitions=1", "transaction.state.log.num.partitions=1"}})
	client.Create(t, s.Addr, "t", 1, "segment.bytes", "1048576")
	client.Create(t, s.Addr, "compacted", 1, "segment.bytes", "1048576", "cleanup.policy", "compact")
	cl := client.New(t, s.Addr, kgo.TransactionalID("x"), kgo.ProducerBatchCompression(kgo.NoCompression()))
	ctx := client.Context(t)
	for i := range 8 {
		if err := cl.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		for _, topic := range []string{"t", "compacted"} {
			for k := range 5 {
				client.Produce(t, cl, &kgo.Record{Topic: topic, Key: fmt.Append(nil, k), Value: fmt.Appendf(nil, " %d %s", i, strings.Repeat("x", 60_000))})
			}
		}
		if err := cl.EndTransaction(ctx, kgo.TransactionEndTry(i%2 == 0)); err != nil {
			t.Fatal(err)
		}
	}
	cl.Close()
	plain := client.New(t, s.Addr)
	for _, topic := range []string{"t", "compacted"} {
		client.Produce(t, plain, &kgo.Record{Topic: topic, Key: []byte("last"), Value: []byte(topic + " last")})
	}
	adm := kadm.NewClient(plain)
	var at kadm.Offsets
	at.AddOffset("t", 0, 17, -1)
	if err := adm.CommitAllOffsets(ctx, "g", at); err != nil {
		t.Fatal(err)
	}
	plain.Close()
	want := seenOf(t, s)
	if !strings.Contains(want, "group at 17") || strings.Contains(want, "0 1 x") || !strings.Contains(want, "0 2 x") {
		t.Fatal(want)
	}
	harms := map[string]func(b []byte) []byte{
		"missing": func([]byte) []byte { return nil },
		"cut":     func(b []byte) []byte { return b[:len(b)/2] },
		"garbage": func(b []byte) []byte { return slices.Repeat([]byte("\x5a\x01garbage"), len(b)/9+1) },
	}
	for _, harm := range slices.Sorted(maps.Keys(harms)) {
		if err := s.Stop(); err != nil {
			t.Fatal(err)
		}
		// One file of each kind: in the log of t, or in the directory itself.
		files := map[string]string{}
		err := filepath.WalkDir(s.Dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			kind := filepath.Ext(path)
			if kind == "" || kind == ".metadata" || kind == ".properties" {
				kind = filepath.Base(path)
			}
			switch dir := filepath.Base(filepath.Dir(path)); {
			case kind == ".log", kind == ".lock", kind == "meta.properties", kind == "partition.metadata" && harm != "missing": // refused: see the tests of the log
			case dir == "t-0", strings.HasSuffix(kind, "-checkpoint") && !strings.HasPrefix(dir, "__"):
				files[kind] = path
			}
			return nil
		})
		if err != nil || len(files) < 8 {
			t.Fatal(files, err)
		}
		for kind, path := range files {
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if b = harms[harm](b); b == nil {
				err = os.Remove(path)
			} else {
				err = os.WriteFile(path, b, 0o644)
			}
			if err != nil {
				t.Fatal(err)
			}
			s.Restart(t)
			if got := seenOf(t, s); got != want {
				t.Errorf("%s %s: clients see %.3000s\nbefore %.3000s", kind, harm, got, want)
			}
			if err := s.Stop(); err != nil {
				t.Fatal(err)
			}
			if result := server.Tool(client.Context(t), t, "", "check", s.Dir); result.Code != 0 {
				t.Errorf("%s %s: gregor check: %s%s", kind, harm, result.Stdout, result.Stderr)
			}
		}
		s.Restart(t)
	}
}
