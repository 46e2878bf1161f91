package zk

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gregor/internal/metadata"

	gozk "github.com/go-zookeeper/zk"
)

func TestParseConnect(t *testing.T) {
	for _, c := range []struct {
		connect string
		hosts   []string
		chroot  string
	}{
		{"localhost:2181", []string{"localhost:2181"}, ""},
		{"a,b:1, c:2/kafka/one/", []string{"a:2181", "b:1", "c:2"}, "/kafka/one"},
		{"[::1]:2182,::2/x", []string{"[::1]:2182", "[::2]:2181"}, "/x"},
		{"a:1/", []string{"a:1"}, ""},
		{"", nil, ""}, {"/x", nil, ""}, {"a:1//x", nil, ""}, {"a:1/./x", nil, ""}, {"a:1/x/..", nil, ""}, {"a:1/x\x00", nil, ""},
	} {
		hosts, chroot, err := ParseConnect(c.connect)
		if !slices.Equal(hosts, c.hosts) || c.hosts != nil && chroot != c.chroot || (err == nil) != (c.hosts != nil) {
			t.Errorf("%q: %q, %q, %v", c.connect, hosts, chroot, err)
		}
	}
}

// TestNobodyAnswers: the error names the address, the key, and what the system said.
func TestNobodyAnswers(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	_ = l.Close()
	_, err = Connect(t.Context(), Options{Connect: addr + "/x", ConnectionTimeout: time.Second})
	if err == nil || !strings.Contains(err.Error(), addr) || !strings.Contains(err.Error(), "zookeeper.connection.timeout.ms") || !strings.Contains(err.Error(), "refused") {
		t.Errorf("error %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err = Connect(ctx, Options{Connect: addr}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

// TestTogether: many processes that begin together agree on a cluster, and get ids of their own.
func TestTogether(t *testing.T) {
	w := newWorld(t)
	var mu sync.Mutex
	ids, clusters := map[int32]bool{}, map[string]bool{}
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			c, err := Connect(t.Context(), w.options(newLink()))
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			cluster, err := c.ClusterID(t.Context(), func() string { return fmt.Sprint("cluster-", i) })
			if err != nil {
				t.Error(err)
			}
			id, err := c.GenerateBrokerID(t.Context(), 1000)
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			ids[id], clusters[cluster] = true, true
		})
	}
	wg.Wait()
	if len(clusters) != 1 {
		t.Errorf("clusters %v", clusters)
	}
	for id := int32(1001); id <= 1008; id++ {
		if !ids[id] {
			t.Errorf("nobody has id %d: %v", id, ids)
		}
	}
	if data, _, err := w.plain.Get(w.path("/cluster/id")); err != nil || !strings.HasPrefix(string(data), `{"version":"1","id":"cluster-`) {
		t.Errorf("/cluster/id is %q, %v", data, err)
	}
}

// TestForeign: where a cluster of Apache Kafka is, none of ours begins.
func TestForeign(t *testing.T) {
	for _, p := range []string{"/controller_epoch", "/brokers/topics/t", "/brokers/ids/1"} {
		w := newWorld(t)
		at := w.chroot
		for part := range strings.SplitSeq(p[1:], "/") {
			_, _ = w.plain.Create(at, nil, 0, gozk.WorldACL(gozk.PermAll))
			at += "/" + part
		}
		if _, err := w.plain.Create(at, []byte("1"), 0, gozk.WorldACL(gozk.PermAll)); err != nil {
			t.Fatal(err)
		}
		if _, err := Connect(t.Context(), w.options(newLink())); !errors.Is(err, ErrForeign) || !strings.Contains(err.Error(), at) {
			t.Errorf("with %s: %v", p, err)
		}
		if found, _, _ := w.plain.Exists(w.path(ownPath)); found {
			t.Error("it began all the same")
		}
	}
}

func listen(t *testing.T) (metadata.Endpoint, func()) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return metadata.Endpoint{Name: "PLAINTEXT", Host: "127.0.0.1", Port: uint16(l.Addr().(*net.TCPAddr).Port)}, func() { _ = l.Close() }
}

// TestRegister: whose id is in use by a living process is refused, what a dead one left is taken over.
func TestRegister(t *testing.T) {
	w := newWorld(t)
	there, stop := listen(t)
	elsewhere, _ := listen(t)
	a := w.connect(1)
	if err := a.client.Register(t.Context(), BrokerInfo{ID: 1, Endpoints: []metadata.Endpoint{there}, Directory: "dir-a"}); err != nil {
		t.Fatal(err)
	}
	b := w.connect(1)
	another := BrokerInfo{ID: 1, Endpoints: []metadata.Endpoint{elsewhere}, Directory: "dir-b"}
	if err := b.client.Register(t.Context(), another); !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), endpointURL(there)[len("PLAINTEXT://"):]) {
		t.Errorf("a second process: %v", err)
	}
	owner := func() int64 { return w.stat(brokerPath(1)).EphemeralOwner }
	first := owner()

	// The same directory is proof, whatever answers at the old address.
	c := w.connect(1)
	if err := c.client.Register(t.Context(), BrokerInfo{ID: 1, Endpoints: []metadata.Endpoint{elsewhere}, Directory: "dir-a"}); err != nil {
		t.Fatal(err)
	}
	if owner() == first {
		t.Error("not taken over")
	}
	// The same address is, for there this process listens now.
	d := w.connect(1)
	if err := d.client.Register(t.Context(), BrokerInfo{ID: 1, Endpoints: []metadata.Endpoint{elsewhere}}); err != nil {
		t.Fatal(err)
	}
	// Nobody who answers there is.
	e := w.connect(2)
	if err := e.client.Register(t.Context(), BrokerInfo{ID: 2, Endpoints: []metadata.Endpoint{there}}); err != nil {
		t.Fatal(err)
	}
	stop()
	f := w.connect(2)
	if err := f.client.Register(t.Context(), BrokerInfo{ID: 2, Endpoints: []metadata.Endpoint{elsewhere}, Directory: "dir-f"}); err != nil {
		t.Fatal(err)
	}
	// An end with a word to ZooKeeper takes the znode with it.
	f.close()
	if found, _, _ := w.plain.Exists(w.path(brokerPath(2))); found {
		t.Error("the registration is still there")
	}
}

// TestRegisterWaits: of an older session nothing is known, so its end is waited for.
func TestRegisterWaits(t *testing.T) {
	w := newWorld(t)
	w.session = 4 * time.Second
	a := w.connect(1)
	// An address that nothing can be said of.
	if err := a.client.Register(t.Context(), BrokerInfo{ID: 1}); err != nil {
		t.Fatal(err)
	}
	b := w.connect(1)
	done := make(chan error, 1)
	go func() { done <- b.client.Register(t.Context(), BrokerInfo{ID: 1}) }()
	a.client.Close()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// TestAway: ZooKeeper is away for longer than a session, and nothing ends.
func TestAway(t *testing.T) {
	w := newWorld(t)
	a, b := w.join(1), w.join(2)
	l := w.settled(a, b)
	before := l.engine.Status()
	a.link.set(true, false)
	b.link.set(true, false)
	last := l.mustAppend("while it is away")
	w.until("both know", func() bool {
		for _, m := range []*member{a, b} {
			m.client.mu.Lock()
			connected := m.client.current != nil && m.client.current.connected
			m.client.mu.Unlock()
			if connected {
				return false
			}
		}
		return true
	})
	if st := l.engine.Status(); st.Leader != before.Leader || st.Epoch != before.Epoch || st.Committed != before.Committed {
		t.Errorf("status %+v, before %+v", st, before)
	}
	a.link.set(false, false)
	b.link.set(false, false)
	w.all(last, a, b)
	if !strings.Contains(a.value(last), "away") {
		t.Errorf("what was appended meanwhile is %q", a.value(last))
	}
	// Longer than the session lives.
	for _, m := range []*member{a, b} {
		m.link.set(true, false)
		m.expire()
	}
	l.mustAppend("lost or not")
	a.link.set(false, false)
	b.link.set(false, false)
	w.until("both have new sessions", func() bool {
		return w.settled(a, b).engine.Status().Epoch > before.Epoch
	})
	w.check()
}

// TestServerRestarts: sessions live through it, and what was committed is there.
func TestServerRestarts(t *testing.T) {
	w := newWorld(t)
	if w.server == nil {
		t.Skip("the ZooKeeper is not ours to restart")
	}
	a, b := w.join(1), w.join(2)
	l := w.settled(a, b)
	if err := l.client.Register(t.Context(), BrokerInfo{ID: l.id}); err != nil {
		t.Fatal(err)
	}
	epoch := l.engine.Status().Epoch
	for i := range 3 {
		last := l.mustAppend(fmt.Sprint("before ", i))
		w.stopServer()
		during := l.mustAppend(fmt.Sprint("during ", i))
		w.startServer()
		w.all(during, a, b)
		if !strings.Contains(b.value(last), "before") || !strings.Contains(b.value(during), "during") {
			t.Errorf("offsets %d and %d are %q and %q", last, during, b.value(last), b.value(during))
		}
	}
	if st := w.settled(a, b).engine.Status(); st.Epoch != epoch || st.Leader != l.id {
		t.Errorf("%d leads at epoch %d, before it was %d at %d", st.Leader, st.Epoch, l.id, epoch)
	}
	w.stat(brokerPath(l.id))
	w.check()
}
