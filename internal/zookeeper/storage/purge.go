package storage

import "path/filepath"

// Purge leaves the newest snapshots that look whole, so many of them (3 at the least), and the logs that are needed
// with the oldest of these (class PurgeTxnLog). It gives the names of the files that it removed.
func (s *Store) Purge(keep int) (removed []string, err error) {
	snapshots, err := list(s.o.FS, s.snapDir, snapshotPrefix)
	if err != nil {
		return nil, err
	}
	least, found := int64(0), 0
	for i := len(snapshots) - 1; i >= 0 && found < max(keep, 3); i-- {
		if looksWhole(s.o.FS, snapshots[i].path) {
			least = snapshots[i].zxid
			found++
		}
	}
	if found == 0 {
		return nil, nil
	}
	// Snapshots first: a log that is left over does no harm, a snapshot without its log would.
	for _, f := range snapshots {
		if f.zxid < least {
			if removed, err = s.remove(removed, f.path); err != nil {
				return removed, err
			}
		}
	}
	logs, err := list(s.o.FS, s.logDir, logPrefix)
	if err != nil {
		return nil, err
	}
	// A log goes if the next one still begins at or before the snapshot.
	for i := 0; i+1 < len(logs) && logs[i+1].zxid <= least; i++ {
		if removed, err = s.remove(removed, logs[i].path); err != nil {
			return removed, err
		}
	}
	return removed, nil
}

func (s *Store) remove(removed []string, path string) ([]string, error) {
	if err := s.o.FS.Remove(path); err != nil {
		return removed, err
	}
	return append(removed, filepath.Base(path)), nil
}
