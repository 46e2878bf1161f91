package zookeeper

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"gregor/internal/log/vfs"
	"gregor/internal/zookeeper/proto"
)

// TestEveryChangeOfTheDisk cuts the power at every change of the disk of a server that is written to, takes snapshots and
// purges: what it acknowledged is there afterwards, and the tree is what the log says, to the digest.
func TestEveryChangeOfTheDisk(t *testing.T) {
	total := crashAt(t, -1, nil)
	if total < 100 {
		t.Fatalf("only %d changes", total)
	}
	for n := 0; n < total; n += 1 + n/40 { // the first ones are the start, one by one
		crashAt(t, n, nil)
		crashAt(t, n, rand.New(rand.NewPCG(uint64(n), 7)))
	}
}

// crashAt lets every change of the disk from the nth on fail, and gives how many there were.
func crashAt(t *testing.T, n int, rnd *rand.Rand) int {
	t.Helper()
	disk := vfs.NewMem(nil)
	var mu sync.Mutex
	changes := 0
	fsys := &vfs.Fault{FS: disk, Hook: func(op vfs.Op, _ string) error {
		if !op.Changes() {
			return nil
		}
		mu.Lock()
		defer mu.Unlock()
		changes++
		switch {
		case n < 0 || changes <= n:
			return nil
		case changes == n+1 && op == vfs.OpWrite:
			return &vfs.ShortWrite{N: 50, Err: errPower}
		}
		return errPower
	}}
	cfg := testConfig()
	cfg.SnapCount, cfg.PurgeInterval = 20, time.Millisecond
	acked := map[string]string{}
	logs := &logBuffer{}
	if s, err := start(context.Background(), cfg, slog.New(slog.NewTextHandler(logs, nil)), fsys); err == nil {
		churn(s, acked)
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		_ = s.Close(ctx)
	}
	mu.Lock()
	total := changes
	mu.Unlock()

	after, err := start(context.Background(), cfg, slog.New(slog.NewTextHandler(logs, nil)), disk.CrashSectors(rnd))
	if err != nil {
		t.Fatalf("change %d: %v", n, err)
	}
	ts := &testServer{Server: after, t: t}
	defer ts.stop()
	if after.counters.digestMismatches.Load() > 0 {
		t.Fatalf("change %d: digests differ\n%s", n, logs.b.String())
	}
	p := ts.session(60000)
	defer p.Close()
	for path, data := range acked {
		h, body := p.do(&proto.GetDataRequest{Path: path})
		switch {
		case data == "" && h.Err != proto.NoNode, data != "" && h.Err != proto.OK:
			t.Fatalf("change %d: %s: %v", n, path, h.Err)
		case data != "" && !strings.HasPrefix(string(proto.NewDecoder(body).Buffer()), data[:1]):
			t.Fatalf("change %d: %s: %q, want %q", n, path, body, data)
		}
	}
	return total
}

// churn writes until it is done or the server is. acked holds what was acknowledged last of each node, "" for deleted;
// what came after and was not acknowledged has the same first letter.
func churn(s *Server, acked map[string]string) {
	nc, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		return
	}
	defer nc.Close()
	_ = nc.SetDeadline(time.Now().Add(patience))
	p := &peer{Conn: nc}
	hello := (&proto.ConnectRequest{TimeoutMs: 60000, Password: make([]byte, 16)}).Append(nil)
	if _, err := nc.Write(append([]byte{0, 0, 0, byte(len(hello))}, hello...)); err != nil {
		return
	}
	if _, err := p.read(); err != nil {
		return
	}
	for i := range 25 {
		path, gone := fmt.Sprintf("/n%d", i), fmt.Sprintf("/g%d", i)
		var b []byte
		for _, r := range []proto.Request{create(path, "a"), create(gone, "b"), setData(path, "abc"), &proto.DeleteRequest{Path: gone, Version: -1},
			create(path+"/kid", "k")} {
			b = p.encode(b, r)
		}
		if _, err := nc.Write(b); err != nil {
			return
		}
		for k := range 5 {
			b, err := p.read()
			if err != nil || proto.NewDecoder(b).ReplyHeader().Err != proto.OK {
				return
			}
			switch k {
			case 0, 2:
				acked[path] = "a"
			case 3:
				acked[gone] = ""
			case 4:
				acked[path+"/kid"] = "k"
			}
		}
	}
}
