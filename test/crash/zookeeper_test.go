package crash

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gregor/test/zookeeper"
)

// inFlight is how many requests of a client wait for their answers.
const inFlight = 20

// zkWriter makes the nodes 0, 1, 2, ... below its own, and counts them in it, in one session for ever.
type zkWriter struct {
	root     string
	session  int64
	password []byte
	conn     *zookeeper.Conn
	next     int          // the next node
	acked    atomic.Int64 // nodes 0 to acked-1 were acknowledged
}

// TestKillZooKeeper kills our ZooKeeper server with SIGKILL while clients write, again and again. After each restart all
// that was acknowledged is there, what is there has no gaps, and every client has its session and its ephemeral node.
func TestKillZooKeeper(t *testing.T) {
	random := rand.New(rand.NewPCG(newSeed(t), 0))
	s := zookeeper.Start(t, zookeeper.Options{Extra: []string{"snapCount=1000", "preAllocSize=1024", "autopurge.snapRetainCount=3"}})
	writers := make([]*zkWriter, 4)
	for i := range writers {
		w := &zkWriter{root: fmt.Sprintf("/w%d", i)}
		writers[i] = w
		w.connect(t, s)
		for _, r := range []zookeeper.Request{zookeeper.Create(zookeeper.OpCreate, w.root, nil, zookeeper.Open, 0, 0), zookeeper.Create(zookeeper.OpCreate, w.root+"-alive", nil, zookeeper.Open, zookeeper.Ephemeral, 0)} {
			if m, err := w.conn.Do(r); err != nil || m.Err != 0 {
				t.Fatal(m, err)
			}
		}
	}
	total := func() (n int64) {
		for _, w := range writers {
			n += w.acked.Load()
		}
		return n
	}
	var downtime time.Duration
	for range *crashes {
		var work sync.WaitGroup
		for _, w := range writers {
			work.Go(func() { w.write(t) })
		}
		goal := total() + 1 + int64(random.IntN(1500))
		for deadline := time.Now().Add(time.Minute); total() < goal && time.Now().Before(deadline); {
			<-time.After(time.Millisecond)
		}
		s.Kill()
		work.Wait()
		down := time.Now()
		s.Restart(t)
		downtime += time.Since(down)
		for _, w := range writers {
			w.connect(t, s)
			w.check(t)
		}
	}
	t.Logf("%d kills, %d nodes acknowledged, %v from a start to serving", *crashes, total(), (downtime / time.Duration(*crashes)).Round(time.Millisecond))
}

// connect takes up the session, or begins it.
func (w *zkWriter) connect(t *testing.T, s *zookeeper.Server) {
	t.Helper()
	c, err := zookeeper.Dial(s.Addr, zookeeper.Hello{TimeoutMs: 10_000, Session: w.session, Password: w.password})
	if err != nil {
		t.Fatalf("%s: its session: %v", w.root, err)
	}
	if w.session != 0 && c.Session != w.session {
		t.Fatalf("%s: the session was %#x and is %#x", w.root, w.session, c.Session)
	}
	w.conn, w.session, w.password = c, c.Session, c.Password
	t.Cleanup(func() { _ = c.Close() })
}

// write goes on until the connection ends. Each step is a multi: the node, and its number in the parent.
func (w *zkWriter) write(t *testing.T) {
	waiting := make(chan int, inFlight)
	var answers sync.WaitGroup
	answers.Go(func() {
		failed := false
		for n := range waiting {
			if failed {
				continue
			}
			m, err := w.conn.Receive()
			switch {
			case err != nil:
				failed = true
				_ = w.conn.Close()
			case m.Err != 0:
				t.Errorf("%s/%d: error %d", w.root, n, m.Err)
			default:
				w.acked.Store(int64(n) + 1)
			}
		}
	})
	for {
		n := w.next
		if _, err := w.conn.Send(zookeeper.Multi(zookeeper.OpMulti,
			zookeeper.Create(zookeeper.OpCreate, fmt.Sprintf("%s/%d", w.root, n), fmt.Append(nil, n), zookeeper.Open, 0, 0),
			zookeeper.SetData(w.root, fmt.Append(nil, n), -1))); err != nil {
			break
		}
		w.next++
		waiting <- n
	}
	close(waiting)
	answers.Wait()
}

// check compares what is there with what was acknowledged, and goes on behind it.
func (w *zkWriter) check(t *testing.T) {
	t.Helper()
	m, err := w.conn.Do(zookeeper.Read(zookeeper.OpGetChildren, w.root, false))
	if err != nil || m.Err != 0 {
		t.Fatal(m, err)
	}
	there := map[string]bool{}
	for _, name := range zookeeper.Strings(m.Body) {
		there[name] = true
	}
	acked := int(w.acked.Load())
	for n := range len(there) {
		if !there[fmt.Sprint(n)] {
			t.Fatalf("%s has %d nodes, but not %d: of the %d acknowledged one is lost, or what is there is not a beginning", w.root, len(there), n, acked)
		}
	}
	if len(there) < acked {
		t.Fatalf("%s has %d nodes of %d that were acknowledged", w.root, len(there), acked)
	}
	data, err := w.conn.Do(zookeeper.Read(zookeeper.OpGetData, w.root, false))
	if want := fmt.Append(nil, len(there)-1); len(there) > 0 && (err != nil || data.Err != 0 || string(zookeeper.Data(data.Body)) != string(want)) {
		t.Fatalf("%s has %d nodes and says %q: half a multi is there", w.root, len(there), zookeeper.Data(data.Body))
	}
	alive, err := w.conn.Do(zookeeper.Read(zookeeper.OpExists, w.root+"-alive", false))
	if err = errors.Join(err, zkError(alive.Err)); err != nil {
		t.Fatalf("%s: its ephemeral node: %v", w.root, err)
	}
	w.next = len(there)
	w.acked.Store(int64(len(there)))
}

func zkError(code int32) error {
	if code == 0 {
		return nil
	}
	return fmt.Errorf("error %d", code)
}
