package raft

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"gregor/internal/journal"
	"gregor/internal/log/vfs"
)

// Whatever the files hold, opening the log ends with a log or with an error that says that it is corrupt. A log that
// opened keeps what it is given.
func FuzzOpen(f *testing.F) {
	dir := f.TempDir()
	e, fol, next := start(&testing.T{}, Options{Dir: dir, NodeID: 1})
	for i := range 3 {
		next = put(&testing.T{}, e, fol, next, fmt.Sprint("value ", i))
	}
	if err := e.Save(f.Context(), fol.snapshot()); err != nil {
		f.Fatal(err)
	}
	e.Close()
	var seeds [][]byte
	for _, name := range []string{segmentName(0, ".log"), checkpoint{end: next, epoch: 1}.name(), quorumStateFile} {
		content, err := os.ReadFile(filepath.Join(dir, TopicDir, name))
		if err != nil {
			f.Fatal(err)
		}
		seeds = append(seeds, content)
	}
	f.Add(seeds[0], seeds[1], seeds[2])
	f.Add(seeds[0], []byte(nil), []byte("{}"))
	f.Add([]byte(nil), seeds[1], seeds[2])
	f.Add([]byte(nil), []byte(nil), []byte(`{"leaderEpoch":2147483647,"data_version":0}`))
	f.Fuzz(func(t *testing.T, log, snapshot, quorum []byte) {
		disk := vfs.NewMem(nil)
		if err := disk.MkdirAll("/data/" + TopicDir); err != nil {
			t.Fatal(err)
		}
		files := map[string][]byte{segmentName(0, ".log"): log, quorumStateFile: quorum}
		if len(snapshot) > 0 {
			files[checkpoint{end: next, epoch: 1}.name()] = snapshot
		}
		for name, content := range files {
			if err := vfs.ReplaceFile(disk, "/data/"+TopicDir+"/"+name, content, true); err != nil {
				t.Fatal(err)
			}
		}
		e, err := Open(Options{Dir: "/data", NodeID: 1, FS: disk})
		if err != nil {
			if !errors.Is(err, journal.ErrCorrupt) {
				t.Fatal(err)
			}
			return
		}
		defer e.Close()
		fol := newFollower()
		if err := e.Start(fol); err != nil {
			t.Fatal(err)
		}
		e.Campaign()
		select {
		case next := <-fol.lead:
			put(t, e, fol, next, "more")
		case err := <-fol.failed:
			if !errors.Is(err, journal.ErrCorrupt) {
				t.Fatal(err)
			}
		}
	})
}
