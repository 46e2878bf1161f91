package log

import (
	"testing"

	"gregor/internal/log/vfs"
)

// What a process that was killed had written and not flushed is read again after its restart, and acknowledged to a
// producer that repeats it. With flush.messages=1 it must then survive the loss of power, too.
func TestFlushRecovered(t *testing.T) {
	f := newFixture(t)
	mem := f.fs.(*vfs.Mem)
	f.append(f.open(), batch("a"))
	for _, dir := range []string{"/", "/data", "/data/t-0"} {
		if err := mem.SyncDir(dir); err != nil {
			t.Fatal(err)
		}
	}
	mem.Kill()
	cfg := *DefaultConfig()
	cfg.FlushMessages = 1
	f.opts.SameBoot = true
	l := f.open()
	l.SetConfig(&cfg)
	if err := l.FlushRecovered(); err != nil {
		t.Fatal(err)
	}
	f.expect(l, 0, "0:a")
	f.opts.FS = mem.Crash(nil)
	f.opts.SameBoot = false
	f.expect(f.open(), 0, "0:a")
}
