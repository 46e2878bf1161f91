package zookeeper

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"path/filepath"
	"strconv"
	"syscall"

	"gregor/internal/holder"
	"gregor/internal/log/vfs"
)

var (
	// ErrPortInUse is wrapped when somebody else listens at the client port.
	ErrPortInUse = errors.New("port in use")

	// ErrDirInUse is wrapped when another server works in the data directory.
	ErrDirInUse = errors.New("directory in use")
)

// listen opens the client port. Its errors say who is in the way and what to change.
func listen(ctx context.Context, c Config) (net.Listener, error) {
	addr := net.JoinHostPort(c.ClientPortAddress, strconv.Itoa(c.ClientPort))
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	switch {
	case err == nil:
		return l, nil
	case holder.IsAddrInUse(err):
		who := "another process"
		if p, ok := holder.OfPort(c.ClientPort); ok {
			who = p.String()
		}
		return nil, fmt.Errorf("%w: %s is held by %s; stop it, or use another clientPort (such as %d)", ErrPortInUse, addr, who, c.ClientPort+1)
	case errors.Is(err, syscall.EACCES):
		return nil, fmt.Errorf("no permission to listen at clientPort %d; use a port above 1023: %w", c.ClientPort, err)
	}
	return nil, fmt.Errorf("%s: %w; clientPortAddress must be an address of this machine, or empty for all", addr, err)
}

// explainDir says why a directory cannot be used, and what to change.
func explainDir(err error) error {
	var locked *vfs.LockedError
	var path *fs.PathError
	switch {
	case errors.As(err, &locked):
		return fmt.Errorf("%w: %s is held by %s; stop it, or use another dataDir", ErrDirInUse, filepath.Dir(locked.Path), holder.OfLock(locked.PID))
	case errors.As(err, &path):
		return fmt.Errorf("%w; dataDir and dataLogDir must be directories that this user may make and write", err)
	}
	return err
}
