package e2e

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sys/unix"

	"gregor/test/client"
	"gregor/test/server"
)

// disk mounts a small file system.
func disk(t *testing.T, sizeBytes int) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "disk")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", sizeBytes)); err != nil {
		if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) {
			t.Skip("a file system of its own can only be mounted by root:", err)
		}
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// A broker whose disk fills up refuses records with an error that clients retry, keeps a reserve for itself, serves reads,
// commits and topic changes, starts on a disk that is full to the last byte, and takes records again when there is room.
// Nothing that was acknowledged is lost.
func TestFullDisk(t *testing.T) {
	const reserve = 8 << 20
	dir := disk(t, 40<<20)
	s := server.Start(t, server.Options{Ours: true, Dir: filepath.Join(dir, "data"), Extra: []string{
		fmt.Sprintf("log.dirs.reserved.bytes=%d", reserve), "offsets.topic.num.partitions=1", "log.index.size.max.bytes=4096",
		"log.segment.delete.delay.ms=100", "log.retention.check.interval.ms=200"}})
	client.Create(t, s.Addr, "filled", 1, "segment.bytes", "1048576")
	ctx := client.Context(t)
	cl := client.New(t, s.Addr, kgo.DisableIdempotentWrite(), kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.RecordRetries(0), kgo.RequiredAcks(kgo.AllISRAcks()), kgo.DefaultProduceTopic("filled"))
	admin := kadm.NewClient(cl)
	acked := 0
	produce := func() error {
		value := make([]byte, 100_000)
		copy(value, fmt.Sprintf("%08d", acked))
		err := cl.ProduceSync(ctx, &kgo.Record{Value: value}).FirstErr()
		if err == nil {
			acked++
		}
		return err
	}
	read := func(what string) {
		t.Helper()
		for i, r := range client.ReadPartition(t, s.Addr, "filled", 0, int64(acked)) {
			if string(r.Value[:8]) != fmt.Sprintf("%08d", i) {
				t.Fatalf("%s: record %d holds %s", what, i, r.Value[:8])
			}
		}
	}
	var err error
	for err == nil {
		err = produce()
	}
	if !errors.Is(err, kerr.KafkaStorageError) || !kerr.IsRetriable(err) {
		t.Fatalf("a full disk after %d records: %v", acked, err)
	}
	if free := freeBytes(t, dir); free < reserve/4 {
		t.Errorf("%d bytes are left of a reserve of %d", free, reserve)
	}
	read("a disk that is nearly full")
	offsets := make(kadm.Offsets)
	offsets.AddOffset("filled", 0, int64(acked), -1)
	if err := admin.CommitAllOffsets(ctx, "readers", offsets); err != nil {
		t.Error("offsets are committed out of the reserve:", err)
	}
	client.Create(t, s.Addr, "another", 1)

	// kill -9, and to the last byte by somebody else.
	s.Kill()
	rest, err := os.Create(filepath.Join(dir, "rest"))
	if err != nil {
		t.Fatal(err)
	}
	for block := make([]byte, 1<<20); len(block) > 0; {
		if _, err := rest.Write(block); err != nil {
			block = block[:len(block)/2]
		}
	}
	rest.Close()
	if free := freeBytes(t, dir); free > 4096 {
		t.Fatalf("%d bytes are left", free)
	}
	s.Restart(t)
	read("after a start on a full disk")
	deadline := time.Now().Add(client.Patience)
	for err = produce(); !errors.Is(err, kerr.KafkaStorageError); err = produce() { // connections that broke first
		if err == nil || time.Now().After(deadline) {
			t.Fatalf("a record for a full disk: %v", err)
		}
	}

	if err := os.Remove(filepath.Join(dir, "rest")); err != nil {
		t.Fatal(err)
	}
	for before := acked; acked < before+5; {
		if err := produce(); err != nil && (!errors.Is(err, kerr.KafkaStorageError) || time.Now().After(deadline)) {
			t.Fatalf("production does not go on: %v", err)
		}
	}
	read("there is room again")
}

func freeBytes(t *testing.T, dir string) int64 {
	t.Helper()
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		t.Fatal(err)
	}
	return int64(st.Bavail) * st.Bsize
}
