package node

import (
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"strings"
	"testing"

	"gregor/internal/config"
)

func TestPortHolder(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port := l.Addr().(*net.TCPAddr).Port
	_, err = listen(t.Context(), []config.Listener{
		{Name: "FREE", Host: "127.0.0.1", Protocol: "PLAINTEXT"},
		{Name: "TAKEN", Host: "127.0.0.1", Port: port, Protocol: "PLAINTEXT"},
	}, nil)
	if !errors.Is(err, ErrPortInUse) {
		t.Fatalf("error: %v", err)
	}
	want := []string{fmt.Sprintf("TAKEN://127.0.0.1:%d", port), "listeners", fmt.Sprint(port + 1)}
	if runtime.GOOS == "linux" {
		want = append(want, fmt.Sprintf("process %d (", os.Getpid()), os.Args[0])
	}
	for _, s := range want {
		if !strings.Contains(err.Error(), s) {
			t.Errorf("%v, want %q", err, s)
		}
	}
}

// TestStartedTwice: whoever starts a broker by the properties of one that runs already, as the tutorial's slip has it, is
// told that both the port and the directory are taken, by whom, and what a broker of its own needs.
func TestStartedTwice(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("who holds a port is found out on Linux")
	}
	dir := t.TempDir()
	first := run(t, dir)
	_, err := start(t, dir, "listeners=PLAINTEXT://"+first.Addr(""))
	if !errors.Is(err, ErrPortInUse) {
		t.Fatalf("error: %v", err)
	}
	for _, want := range []string{first.Addr(""), dir, fmt.Sprintf("process %d (", os.Getpid()), "runs already", "broker.id", "listeners", "log.dirs"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

func TestListenErrors(t *testing.T) {
	for _, c := range []struct {
		l    config.Listener
		want string
	}{
		{config.Listener{Name: "A", Host: "no-such-host.invalid", Protocol: "PLAINTEXT"}, "cannot be resolved"},
		{config.Listener{Name: "A", Host: "192.0.2.1", Protocol: "PLAINTEXT"}, "must be an address of this machine"},
		{config.Listener{Name: "A", Host: "localhost", Protocol: "SASL_SSL"}, "later version"},
	} {
		list, err := listen(t.Context(), []config.Listener{c.l}, nil)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: %v, want %q", c.l, err, c.want)
		}
		closeAll(list)
	}
}
