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
	})
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

func TestListenErrors(t *testing.T) {
	for _, c := range []struct {
		l    config.Listener
		want string
	}{
		{config.Listener{Name: "A", Host: "no-such-host.invalid", Protocol: "PLAINTEXT"}, "cannot be resolved"},
		{config.Listener{Name: "A", Host: "192.0.2.1", Protocol: "PLAINTEXT"}, "must be an address of this machine"},
		{config.Listener{Name: "A", Host: "localhost", Protocol: "SASL_SSL"}, "later version"},
	} {
		list, err := listen(t.Context(), []config.Listener{c.l})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: %v, want %q", c.l, err, c.want)
		}
		closeAll(list)
	}
}
