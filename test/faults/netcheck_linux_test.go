package faults

import (
	"errors"
	"net"
	"os"
	"testing"
	"time"
)

// TestNetwork makes sure that the network does what the other tests rely on.
func TestNetwork(t *testing.T) {
	needNamespaces(t)
	w := newNetwork(t, 1)
	l, err := net.Listen("tcp", w.hosts[0].addr.String()+":0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = c.Close()
		}
	}()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	connect := func() (time.Duration, error) {
		began := time.Now()
		out, err := command(w.hosts[1], "bash", "-c", "exec 3<>/dev/tcp/"+w.hosts[0].addr.String()+"/"+port).CombinedOutput()
		if err != nil {
			t.Logf("%s", out)
		}
		return time.Since(began), err
	}
	if _, err := connect(); err != nil {
		t.Fatal("a whole link:", err)
	}
	w.set(condition{delay: 100 * time.Millisecond}, link{0, 1})
	if took, err := connect(); err != nil || took < 100*time.Millisecond {
		t.Fatalf("a slow link: connected in %v, %v", took, err)
	}
	// One direction is enough: the answer does not come.
	w.set(condition{cut: true}, link{0, 1})
	conn := make(chan error, 1)
	cmd := command(w.hosts[1], "bash", "-c", "exec 3<>/dev/tcp/"+w.hosts[0].addr.String()+"/"+port)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { conn <- cmd.Wait() }()
	select {
	case err := <-conn:
		t.Fatal("a cut link: the connection was made:", err)
	case <-time.After(500 * time.Millisecond):
	}
	w.heal()
	select {
	case err := <-conn: // by TCP's second attempt
		if err != nil {
			t.Fatal("a healed link:", err)
		}
	case <-time.After(10 * time.Second):
		_ = cmd.Process.Kill()
		t.Fatal("a healed link: no connection within 10 s")
	}
	if _, err := os.Stat("/proc/self/ns/net"); errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
}
