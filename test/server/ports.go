package server

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"gregor/internal/log/vfs"
)

// Ports lie below those that the system gives to clients, so that no connection takes one while the broker that has it is
// being restarted. Each test program has a range of its own, because several run at once.
const (
	firstPort  = 20000
	portRanges = 60
	rangeSize  = 200
)

var nextPort atomic.Int32

// ownRange is the first port of this process's range. The file that claims it stays locked until the process ends.
var ownRange = sync.OnceValues(func() (int, error) {
	if s := os.Getenv("GREGOR_PORTS"); s != "" {
		base, err := strconv.Atoi(s)
		if err != nil {
			return 0, fmt.Errorf("GREGOR_PORTS=%s is not a port", s)
		}
		return base, nil
	}
	dir := filepath.Join(os.TempDir(), "gregor-test-ports")
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return 0, err
	}
	var err error
	for i := range portRanges {
		n := (os.Getpid() + i) % portRanges
		if claim, err = (vfs.OS{}).Lock(filepath.Join(dir, strconv.Itoa(n))); err == nil {
			return firstPort + n*rangeSize, nil
		}
	}
	return 0, fmt.Errorf("every range of ports is taken: %w", err)
})

// claim is the lock of the range, held until Main ends.
var claim io.Closer

// FreePort returns a port that nobody listens on, and that the next is free on as well.
func FreePort(t testing.TB) int {
	t.Helper()
	base, err := ownRange()
	if err != nil {
		t.Fatal(err)
	}
	for range rangeSize / 2 {
		// A long run comes round to ports that its first brokers have given back.
		port := base + int(nextPort.Add(1)-1)%(rangeSize/2)*2
		if free(port) && free(port+1) {
			return port
		}
	}
	t.Fatal("no free port")
	return 0
}

func free(port int) bool {
	l, err := net.Listen("tcp", fmt.Sprintf("localhost:%d", port))
	if err != nil {
		return false
	}
	return l.Close() == nil
}

// FreePorts returns the first of n ports in a row that nobody listens on.
func FreePorts(t testing.TB, n int) int {
	t.Helper()
	first := FreePort(t)
	for last := first; last < first+n-2; {
		next := FreePort(t)
		if next != last+2 {
			first = next
		}
		last = next
	}
	return first
}
