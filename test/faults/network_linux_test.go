package faults

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// privateEnv is set in the process that runs in a network namespace of its own.
const privateEnv = "GREGOR_FAULTS_PRIVATE"

// enterNamespace runs this test binary again in a network namespace of its own, so that nothing the tests send can
// leave it, and returns the exit code; ok is false if that is not allowed here, or done already.
func enterNamespace() (code int, ok bool) {
	if os.Getenv(privateEnv) != "" {
		return 0, false
	}
	if exec.Command("unshare", "--net", "true").Run() != nil {
		return 0, false
	}
	cmd := exec.Command("unshare", append([]string{"--net", "--"}, os.Args...)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), privateEnv+"=1")
	if err := cmd.Run(); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			fmt.Fprintln(os.Stderr, err)
		}
		return 1, true
	}
	return 0, true
}

// network joins hosts, each a network namespace, by links that can be cut and slowed in each direction. Host 0 is the
// test's own process.
type network struct {
	t     testing.TB
	hosts []*host

	mu    sync.Mutex
	links map[link]condition

	carried sync.WaitGroup
	stop    chan struct{}
}

// link is one direction between two hosts.
type link struct{ from, to int }

// condition is the state of a link; the zero value carries everything at once.
type condition struct {
	cut   bool
	delay time.Duration
}

// host is one end: a TUN device in a namespace.
type host struct {
	addr  netip.Addr
	tun   *os.File
	hold  *exec.Cmd // keeps the namespace; nil for the test's own
	out   []chan packet
	write sync.Mutex
}

type packet struct {
	due   time.Time
	bytes []byte
}

// queueLength is how many packets wait on a link at most; more are lost, as in a router.
const queueLength = 4096

func newNetwork(t testing.TB, n int) *network {
	t.Helper()
	w := &network{t: t, links: map[link]condition{}, stop: make(chan struct{})}
	t.Cleanup(w.close)
	for i := range n + 1 {
		w.hosts = append(w.hosts, w.newHost(i))
	}
	for from, h := range w.hosts {
		for to := range w.hosts {
			queue := make(chan packet, queueLength)
			h.out = append(h.out, queue)
			w.carried.Go(func() { w.deliver(link{from, to}, queue) })
		}
		w.carried.Go(func() { w.carry(from) })
	}
	return w
}

// address is that of a host, from the range for tests of network devices (RFC 2544).
func address(i int) netip.Addr { return netip.AddrFrom4([4]byte{198, 18, 0, byte(i + 1)}) }

func (w *network) newHost(i int) *host {
	h := &host{addr: address(i)}
	name := fmt.Sprintf("faults%d", i)
	var err error
	if h.tun, err = openTUN(name); err != nil {
		w.t.Fatalf("a TUN device: %v", err)
	}
	inside := []string{}
	if i > 0 {
		h.hold = exec.Command("unshare", "--net", "--", "cat") // it ends with its standard input, however the test ends
		stdin, err := h.hold.StdinPipe()
		if err == nil {
			err = h.hold.Start()
		}
		if err != nil {
			w.t.Fatal(err)
		}
		w.t.Cleanup(func() { _ = stdin.Close(); _ = h.hold.Wait() })
		w.awaitNamespace(h.hold.Process.Pid)
		w.command("ip", "link", "set", name, "netns", fmt.Sprint(h.hold.Process.Pid))
		inside = h.enter()
	}
	for _, line := range []string{
		"ip addr add " + h.addr.String() + "/24 dev " + name,
		"ip link set " + name + " mtu 9000 up",
		"ip link set lo up",
	} {
		w.command(append(inside, strings.Fields(line)...)...)
	}
	return h
}

// awaitNamespace waits until a process that was just started has left our namespace.
func (w *network) awaitNamespace(pid int) {
	own, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		w.t.Fatal(err)
	}
	within(w.t, 10*time.Second, "a namespace", func() bool {
		its, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/net", pid))
		return err == nil && its != own
	})
}

// enter is the beginning of a command line that runs something on the host.
func (h *host) enter() []string {
	if h.hold == nil {
		return nil
	}
	return []string{"nsenter", "--net=" + fmt.Sprintf("/proc/%d/ns/net", h.hold.Process.Pid), "--"}
}

func (w *network) command(args ...string) {
	w.t.Helper()
	if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
		w.t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

func openTUN(name string) (*os.File, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	req, err := unix.NewIfreq(name)
	if err == nil {
		req.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, req)
	}
	if err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), name), nil
}

// carry reads what a host sends and puts it on its links.
func (w *network) carry(from int) {
	h := w.hosts[from]
	buf := make([]byte, 1<<16)
	for {
		n, err := h.tun.Read(buf)
		if err != nil {
			if errors.Is(err, os.ErrClosed) {
				return
			}
			if errors.Is(err, syscall.EIO) { // the device is down for a moment
				select {
				case <-w.stop:
					return
				case <-time.After(time.Millisecond):
					continue
				}
			}
			return
		}
		to, ok := destination(buf[:n])
		if !ok || to >= len(w.hosts) {
			continue
		}
		w.mu.Lock()
		c := w.links[link{from, to}]
		w.mu.Unlock()
		if c.cut {
			continue
		}
		select {
		case h.out[to] <- packet{time.Now().Add(c.delay), append([]byte(nil), buf[:n]...)}:
		default:
		}
	}
}

// destination is the host that an IPv4 packet is for.
func destination(b []byte) (int, bool) {
	if len(b) < 20 || b[0]>>4 != 4 {
		return 0, false
	}
	i := int(binary.BigEndian.Uint32(b[16:20])) - int(binary.BigEndian.Uint32(address(0).AsSlice()))
	return i, i >= 0
}

// deliver hands packets over when they are due, in order. One that was under way when the link was cut is lost.
func (w *network) deliver(l link, queue chan packet) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		var p packet
		select {
		case <-w.stop:
			return
		case p = <-queue:
		}
		if d := time.Until(p.due); d > 0 {
			timer.Reset(d)
			select {
			case <-w.stop:
				return
			case <-timer.C:
			}
		}
		w.mu.Lock()
		cut := w.links[l].cut
		w.mu.Unlock()
		if !cut {
			h := w.hosts[l.to]
			h.write.Lock()
			_, _ = h.tun.Write(p.bytes) // what does not fit is lost
			h.write.Unlock()
		}
	}
}

func (w *network) set(c condition, links ...link) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, l := range links {
		w.links[l] = c
	}
}

// heal makes every link whole.
func (w *network) heal() {
	w.mu.Lock()
	defer w.mu.Unlock()
	clear(w.links)
}

func (w *network) close() {
	close(w.stop)
	for _, h := range w.hosts {
		_ = h.tun.Close()
	}
	w.carried.Wait()
}

// within waits for a condition.
func within(t testing.TB, d time.Duration, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(d)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %v", what, d)
		}
		<-tick.C
	}
}
