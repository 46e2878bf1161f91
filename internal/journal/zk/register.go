package zk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"path"
	"strconv"
	"strings"
	"time"

	"gregor/internal/metadata"
	"gregor/internal/peer"

	gozk "github.com/go-zookeeper/zk"
)

// BrokerInfo is what a broker says of itself in /brokers/ids.
type BrokerInfo struct {
	ID        int32
	Endpoints []metadata.Endpoint // advertised
	Rack      string
	// Directory is the id of a log directory that this process holds the lock of; "" when there is none. It proves that a
	// znode of another session, which the same directory's process made, is left by one that is dead.
	Directory string
}

// ErrInUse refuses to register a broker whose id a living process has.
var ErrInUse = errors.New("the broker id is in use")

// registration is a broker that is registered again in each session.
type registration struct {
	info BrokerInfo
	data []byte
}

// process is the data of processesPath/N: which directory the newest process of a broker id has.
type process struct {
	Version   int    `json:"version"`
	Directory string `json:"directory"`
}

func joinHostPort(host string, port int) string { return net.JoinHostPort(host, strconv.Itoa(port)) }

func brokerPath(id int32) string  { return path.Join(brokerIDsPath, strconv.Itoa(int(id))) }
func processPath(id int32) string { return path.Join(processesPath, strconv.Itoa(int(id))) }

// Register makes this broker's znode in /brokers/ids, and makes it again in each session that follows. One that a dead
// process of this broker left is taken over; if the process that made it lives, the error is ErrInUse with its address.
// When that cannot be known, it waits until ZooKeeper has ended the other session.
func (c *Client) Register(ctx context.Context, info BrokerInfo) error {
	r := &registration{info: info, data: brokerJSON(info, c.o.Now().UnixMilli())}
	for {
		s, err := c.live(ctx)
		if err != nil {
			return err
		}
		err = c.register(ctx, s, r, c.o.SessionTimeout+2*time.Second)
		if errors.Is(err, errSessionOver) {
			continue
		}
		if err != nil {
			return fmt.Errorf("znode %s: %w", c.path(brokerPath(info.ID)), err)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.closed {
			return ErrClosed
		}
		c.regs = append(c.regs, r)
		for _, e := range c.engines { // one may wait to know that a leader of this id is dead
			e.Campaign()
		}
		c.wg.Go(func() { c.keep(r, s) })
		return nil
	}
}

// keep registers again when a session has ended.
func (c *Client) keep(r *registration, s *session) {
	for {
		select {
		case <-s.over:
		case <-c.ctx.Done():
			return
		}
		next, err := c.live(c.ctx)
		if err != nil {
			return
		}
		s = next
		for {
			// A process that took the id over meanwhile keeps it; ours gets it back when that one ends.
			err := c.register(c.ctx, s, r, 0)
			if err == nil {
				c.log.Info("registered again in ZooKeeper", "broker", r.info.ID)
			}
			if err == nil || ended(err) {
				break
			}
			c.log.Error("this broker cannot be registered in ZooKeeper again", "broker", r.info.ID, "error", err)
			select {
			case <-time.After(registerAgain):
			case <-s.over:
			case <-c.ctx.Done():
				return
			}
		}
	}
}

const registerAgain = 5 * time.Second

// register makes the znode. patience is how long to wait for the end of a session of which nothing is known.
func (c *Client) register(ctx context.Context, s *session, r *registration, patience time.Duration) error {
	p := brokerPath(r.info.ID)
	if err := s.ensure(ctx, brokerIDsPath, nil); err != nil {
		return err
	}
	var deadline time.Time
	for {
		old, err := s.getW(ctx, p)
		if err != nil && !errors.Is(err, gozk.ErrNoNode) {
			return err
		}
		var write ops
		switch {
		case err != nil: // there is none
		case old.stat.EphemeralOwner == s.id():
			return nil // the answer to our request got lost
		default:
			dead, where, err := c.isDead(ctx, s, r, old)
			if err != nil {
				return err
			}
			if where != "" {
				return fmt.Errorf("%w: broker.id=%d is registered by a process that answers at %s; stop it, or give this broker an id of its own", ErrInUse, r.info.ID, where)
			}
			if !dead {
				if deadline.IsZero() {
					deadline = time.Now().Add(patience)
					c.log.Info("waiting for the end of an older session of this broker", "broker", r.info.ID, "at_most", patience)
				}
				if wait := time.Until(deadline); wait <= 0 || !waitFor(ctx, old.watch, wait) {
					if err := ctx.Err(); err != nil {
						return err
					}
					return fmt.Errorf("%w: broker.id=%d is registered by another session, 0x%x, that ZooKeeper has not ended: %s", ErrInUse, r.info.ID, old.stat.EphemeralOwner, old.data)
				}
				continue
			}
			c.log.Info("taking over the registration that a dead process of this broker left", "broker", r.info.ID)
			write = append(write, s.delete(p, old.stat.Version))
		}
		if err := c.noteProcess(ctx, s, r); err != nil {
			return err
		}
		_, err = s.try(ctx, append(write, s.create(p, r.data, gozk.FlagEphemeral)))
		switch {
		case err == nil:
			return nil
		case errors.Is(err, gozk.ErrNodeExists), errors.Is(err, gozk.ErrNoNode), errors.Is(err, gozk.ErrBadVersion):
			continue // somebody was quicker: look again
		case answered(err) || ended(err):
			return err
		}
		if err := s.await(ctx); err != nil {
			return err
		}
	}
}

// waitFor reports whether a watch fired in time.
func waitFor(ctx context.Context, watch <-chan gozk.Event, limit time.Duration) bool {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-watch:
		return true
	case <-timer.C:
	case <-ctx.Done():
	}
	return false
}

// isDead finds out whether the process that registered a broker is dead. where is its address if it is known to live.
func (c *Client) isDead(ctx context.Context, s *session, r *registration, old znode) (dead bool, where string, err error) {
	if r.info.Directory != "" {
		n, err := s.get(ctx, processPath(r.info.ID))
		if err != nil && !errors.Is(err, gozk.ErrNoNode) {
			return false, "", err
		}
		var was process
		if err == nil && json.Unmarshal(n.data, &was) == nil && was.Directory == r.info.Directory {
			return true, "", nil
		}
	}
	var v struct {
		Endpoints []string `json:"endpoints"`
	}
	if json.Unmarshal(old.data, &v) != nil {
		return false, "", nil
	}
	refused := 0
	for _, url := range v.Endpoints {
		_, addr, _ := strings.Cut(url, "://")
		for _, own := range r.info.Endpoints {
			if joinHostPort(own.Host, int(own.Port)) == addr {
				return true, "", nil // this process listens there now
			}
		}
		limit, cancel := context.WithTimeout(ctx, minDial)
		conn, err := dialTCP(limit, addr)
		cancel()
		if err == nil {
			_ = conn.Close()
			return false, addr, nil
		}
		if peer.IsRefused(err) {
			refused++
		}
	}
	return refused > 0 && refused == len(v.Endpoints), "", nil
}

// noteProcess keeps which directory this broker has, for the next process of it.
func (c *Client) noteProcess(ctx context.Context, s *session, r *registration) error {
	if r.info.Directory == "" {
		return nil
	}
	data, err := json.Marshal(process{layoutVersion, r.info.Directory})
	if err != nil {
		return err
	}
	p := processPath(r.info.ID)
	if err := s.ensure(ctx, p, data); err != nil {
		return err
	}
	return s.again(ctx, func() error {
		return s.do(ctx, func() error {
			_, err := s.conn.Set(c.path(p), data, -1)
			return err
		})
	})
}
