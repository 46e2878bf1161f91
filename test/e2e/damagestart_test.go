package e2e

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"gregor/test/client"
	"gregor/test/server"
)

// batchesOf gives where the batches of a segment begin, and its bytes.
func batchesOf(t *testing.T, path string) (at []int64, b []byte) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for pos := 0; pos+61 <= len(b) && b[pos+16] == 2; pos += 12 + int(binary.BigEndian.Uint32(b[pos+8:])) {
		at = append(at, int64(pos))
	}
	if len(at) < 3 {
		t.Fatalf("%s has %d batches", path, len(at))
	}
	return at, b
}

// flipAt flips a bit of a file.
func flipAt(t *testing.T, path string, at int64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var b [1]byte
	if _, err := f.ReadAt(b[:], at); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 0x10
	if _, err := f.WriteAt(b[:], at); err != nil {
		t.Fatal(err)
	}
}

// segmentsOf lists all segments of a partition on a node, oldest first.
func segmentsOf(t *testing.T, s *server.Server, partition string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(s.Dir, "*", partition, "*.log"))
	if err != nil || len(files) == 0 {
		files, err = filepath.Glob(filepath.Join(s.Dir, partition, "*.log"))
	}
	if err != nil || len(files) < 2 {
		t.Fatalf("%s of %s has segments %v, %v", partition, s.Dir, files, err)
	}
	return files
}

func awaitLog(t *testing.T, s *server.Server, text string) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(client.Patience); !strings.Contains(s.Log(), text); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("the log does not say %q", text)
		}
	}
}

// damageDone is what is done to a file of a broker that is not running, and how its process ended.
type damageDone struct {
	name   string
	killed bool
	active bool                        // the segment that is appended to
	place  func(batches []int64) int64 // in the file
}

var damages = []damageDone{
	{"closed segment", true, false, func(at []int64) int64 { return at[len(at)/2] + 500 }},
	{"active segment", true, true, func(at []int64) int64 { return at[len(at)/2] + 500 }},
	{"base offset", true, false, func(at []int64) int64 { return at[len(at)/2] + 6 }},
	{"leader epoch", true, false, func(at []int64) int64 { return at[len(at)/2] + 13 }},
	{"end of what was flushed", false, true, func(at []int64) int64 { return at[len(at)-1] + 16 }},
}

// TestDamageAtTheStart: bits flip in segments of a broker that does not run, where its start reads them. The replica is not
// whole and serves nobody until it is repaired from another one; then it is in sync again, all records are there, and gregor
// check agrees.
func TestDamageAtTheStart(t *testing.T) {
	c := startCluster(t, "unclean.leader.election.enable=false")
	damageAtTheStart(t, c, damages)
}

func damageAtTheStart(t *testing.T, c *server.Cluster, damages []damageDone) {
	h := newHeavyTopic(t, c)
	for i, d := range damages {
		h.produce(16) // the active segment has some
		id := h.leader()
		if i%2 == 1 {
			id = id%3 + 1
		}
		node := c.Node(id)
		if d.killed {
			node.Kill()
		} else if err := node.Stop(); err != nil {
			t.Fatal(err)
		}
		files := segmentsOf(t, node, "t-0")
		path := files[len(files)-2]
		if d.active {
			path = files[len(files)-1]
		}
		at, want := batchesOf(t, path)
		flipAt(t, path, d.place(at))
		h.produce(1)
		node.Restart(t)
		awaitLog(t, node, "a damaged replica is whole again and follows")
		h.awaitInSync()
		got, err := os.ReadFile(path)
		if err != nil || len(got) < len(want) || string(got[:len(want)]) != string(want) {
			t.Errorf("%s: the file is not what it was: %v", d.name, err)
		}
		if text := node.Log(); !strings.Contains(text, filepath.Base(path)) || !strings.Contains(text, "offset") {
			t.Errorf("%s: the log does not tell the place", d.name)
		}
	}
	h.check()
	h.checkFiles()
}

// TestDamageAtTheStartOfTheOnlyReplica: the replica stays offline, with the place and a way out, start after start; the rest
// of the broker goes on, and with the bit flipped back everything is there.
func TestDamageAtTheStartOfTheOnlyReplica(t *testing.T) {
	if server.Apache() {
		t.Skip("a broker of ours")
	}
	s := server.Start(t, server.Options{Ours: true})
	client.Create(t, s.Addr, "t", 1, "segment.bytes", "1048576")
	client.Create(t, s.Addr, "other", 1)
	cl := client.New(t, s.Addr, kgo.ProducerBatchCompression(kgo.NoCompression()))
	const n = 25
	for i := range n {
		client.Produce(t, cl, &kgo.Record{Topic: "t", Value: fmt.Appendf(nil, "%d %s", i, strings.Repeat("x", 100_000))})
	}
	if err := s.Stop(); err != nil { // so that the recovery point is the end
		t.Fatal(err)
	}
	files := segmentsOf(t, s, "t-0")
	path := files[len(files)-1]
	at, _ := batchesOf(t, path)
	bad := at[len(at)-1] + 16
	flipAt(t, path, bad)
	for range 2 { // the second one must not take it for a torn tail
		s.Restart(t)
		text := s.Log()
		for _, part := range []string{filepath.Base(path), "data flushed before the crash is damaged", "offset 24", "topic=t", "partition=0", "until another one that is in sync"} {
			if !strings.Contains(text, part) {
				t.Errorf("the log does not say %q", part)
			}
		}
		client.Produce(t, cl, &kgo.Record{Topic: "other", Value: []byte("v")})
		if err := s.Stop(); err != nil {
			t.Fatal(err)
		}
	}
	flipAt(t, path, bad)
	s.Restart(t)
	for i, r := range client.ReadPartition(t, s.Addr, "t", 0, n) {
		if !strings.HasPrefix(string(r.Value), fmt.Sprintf("%d x", i)) {
			t.Fatalf("record %d is %.20q", i, r.Value)
		}
	}
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	if result := server.Tool(client.Context(t), t, "", "check", s.Dir); result.Code != 0 {
		t.Errorf("gregor check: %s%s", result.Stdout, result.Stderr)
	}
}
