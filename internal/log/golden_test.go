package log

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// kafkaDir copies the log directory that Apache Kafka wrote.
func kafkaDir(t *testing.T) string {
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("testdata/kafka-4.3.0")); err != nil {
		t.Fatal(err)
	}
	return dir
}

func kafkaOptions(dir string) DirsOptions {
	c := DefaultConfig()
	c.IndexIntervalBytes, c.SegmentBytes, c.RetentionMs = 100, 1500, -1
	return DirsOptions{Paths: []string{dir}, NodeID: 1, Config: c, ProducerExpirationMs: 1 << 50}
}

// goldenValues is what the records of the directory say, from offset 2 on.
func goldenValues() (want []string) {
	offset := 0
	add := func(v string) {
		if offset >= 2 {
			want = append(want, fmt.Sprintf("%d:%s", offset, v))
		}
		offset++
	}
	for codec := range 5 {
		for i := range 9 {
			add(fmt.Sprintf("value %d.%d.%d %s", codec, i/3, i%3, strings.Repeat("a", 79)))
		}
	}
	for i := range 4 {
		add(fmt.Sprint("txn ", i))
		add("second")
		add(fmt.Sprint("marker ", i))
	}
	add("open")
	return want
}

func checkGolden(t *testing.T, d *Dirs) {
	t.Helper()
	l := d.Get("golden", 0)
	if l == nil {
		t.Fatal(d.Broken("golden", 0))
	}
	if l.EndOffset() != 58 || l.LatestEpoch() != 0 || l.Segments() != 3 {
		t.Fatal(l.EndOffset(), l.LatestEpoch(), l.Segments())
	}
	got, err := values(l, 2)
	if err != nil {
		t.Fatal(err)
	}
	want := goldenValues()
	if len(got) != len(want) {
		t.Fatalf("%d records, want %d", len(got), len(want))
	}
	for i := range got {
		if _, offset, _ := strings.Cut(want[i], "marker"); offset == "" && got[i] != want[i] {
			t.Errorf("got %q, want %q", got[i], want[i])
		}
	}
	l.SetHighWatermark(58)
	if l.LastStableOffset() != 57 {
		t.Errorf("LSO %d", l.LastStableOffset())
	}
	if txns, err := l.AbortedTxns(0, 58); err != nil || fmt.Sprint(txns) != "[{5 48 50 51} {5 54 56 57}]" {
		t.Error(txns, err)
	}
}

func TestOpenKafkaDirectory(t *testing.T) {
	dir := kafkaDir(t)
	d, err := OpenDirs(kafkaOptions(dir))
	if err != nil {
		t.Fatal(err)
	}
	checkGolden(t, d)
	l := d.Get("golden", 0)
	if l.StartOffset() != 2 || l.RecoveryPoint() != 58 || d.PreviousBrokerEpoch() < 0 {
		t.Error(l.StartOffset(), l.RecoveryPoint(), d.PreviousBrokerEpoch())
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	compareGolden(t, dir, "*/*")
	compareGolden(t, dir, "*-checkpoint")
}

// TestRecoverKafkaDirectory makes indexes and snapshots anew from Kafka's segments. They must be those of Kafka.
func TestRecoverKafkaDirectory(t *testing.T) {
	dir := kafkaDir(t)
	for _, pattern := range []string{"*-checkpoint", ".kafka_cleanshutdown", "*/*.index", "*/*.timeindex", "*/*.txnindex", "*/*.snapshot"} {
		names, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil || len(names) == 0 {
			t.Fatal(pattern, err)
		}
		for _, name := range names {
			if err := os.Remove(name); err != nil {
				t.Fatal(err)
			}
		}
	}
	f, err := os.OpenFile(filepath.Join(dir, "golden-0", "00000000000000000045.log"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.Write(batch("torn")[:65])
	if cerr := f.Close(); err != nil || cerr != nil {
		t.Fatal(err, cerr)
	}
	d, err := OpenDirs(kafkaOptions(dir))
	if err != nil {
		t.Fatal(err)
	}
	checkGolden(t, d)
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	compareGolden(t, dir, "*/*")
}

// compareGolden compares files with Kafka's, byte by byte.
func compareGolden(t *testing.T, dir, pattern string) {
	t.Helper()
	const golden = "testdata/kafka-4.3.0"
	names, err := filepath.Glob(filepath.Join(golden, pattern))
	if err != nil || len(names) == 0 {
		t.Fatal(pattern, err)
	}
	for _, name := range names {
		rel, _ := filepath.Rel(golden, name)
		want, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(filepath.Join(dir, rel))
		if err != nil {
			t.Error(err)
			continue
		}
		if strings.HasSuffix(rel, "-offset-checkpoint") {
			// Without the partitions that were left out here, in any order.
			g, gerr := decodeOffsetCheckpoint(rel, got)
			w, werr := decodeOffsetCheckpoint(rel, want)
			key := partitionKey{"golden", 0}
			if gerr != nil || werr != nil || g[key] != w[key] {
				t.Errorf("%s: %v, %v; want %v, %v", rel, g, gerr, w, werr)
			}
			continue
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes %x, want %d bytes %x", rel, len(got), got[:min(len(got), 100)], len(want), want[:min(len(want), 100)])
		}
	}
}
