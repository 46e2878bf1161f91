package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"syscall"

	"gregor/internal/config"
	"gregor/internal/holder"
	"gregor/internal/log/vfs"
)

// ErrPortInUse is wrapped when another process listens at an address.
var ErrPortInUse = errors.New("port in use")

// bound is a listener that is open: nobody is served yet.
type bound struct {
	config.Listener
	net net.Listener
}

func (b *bound) port() int {
	if a, ok := b.net.Addr().(*net.TCPAddr); ok {
		return a.Port
	}
	return b.Port
}

// listen opens the listeners, all or none. dirs are the node's directories, for the message of a node that is started
// twice.
func listen(ctx context.Context, listeners []config.Listener, dirs []string) (list []*bound, err error) {
	defer func() {
		if err != nil {
			closeAll(list)
		}
	}()
	for _, l := range listeners {
		if l.Protocol != "PLAINTEXT" {
			return list, fmt.Errorf("listeners: %s has protocol %s, which %w; use PLAINTEXT", l, l.Protocol, config.ErrNotYet)
		}
		opened, err := (&net.ListenConfig{}).Listen(ctx, "tcp", l.Addr())
		if err != nil {
			return list, explainListen(l, dirs, err)
		}
		list = append(list, &bound{Listener: l, net: opened})
	}
	return list, nil
}

func closeAll(list []*bound) {
	for _, b := range list {
		_ = b.net.Close()
	}
}

// explainListen says who is in the way and what to change.
func explainListen(l config.Listener, dirs []string, err error) error {
	switch {
	case holder.IsAddrInUse(err):
		free := config.Listener{Name: l.Name, Host: l.Host, Port: l.Port + 1}
		p, ok := holder.OfPort(l.Port)
		if !ok {
			return fmt.Errorf("%w: %s is held by another process; stop it, or use another port in listeners (such as %s)", ErrPortInUse, l, free)
		}
		if i := slices.IndexFunc(dirs, func(dir string) bool { return vfs.ReadOwner(vfs.OS{}, filepath.Join(dir, ".lock")).PID == p.PID }); i >= 0 {
			return fmt.Errorf("%w: %s is held by %s, and so is the log directory %s: this broker runs already. Stop that process; "+
				"or, if this is to be another broker, give it a broker.id, a port in listeners (such as %s) and log.dirs of its own", ErrPortInUse, l, p, dirs[i], free)
		}
		return fmt.Errorf("%w: %s is held by %s; stop it, or use another port in listeners (such as %s)", ErrPortInUse, l, p, free)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("listeners: %s: no permission to listen at port %d; use a port above 1023: %w", l, l.Port, err)
	}
	var dns *net.DNSError
	if errors.As(err, &dns) {
		return fmt.Errorf("listeners: %s: host %s cannot be resolved; use a name or an address of this machine: %w", l, l.Host, err)
	}
	return fmt.Errorf("listeners: %s: %w; the host must be an address of this machine, or empty for all", l, err)
}

// listening is the addresses that are open; port 0 becomes the port that was taken.
func listening(opened []*bound) []config.Listener {
	list := make([]config.Listener, 0, len(opened))
	for _, b := range opened {
		l := b.Listener
		l.Port = b.port()
		list = append(list, l)
	}
	return list
}

// advertised is the addresses that others are told; port 0 becomes the port that was taken.
func advertised(said []config.Listener, opened []*bound) []config.Listener {
	list := make([]config.Listener, 0, len(said))
	for _, a := range said {
		for _, b := range opened {
			if a.Port == 0 && b.Name == a.Name {
				a.Port = b.port()
			}
		}
		list = append(list, a)
	}
	return list
}
