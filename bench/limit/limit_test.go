package limit

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/bench/load"
	"gregor/internal/record"
)

func start(t *testing.T, o Options) *Server {
	t.Helper()
	o.Dir, o.Addr = t.TempDir(), "localhost:0"
	s, err := Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func dial(t *testing.T, s *Server) *load.Conn {
	t.Helper()
	c, err := load.Dial(t.Context(), s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func produce(t *testing.T, c *load.Conn, partition int32, batch []byte) kmsg.ProduceResponseTopicPartition {
	t.Helper()
	req := kmsg.NewPtrProduceRequest()
	req.SetVersion(8)
	req.Acks = -1
	req.Topics = []kmsg.ProduceRequestTopic{{Topic: "t", Partitions: []kmsg.ProduceRequestTopicPartition{{Partition: partition, Records: batch}}}}
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	return resp.(*kmsg.ProduceResponse).Topics[0].Partitions[0]
}

func fetch(t *testing.T, c *load.Conn, partition int32, offset int64, wait time.Duration) kmsg.FetchResponseTopicPartition {
	t.Helper()
	req := kmsg.NewPtrFetchRequest()
	req.SetVersion(11)
	req.MaxWaitMillis = int32(wait.Milliseconds())
	p := kmsg.NewFetchRequestTopicPartition()
	p.Partition, p.FetchOffset, p.PartitionMaxBytes = partition, offset, 1<<20
	req.Topics = []kmsg.FetchRequestTopic{{Topic: "t", Partitions: []kmsg.FetchRequestTopicPartition{p}}}
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	return resp.(*kmsg.FetchResponse).Topics[0].Partitions[0]
}

// What is written is read, over a file's end and with offsets put in; a batch of another size begins another file.
func TestWhatIsWrittenIsRead(t *testing.T) {
	for _, flush := range []bool{false, true} {
		small, large := load.Batch(3, 100, 1), load.Batch(5, 1000, 1)
		s := start(t, Options{Partitions: 2, Flush: flush, SegmentBytes: int64(2 * len(large))})
		c := dial(t, s)
		var next int64
		for i, batch := range [][]byte{small, large, large, large, small} {
			if got := produce(t, c, 1, bytes.Clone(batch)); got.ErrorCode != 0 || got.BaseOffset != next {
				t.Fatalf("batch %d: error %d, offset %d, expected %d", i, got.ErrorCode, got.BaseOffset, next)
			}
			next += int64(record.Batch(batch).NumRecords())
		}
		var read []byte
		for offset := int64(0); offset < next; {
			got := fetch(t, c, 1, offset, 0)
			if got.ErrorCode != 0 || got.HighWatermark != next || len(got.RecordBatches) == 0 {
				t.Fatalf("offset %d: error %d, high watermark %d, %d bytes", offset, got.ErrorCode, got.HighWatermark, len(got.RecordBatches))
			}
			for rest := got.RecordBatches; len(rest) > 0; {
				b, after, err := record.Next(rest)
				if err != nil || b.CheckCRC() != nil || b.BaseOffset() != offset {
					t.Fatalf("offset %d in place of %d: %v", b.BaseOffset(), offset, err)
				}
				offset, rest = b.NextOffset(), after
			}
			read = append(read, got.RecordBatches...)
		}
		if want := 2*len(small) + 3*len(large); len(read) != want {
			t.Errorf("read %d bytes of %d", len(read), want)
		}
		if files, _ := filepath.Glob(filepath.Join(s.options.Dir, "t-1", "*.log")); len(files) != 4 {
			t.Errorf("files %v, expected one of a small batch, two of large ones, and one more", files)
		}
	}
}

func TestWhatIsRefused(t *testing.T) {
	s := start(t, Options{Partitions: 1})
	c := dial(t, s)
	bad := load.Batch(1, 10, 1)
	bad[len(bad)-1]++
	if got := produce(t, c, 0, bad); got.ErrorCode != kerr.CorruptMessage.Code {
		t.Errorf("a batch with a flipped bit: error %d", got.ErrorCode)
	}
	if got := produce(t, c, 1, load.Batch(1, 10, 1)); got.ErrorCode != kerr.UnknownTopicOrPartition.Code {
		t.Errorf("a partition that is not there: error %d", got.ErrorCode)
	}
	if got := fetch(t, c, 0, 7, 0); got.ErrorCode != kerr.OffsetOutOfRange.Code {
		t.Errorf("an offset beyond the end: error %d", got.ErrorCode)
	}
}

// A reader at the tail gets what comes.
func TestTail(t *testing.T) {
	s := start(t, Options{Partitions: 1})
	p := &load.Produce{Addrs: []string{s.Addr()}, Topic: "t", Acks: -1, Batch: load.Batch(10, 1000, 1), PerBatch: 10, Conns: 2, PerSecond: 500, Time: 300 * time.Millisecond}
	both, err := load.Run(t.Context(), p, &load.Fetch{Addrs: p.Addrs, Topic: "t", Readers: 2, MaxBytes: 1 << 20, MaxWait: time.Second})
	if errors.Is(err, load.ErrOtherSystem) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	if n := both.Delivered.TotalCount(); n != 150 {
		t.Errorf("%d deliveries of 150", n)
	}
}

// Old files go, and one that somebody sends from goes when it is sent.
func TestRetention(t *testing.T) {
	batch := load.Batch(10, 1000, 1)
	p := newPartition(&Options{SegmentBytes: int64(2 * len(batch)), RetainBytes: int64(4 * len(batch))}, filepath.Join(t.TempDir(), "t-0"))
	t.Cleanup(func() {
		for _, s := range p.segments {
			s.file.Close()
		}
	})
	write := func(times int) {
		t.Helper()
		for range times {
			if _, err := p.append(bytes.Clone(batch)); err != nil {
				t.Fatal(err)
			}
		}
	}
	write(1)
	sent, err := p.read(0, 1<<20)
	if err != nil || sent.bytes != int64(len(batch)) {
		t.Fatalf("%+v, %v", sent, err)
	}
	write(19)
	files := func() int {
		t.Helper()
		files, err := os.ReadDir(p.dir)
		if err != nil {
			t.Fatal(err)
		}
		return len(files)
	}
	if n := files(); n != 4 {
		t.Errorf("%d files: expected the active one, two full ones, and the one that is read", n)
	}
	got := make([]byte, sent.bytes)
	if _, err := sent.segment.file.ReadAt(got, sent.at); err != nil || !bytes.Equal(got[crcAt:], batch[crcAt:]) {
		t.Errorf("what is read has gone: %v", err)
	}
	if err := sent.release(); err != nil || files() != 3 {
		t.Errorf("%d files when it was read: %v", files(), err)
	}
	if _, err := p.read(0, 1<<20); !errors.Is(err, errOutOfRange) {
		t.Errorf("an offset that has gone: %v", err)
	}
}

// A connection that waits ends with the server.
func TestCloseWhileSomebodyWaits(t *testing.T) {
	s, err := Start(t.Context(), Options{Dir: t.TempDir(), Addr: "localhost:0", Partitions: 1})
	if err != nil {
		t.Fatal(err)
	}
	c := dial(t, s)
	produce(t, c, 0, load.Batch(1, 10, 1))
	ended := make(chan error, 1)
	go func() {
		req := kmsg.NewPtrFetchRequest()
		req.SetVersion(11)
		req.MaxWaitMillis = 60_000
		p := kmsg.NewFetchRequestTopicPartition()
		p.FetchOffset, p.PartitionMaxBytes = 1, 1<<20
		req.Topics = []kmsg.FetchRequestTopic{{Topic: "t", Partitions: []kmsg.FetchRequestTopicPartition{p}}}
		_, err := c.Do(req)
		ended <- err
	}()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	select {
	case <-ended:
	case <-ctx.Done():
		t.Error("the reader still waits")
	}
}
