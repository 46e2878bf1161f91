package vfs

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// Owner is what a lock file says of the process that took the lock last.
type Owner struct {
	PID    int    // 0 if unknown
	BootID string // empty if unknown
}

// maxOwnerBytes is more than an owner's text has.
const maxOwnerBytes = 128

func (o Owner) encode() []byte { return fmt.Appendf(nil, "%d\n%s\n", o.PID, o.BootID) }

func decodeOwner(b []byte) Owner {
	var o Owner
	pid, boot, _ := strings.Cut(string(b), "\n")
	if n, err := strconv.Atoi(strings.TrimSpace(pid)); err == nil && n > 0 {
		o.PID = n
	}
	o.BootID = strings.TrimSpace(boot)
	return o
}

// ReadOwner reads a lock file. A missing or foreign one gives the zero Owner.
func ReadOwner(fsys FS, name string) Owner {
	f, err := fsys.Open(name)
	if err != nil {
		return Owner{}
	}
	defer f.Close()
	return ownerOf(f)
}

func ownerOf(f interface {
	ReadAt([]byte, int64) (int, error)
}) Owner {
	var buf [maxOwnerBytes]byte
	n, _ := f.ReadAt(buf[:], 0)
	return decodeOwner(buf[:n])
}

// writeOwner notes this process in a file that it has locked.
func writeOwner(f interface {
	Truncate(int64) error
	WriteAt([]byte, int64) (int, error)
}, boot string) error {
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err := f.WriteAt(Owner{os.Getpid(), boot}.encode(), 0)
	return err
}
