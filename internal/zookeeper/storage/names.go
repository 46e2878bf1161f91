package storage

import (
	"cmp"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"gregor/internal/log/vfs"
)

const (
	versionDir     = "version-2"
	logPrefix      = "log."
	snapshotPrefix = "snapshot."
	tmpPrefix      = "tmp." // not what ZooKeeper would take for a snapshot, as it would snapshot.5.tmp
	gzSuffix       = ".gz"
)

// named is a file with a zxid in its name.
type named struct {
	path string
	zxid int64
}

func logName(zxid int64) string { return logPrefix + strconv.FormatUint(uint64(zxid), 16) }

func snapshotName(zxid int64, gzip bool) string {
	name := snapshotPrefix + strconv.FormatUint(uint64(zxid), 16)
	if gzip {
		name += gzSuffix
	}
	return name
}

// list gives the files of a prefix by zxid, the smallest first. What is named otherwise is none of ours.
func list(fsys vfs.FS, dir, prefix string) ([]named, error) {
	entries, err := fsys.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var files []named
	for _, e := range entries {
		rest, ok := strings.CutPrefix(e.Name(), prefix)
		if !ok || e.IsDir() {
			continue
		}
		hex, _, _ := strings.Cut(rest, ".")
		if zxid, err := strconv.ParseInt(hex, 16, 64); err == nil && zxid >= 0 {
			files = append(files, named{filepath.Join(dir, e.Name()), zxid})
		}
	}
	slices.SortFunc(files, func(a, b named) int { return cmp.Compare(a.zxid, b.zxid) })
	return files, nil
}
