package zk

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	gozk "github.com/go-zookeeper/zk"
)

// session is one session with ZooKeeper, on one connection of the library after another. The library would go on in a new
// session by itself; here a session that has expired is over, and everything that was asked of it with it.
type session struct {
	c      *Client
	conn   *gozk.Conn
	dialer *dialer
	over   chan struct{} // closed when it has expired, or the client was closed

	// Client.mu guards these.
	connected bool
	began     bool      // it has an id
	since     time.Time // when connected changed
	isOver    bool
}

// run has one session after another.
func (c *Client) run() {
	for c.ctx.Err() == nil {
		s, ended, err := c.open()
		if err != nil { // the library refuses nothing that ParseConnect takes
			c.log.Error("no session with ZooKeeper can begin", "error", err)
			return
		}
		c.watch(s)
		expired := s.ended()
		s.end(nil)
		if expired {
			s.dialer.close() // there is nobody to say goodbye to, and the next session need not wait for it
			c.wg.Go(s.conn.Close)
			continue
		}
		s.conn.Close()
		s.dialer.close()
		<-ended
	}
}

// open begins a session. ended is closed when the library has nothing running for it any more.
func (c *Client) open() (s *session, ended chan struct{}, err error) {
	s = &session{c: c, over: make(chan struct{}), since: time.Now()}
	s.dialer = newDialer(c.o.Dial, c.o.SessionTimeout*2/3)
	c.mu.Lock()
	defer c.mu.Unlock()
	conn, events, err := gozk.Connect(c.hosts, c.o.SessionTimeout,
		gozk.WithDialer(s.dialer.Dial),
		gozk.WithHostProvider(&hosts{}),
		gozk.WithLogger(libraryLog{c.log}),
		gozk.WithEventCallback(s.event),
		gozk.WithMaxBufferSize(maxReply),
	)
	if err != nil {
		return nil, nil, err
	}
	s.conn = conn
	ended = make(chan struct{})
	c.wg.Go(func() {
		defer close(ended)
		for range events { // told to s.event already
		}
	})
	c.current = s
	c.notify()
	return s, ended, nil
}

// maxReply bounds what is taken from a server at once: the names of a million znodes fit.
const maxReply = 48 << 20

// event comes on the library's goroutine, before it does anything else.
func (s *session) event(ev gozk.Event) {
	if ev.Type != gozk.EventSession {
		return
	}
	switch ev.State {
	case gozk.StateHasSession:
		s.setConnected(true, ev.Server)
	case gozk.StateDisconnected:
		s.setConnected(false, ev.Server)
	case gozk.StateExpired:
		s.end(gozk.ErrSessionExpired)
	}
}

func (s *session) setConnected(connected bool, server string) {
	c := s.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.connected == connected || s.isOver {
		return
	}
	if connected && s.began {
		c.log.Info("connected to ZooKeeper again", "server", server, "away", time.Since(s.since).Round(time.Millisecond))
	} else if connected {
		c.log.Info("connected to ZooKeeper", "server", server)
	} else if c.ctx.Err() == nil {
		c.log.Warn("the connection to ZooKeeper is lost", "server", server)
	}
	s.connected, s.since = connected, time.Now()
	s.began = s.began || connected
	c.notify()
}

// end marks the session as over. Who leads by it leads no more when end returns, and no request of it is sent later.
func (s *session) end(why error) {
	s.dialer.deny()
	c := s.c
	c.mu.Lock()
	if s.isOver {
		c.mu.Unlock()
		return
	}
	s.isOver, s.connected = true, false
	if c.current == s {
		c.current = nil
	}
	tell := append([]*Engine{}, c.engines...)
	c.notify()
	c.mu.Unlock()
	if why != nil {
		c.log.Warn("the session with ZooKeeper has ended, another one begins", "error", why)
	}
	for _, e := range tell {
		e.expired(s)
	}
	close(s.over)
}

// notify wakes who waits for a change. c.mu is held.
func (c *Client) notify() {
	close(c.changed)
	c.changed = make(chan struct{})
}

const (
	firstReminder = 10 * time.Second
	nextReminders = time.Minute
)

// watch returns when a session is over, and says now and then that ZooKeeper is away.
func (c *Client) watch(s *session) {
	auth := s.c.o.Auth
	for _, a := range auth {
		c.wg.Go(func() {
			if err := s.conn.AddAuth(a.Scheme, a.Data); err != nil && c.ctx.Err() == nil {
				c.log.Error("ZooKeeper does not take this broker's identity", "scheme", a.Scheme, "error", err)
			}
		})
	}
	ticks := time.NewTicker(firstReminder)
	defer ticks.Stop()
	reminded := time.Time{}
	for {
		select {
		case <-s.over:
			return
		case <-c.ctx.Done():
			return
		case <-ticks.C:
		}
		c.mu.Lock()
		away, began := time.Since(s.since), s.began
		if s.connected {
			away = 0
		}
		c.mu.Unlock()
		if began && away >= firstReminder && time.Since(reminded) >= nextReminders {
			reminded = time.Now()
			c.log.Warn("ZooKeeper does not answer; this broker goes on with what it knows and tries for ever",
				"connect", c.o.Connect, "away", away.Round(time.Second), "error", s.dialer.failed())
		}
	}
}

// live waits for a session that has begun, and is not over as far as anybody knows. It may be without a connection.
func (c *Client) live(ctx context.Context) (*session, error) {
	for {
		c.mu.Lock()
		s, changed := c.current, c.changed
		began := s != nil && s.began
		c.mu.Unlock()
		if began {
			return s, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-c.ctx.Done():
			return nil, ErrClosed
		}
	}
}

// await waits until the session has a connection.
func (s *session) await(ctx context.Context) error {
	for {
		s.c.mu.Lock()
		connected, changed := s.connected, s.c.changed
		s.c.mu.Unlock()
		if connected {
			return nil
		}
		select {
		case <-changed:
		case <-s.over:
			return errSessionOver
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// id is the session's number, as ephemeral znodes name their owner.
func (s *session) id() int64 { return s.conn.SessionID() }

// libraryLog takes what the library says. It repeats itself each second while a server is away, so it is for who looks
// for details; setConnected and watch say the same in a few words.
type libraryLog struct{ log *slog.Logger }

func (l libraryLog) Printf(format string, args ...any) {
	if l.log.Enabled(context.Background(), slog.LevelDebug) {
		l.log.Debug("zookeeper client: " + fmt.Sprintf(format, args...))
	}
}

// answered reports whether an error (or none) is ZooKeeper's answer. After any other one the outcome is not known.
func answered(err error) bool {
	if err == nil {
		return true
	}
	for _, known := range []error{
		gozk.ErrNoNode, gozk.ErrNodeExists, gozk.ErrBadVersion, gozk.ErrNotEmpty, gozk.ErrNoAuth, gozk.ErrInvalidACL,
		gozk.ErrNoChildrenForEphemerals, gozk.ErrAuthFailed, gozk.ErrBadArguments, gozk.ErrAPIError, gozk.ErrInvalidFlags,
		gozk.ErrInvalidPath,
	} {
		if errors.Is(err, known) {
			return true
		}
	}
	return false
}

// ended reports whether an error says that there is no use to ask this session again.
func ended(err error) bool {
	return errors.Is(err, errSessionOver) || errors.Is(err, ErrClosed) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// do sends one request, or several one after the other, and waits for the answer. It returns at once when the session
// ends or ctx does; then f may still run, and nothing that it sets may be looked at.
func (s *session) do(ctx context.Context, f func() error) error {
	select {
	case s.c.slots <- struct{}{}:
	case <-s.over:
		return errSessionOver
	case <-ctx.Done():
		return ctx.Err()
	}
	s.c.mu.Lock()
	if s.c.closed || s.isOver {
		s.c.mu.Unlock()
		<-s.c.slots
		return errSessionOver
	}
	s.c.wg.Add(1)
	s.c.mu.Unlock()
	done := make(chan error, 1)
	go func() {
		defer s.c.wg.Done()
		err := f()
		<-s.c.slots
		done <- err
	}()
	select {
	case err := <-done:
		if errors.Is(err, gozk.ErrSessionExpired) {
			return errSessionOver
		}
		return err
	case <-s.over:
		return errSessionOver
	case <-ctx.Done():
		return ctx.Err()
	}
}

// again runs f until it has an answer of ZooKeeper, which may be a refusal.
func (s *session) again(ctx context.Context, f func() error) error {
	pause := 5 * time.Millisecond
	for {
		err := f()
		if answered(err) || ended(err) {
			return err
		}
		s.c.log.Debug("asking ZooKeeper again", "error", err)
		if err := s.await(ctx); err != nil {
			return err
		}
		select {
		case <-time.After(pause):
		case <-s.over:
			return errSessionOver
		case <-ctx.Done():
			return ctx.Err()
		}
		pause = min(2*pause, time.Second)
	}
}

// ended reports whether the session is over. Client.mu guards what it looks at, so it may be asked with Engine.mu held.
func (s *session) ended() bool {
	select {
	case <-s.over:
		return true
	default:
		return false
	}
}
