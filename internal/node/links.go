package node

import (
	"context"
	"fmt"
	"sync"

	"gregor/internal/peer"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// links are connections to other brokers, made when somebody has something to say and again when they have ended.
type links struct {
	connect func(ctx context.Context, broker int32) (*peer.Conn, error)
	ctx     context.Context
	end     context.CancelFunc
	dialing sync.WaitGroup

	mu     sync.Mutex
	byID   map[int32]*link
	closed bool
}

// link is a connection, or those who wait for it.
type link struct {
	conn    *peer.Conn
	waiting []func(*peer.Conn, error)
}

func newLinks(connect func(ctx context.Context, broker int32) (*peer.Conn, error)) *links {
	ctx, end := context.WithCancel(context.Background())
	return &links{connect: connect, ctx: ctx, end: end, byID: make(map[int32]*link)}
}

// send asks a broker. done is called once and must not block; it is called by send itself if there is no connection and
// never will be.
func (l *links) send(broker int32, req kmsg.Request, done func(kmsg.Response, error)) {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		done(nil, peer.ErrClosed)
		return
	}
	k := l.byID[broker]
	if k != nil && k.conn != nil && k.conn.Err() == nil {
		conn := k.conn
		l.mu.Unlock()
		conn.Send(req, done)
		return
	}
	ask := func(conn *peer.Conn, err error) {
		if err != nil {
			done(nil, err)
			return
		}
		conn.Send(req, done)
	}
	if k != nil && k.conn == nil {
		k.waiting = append(k.waiting, ask)
		l.mu.Unlock()
		return
	}
	old := k
	k = &link{waiting: []func(*peer.Conn, error){ask}}
	l.byID[broker] = k
	l.dialing.Go(func() { l.dial(broker, k) })
	l.mu.Unlock()
	if old != nil {
		old.conn.Abort()
	}
}

func (l *links) dial(broker int32, k *link) {
	ctx, cancel := context.WithTimeout(l.ctx, peer.DefaultTimeout)
	conn, err := l.connect(ctx, broker)
	cancel()
	l.mu.Lock()
	if err == nil && l.closed {
		err = peer.ErrClosed
	}
	if err != nil {
		delete(l.byID, broker)
	} else {
		k.conn = conn
	}
	waiting := k.waiting
	k.waiting = nil
	l.mu.Unlock()
	if err != nil && conn != nil {
		conn.Close()
	}
	for _, ask := range waiting {
		ask(conn, err)
	}
}

// close ends all connections; whoever waits is told.
func (l *links) close() {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	l.end()
	l.dialing.Wait()
	for _, k := range l.byID {
		if k.conn != nil {
			k.conn.Close()
		}
	}
}

// ask is send for one kind of answer.
func askOver[R kmsg.Response](l *links, broker int32, req kmsg.Request, done func(R, error)) {
	l.send(broker, req, func(resp kmsg.Response, err error) {
		r, ok := resp.(R)
		if err == nil && !ok {
			err = fmt.Errorf("broker %d answered %T", broker, resp)
		}
		done(r, err)
	})
}
