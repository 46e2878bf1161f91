//go:build !windows

package e2e

import (
	"os"
	"syscall"
	"testing"

	"gregor/test/server"
)

// pause has a broker's process stand still, until wake.
func pause(t *testing.T, s *server.Server) { signal(t, s, syscall.SIGSTOP) }

func wake(t *testing.T, s *server.Server) { signal(t, s, syscall.SIGCONT) }

func signal(t *testing.T, s *server.Server, sig os.Signal) {
	t.Helper()
	p, err := os.FindProcess(s.Pid())
	if err == nil {
		err = p.Signal(sig)
	}
	if err != nil {
		t.Fatal(err)
	}
}
