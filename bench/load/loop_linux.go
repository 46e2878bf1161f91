package load

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// loop is one thread that makes a whole load: it waits for every connection at once (epoll), takes all replies that have come
// with one read, and sends all requests that they make room for with one write. Nothing wakes another goroutine.
type loop struct {
	ep           int
	start        time.Time // times are in nanoseconds since then
	measure, end int64     // what is due from measure on, and before end, counts
	streams      []*stream
	producers    []*producer
	every        int64      // between two requests of all producers; 0: as replies come
	spin         bool       // never sleeps before the end
	next         int64      // number of the request that is due next
	open         int        // connections that have not ended, of those that end by themselves
	counted      bool       // there are such
	undelivered  func() int // batches that were acknowledged and have not come to their reader
	buf          []byte
}

// grace is how long after the end a reply is waited for.
const grace = int64(20 * time.Second)

func newLoop(s schedule) (*loop, error) {
	ep, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll_create1: %w", err)
	}
	return &loop{ep: ep, measure: int64(s.warmup), end: int64(s.warmup + s.time), buf: make([]byte, 256<<10)}, nil
}

func (l *loop) close() {
	for _, s := range l.streams {
		unix.Close(s.fd)
	}
	unix.Close(l.ep)
}

// add connects.
func (l *loop) add(ctx context.Context, addr string, r role) (*stream, error) {
	c, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	f, err := c.(*net.TCPConn).File() // a descriptor that Go's own poller does not watch
	if err != nil {
		return nil, err
	}
	defer f.Close()
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	s := &stream{fd: fd, addr: addr, role: r}
	l.streams = append(l.streams, s)
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, err
	}
	event := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLET&0xffffffff, Fd: int32(len(l.streams) - 1)}
	return s, unix.EpollCtl(l.ep, unix.EPOLL_CTL_ADD, fd, &event)
}

func (l *loop) begin() { l.start = time.Now() }

func (l *loop) now() int64 { return int64(time.Since(l.start)) }

// run ends when the load's time is over and what was due has been answered, or, without a time, with the last reader.
func (l *loop) run(ctx context.Context) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	// A sleep is to end when it should, not some tens of microseconds later so that timers can be put together.
	if err := unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("prctl PR_SET_TIMERSLACK: %w", err)
	}
	for _, s := range l.streams {
		if err := s.role.start(l, l.now()); err != nil {
			return s.failed(err)
		}
	}
	events := make([]unix.EpollEvent, 256)
	for {
		now := l.now()
		if err := l.sendDue(now); err != nil {
			return err
		}
		if over, err := l.over(now); over || err != nil {
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		n, err := wait(l.ep, events, l.sleep(now))
		if err != nil && err != unix.EINTR {
			return fmt.Errorf("epoll_pwait2: %w", err)
		}
		for _, e := range events[:max(n, 0)] {
			s := l.streams[e.Fd]
			if err := l.drain(s); err != nil {
				return s.failed(err)
			}
		}
	}
}

func (s *stream) failed(err error) error { return fmt.Errorf("%s: %w", s.addr, err) }

// sleep is how long there is nothing to do, if no reply comes.
func (l *loop) sleep(now int64) int64 {
	const most = int64(50 * time.Millisecond) // to see that the context has ended
	if l.end > now {
		if l.spin {
			return 0
		}
		most := min(most, l.end-now)
		if l.every > 0 {
			return max(0, min(most, l.next*l.every-now))
		}
		return most
	}
	return most
}

// sendDue sends what is due: the connections take turns.
func (l *loop) sendDue(now int64) error {
	if l.every == 0 {
		return nil
	}
	for due := l.next * l.every; due <= now && due < l.end; due = l.next * l.every {
		p := l.producers[l.next%int64(len(l.producers))]
		l.next++
		p.send(due)
		if err := p.stream.push(); err != nil {
			return p.stream.failed(err)
		}
	}
	return nil
}

func (l *loop) over(now int64) (bool, error) {
	switch {
	case l.counted && l.open == 0:
		return true, nil
	case l.end == 0 || now < l.end:
		return false, nil
	case l.every == 0:
		return true, nil
	}
	waiting := l.undelivered()
	for _, p := range l.producers {
		waiting += p.overdue()
	}
	if waiting > 0 && now > l.end+grace {
		return true, fmt.Errorf("%d requests have no reply, or were not delivered, %v after the end", waiting, time.Duration(grace))
	}
	return waiting == 0, nil
}

func wait(ep int, events []unix.EpollEvent, ns int64) (int, error) {
	ts := unix.NsecToTimespec(ns)
	n, _, errno := unix.Syscall6(unix.SYS_EPOLL_PWAIT2, uintptr(ep), uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)), uintptr(unsafe.Pointer(&ts)), 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// drain reads what has come, and sends what that makes room for.
func (l *loop) drain(s *stream) error {
	for {
		flags := unix.MSG_DONTWAIT
		if s.discard && s.rest > 0 {
			flags |= unix.MSG_TRUNC // the kernel throws it away
		}
		want := l.buf
		if s.rest > 0 && flags&unix.MSG_TRUNC != 0 {
			want = want[:min(len(want), s.rest)]
		} else if s.discard {
			want = want[:headBytes] // not what could be thrown away
		}
		n, errno := recv(s.fd, want, flags)
		if errno == unix.EAGAIN || errno == unix.EINTR {
			break
		}
		if errno != 0 {
			return os.NewSyscallError("recvfrom", errno)
		}
		if n == 0 {
			return io.ErrUnexpectedEOF
		}
		if flags&unix.MSG_TRUNC != 0 {
			if s.rest -= n; s.rest == 0 {
				if err := s.finished(l); err != nil {
					return err
				}
			}
			continue
		}
		if err := s.feed(l, want[:n]); err != nil {
			return err
		}
		if n < len(want) {
			break
		}
	}
	return s.push()
}

// recv does not tell Go's scheduler, which has nothing else to run while it takes: it never waits.
func recv(fd int, b []byte, flags int) (int, unix.Errno) {
	n, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)), uintptr(flags), 0, 0)
	return int(n), errno
}

func send(fd int, b []byte) (int, unix.Errno) {
	n, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, 0, 0)
	return int(n), errno
}

// push sends what is in line, as far as the connection takes it.
func (s *stream) push() error {
	for s.left > 0 {
		b := s.block
		end := min(s.at+s.left, len(b.bytes))
		var n int
		var errno unix.Errno
		if b.file != nil {
			n, errno = b.file.send(s.fd, s.at, end-s.at)
		} else {
			n, errno = send(s.fd, b.bytes[s.at:end])
		}
		if errno == unix.EAGAIN || errno == unix.EINTR {
			return nil // an event comes when there is room
		}
		if errno != 0 {
			return os.NewSyscallError("send", errno)
		}
		s.left -= n
		s.at = (s.at + n) % b.period
	}
	return nil
}

// sendFile is bytes in a file that is in memory alone.
type sendFile struct{ f *os.File }

func newSendFile(b []byte) (*sendFile, error) {
	fd, err := unix.MemfdCreate("load", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("memfd_create", err)
	}
	f := os.NewFile(uintptr(fd), "load")
	if _, err := f.Write(b); err != nil {
		f.Close()
		return nil, err
	}
	return &sendFile{f}, nil
}

func (s *sendFile) send(to, at, n int) (int, unix.Errno) {
	off := int64(at)
	sent, _, errno := unix.RawSyscall6(unix.SYS_SENDFILE, uintptr(to), s.f.Fd(), uintptr(unsafe.Pointer(&off)), uintptr(n), 0, 0)
	return int(sent), errno
}

func (s *sendFile) close() error { return s.f.Close() }
