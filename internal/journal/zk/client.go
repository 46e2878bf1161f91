package zk

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	gozk "github.com/go-zookeeper/zk"
)

// Options say which ZooKeeper, and how. Zero values of all but Connect are Kafka's defaults.
type Options struct {
	Connect           string        // zookeeper.connect: "host:port,host:port/chroot"
	SessionTimeout    time.Duration // zookeeper.session.timeout.ms; ZooKeeper may give another one
	ConnectionTimeout time.Duration // zookeeper.connection.timeout.ms: how long Connect waits; 0: as SessionTimeout
	MaxInFlight       int           // zookeeper.max.in.flight.requests
	// SetACL has znodes be changed by this identity alone (zookeeper.set.acl); the session must have one, from TLS
	// (Dial) or from Auth.
	SetACL bool
	Auth   []Auth
	Dial   func(ctx context.Context, addr string) (net.Conn, error) // nil: TCP
	Logger *slog.Logger
	Now    func() time.Time // of timestamps in znodes
}

// Auth is an identity that a session shows, such as scheme digest with "user:password".
type Auth struct {
	Scheme string
	Data   []byte
}

func (o *Options) setDefaults() {
	if o.SessionTimeout <= 0 {
		o.SessionTimeout = 18 * time.Second
	}
	if o.ConnectionTimeout <= 0 {
		o.ConnectionTimeout = o.SessionTimeout
	}
	if o.MaxInFlight <= 0 {
		o.MaxInFlight = 10
	}
	if o.Dial == nil {
		o.Dial = dialTCP
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
}

// ErrClosed refuses what is asked of a Client after Close.
var ErrClosed = errors.New("connection to ZooKeeper is closed")

// Client is a connection to ZooKeeper that outlives its sessions: when one has expired it begins the next, makes what was
// registered again, and tells the engine. It tries for ever. Its methods may be called on any goroutine.
type Client struct {
	o      Options
	hosts  []string
	chroot string
	id     string // of this process, in what it writes
	log    *slog.Logger
	slots  chan struct{} // one for each request that may be on its way

	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu      sync.Mutex
	current *session
	changed chan struct{} // closed when current or its connection changes
	closed  bool
	engines []*Engine
	regs    []*registration
}

// Connect begins a session. It waits until ZooKeeper answers, at most Options.ConnectionTimeout, and makes the chroot and
// the znodes of Kafka and gregor that are not there. It refuses a path that holds a cluster of Apache Kafka.
func Connect(ctx context.Context, o Options) (*Client, error) {
	o.setDefaults()
	addrs, chroot, err := ParseConnect(o.Connect)
	if err != nil {
		return nil, err
	}
	c := &Client{o: o, hosts: addrs, chroot: chroot, id: randomID(), log: o.Logger, slots: make(chan struct{}, o.MaxInFlight), changed: make(chan struct{})}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.wg.Go(c.run)
	if err := c.begin(ctx); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

func randomID() string {
	var b [12]byte
	_, _ = rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// begin waits for the first answer and makes what must be there.
func (c *Client) begin(ctx context.Context) error {
	limit, cancel := context.WithTimeout(ctx, c.o.ConnectionTimeout)
	defer cancel()
	said := time.AfterFunc(min(2*time.Second, c.o.ConnectionTimeout/2), func() {
		c.log.Info("waiting for ZooKeeper", "connect", c.o.Connect, "at_most", c.o.ConnectionTimeout, "error", c.lastError())
	})
	defer said.Stop()
	if s, err := c.live(limit); err == nil {
		err = s.await(limit)
		if err == nil {
			err = c.prepare(limit)
		}
		if err == nil || limit.Err() == nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	text := ""
	if err := c.lastError(); err != nil {
		text = ": " + err.Error()
	}
	return fmt.Errorf("ZooKeeper does not answer at %s within %v (zookeeper.connection.timeout.ms); start it, or correct zookeeper.connect%s",
		strings.Join(c.hosts, ","), c.o.ConnectionTimeout, text)
}

func (c *Client) lastError() error {
	c.mu.Lock()
	s := c.current
	c.mu.Unlock()
	if s == nil {
		return nil
	}
	return s.dialer.failed()
}

// Close ends the session, and with it everything that was registered in it.
func (c *Client) Close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.cancel()
	c.wg.Wait()
}

// acl is that of a znode. Kafka lets everybody read what holds no secrets.
func (c *Client) acl() []gozk.ACL {
	if !c.o.SetACL {
		return gozk.WorldACL(gozk.PermAll)
	}
	return append(gozk.AuthACL(gozk.PermAll), gozk.WorldACL(gozk.PermRead)...)
}

// path is a path of ours as ZooKeeper knows it.
func (c *Client) path(p string) string {
	if p == "/" && c.chroot != "" {
		return c.chroot
	}
	return c.chroot + p
}

// forget tells an engine no more of sessions.
func (c *Client) forget(e *Engine) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.engines = slices.DeleteFunc(c.engines, func(o *Engine) bool { return o == e })
}

// hasRegistered reports whether this process has registered a broker.
func (c *Client) hasRegistered(id int32) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.ContainsFunc(c.regs, func(r *registration) bool { return r.info.ID == id })
}
