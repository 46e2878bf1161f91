package replica

import (
	"gregor/internal/peer"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// OverPeer makes a connection to another node one to fetch over.
func OverPeer(c *peer.Conn) Remote { return peerRemote{c} }

type peerRemote struct{ c *peer.Conn }

func (r peerRemote) SendFetch(req *kmsg.FetchRequest, done func(*kmsg.FetchResponse, func(), error)) {
	r.c.SendFetch(req, func(f *peer.Fetched, err error) {
		if err != nil {
			done(nil, nil, err)
			return
		}
		done(f.FetchResponse, f.Release, nil)
	})
}

func (r peerRemote) Send(req kmsg.Request, done func(kmsg.Response, error)) { r.c.Send(req, done) }

func (r peerRemote) Close() { r.c.Close() }
