package log

import (
	"os"
	"runtime"
	"testing"
	"time"
)

// BenchmarkTenThousandPartitions makes, leads, closes, opens and kills the directory of a broker that has 10,000
// replicas, one in ten of which has records, and reports what each step and each idle replica costs.
//
//	go test ./internal/log -run '^$' -bench TenThousandPartitions -benchtime 1x
func BenchmarkTenThousandPartitions(b *testing.B) {
	const n, width = 10_000, 16
	dir := b.TempDir()
	open := func() *Dirs {
		d, err := OpenDirs(DirsOptions{Paths: []string{dir}, NodeID: 1})
		if err != nil {
			b.Fatal(err)
		}
		return d
	}
	id := [16]byte{1}
	batch := benchBatch(1, 100)
	step := func(name string, do func()) {
		begun := time.Now()
		do()
		b.ReportMetric(float64(time.Since(begun).Milliseconds()), name+"-ms")
	}
	each := func(d *Dirs, do func(i int, l *Log) error) {
		parallel(n, width, func(i int) {
			if err := do(i, d.Get("scale", int32(i))); err != nil {
				b.Error(err)
			}
		})
	}
	for b.Loop() {
		before := heap()
		d := open()
		step("create", func() {
			parallel(n, width, func(i int) {
				if _, err := d.Create("scale", id, int32(i), [16]byte{}, DefaultConfig()); err != nil {
					b.Error(err)
				}
			})
		})
		b.ReportMetric(float64(heap()-before)/n, "heap-B/log")
		b.ReportMetric(float64(countFiles()), "files")
		step("lead", func() { each(d, func(_ int, l *Log) error { return l.AssignEpoch(1, l.EndOffset()) }) })
		step("append", func() {
			each(d, func(i int, l *Log) error {
				if i%10 != 0 {
					return nil
				}
				_, err := l.AppendLeader(append([]byte(nil), batch...), 1, Client)
				return err
			})
		})
		step("checkpoint", func() { d.Checkpoint() })
		step("retention", d.background.retention)
		step("close", func() { d.Close() })
		step("open", func() { d = open() })
		b.ReportMetric(float64(heap()-before)/n, "heap-opened-B/log")
		b.ReportMetric(float64(countFiles()), "files-opened")
		step("lead-again", func() { each(d, func(_ int, l *Log) error { return l.AssignEpoch(2, l.EndOffset()) }) })
		crash(d)
		step("open-killed", func() { d = open() })
		step("close-again", func() { d.Close() })
		os.RemoveAll(dir)
	}
}

// crash leaves the directories as the end of the process would.
func crash(d *Dirs) {
	d.background.stop()
	for l := range d.All() {
		l.abandon()
	}
	d.unlock()
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func countFiles() int {
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0
	}
	return len(list)
}
