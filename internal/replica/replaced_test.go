package replica

import (
	"testing"
	"time"

	"gregor/internal/metadata"
)

// A replica whose disk was replaced by an empty one is made anew on another, and the controller hears where. As long as
// a directory has failed, its log may be there.
func TestReplacedDirectory(t *testing.T) {
	withDirs(t, func(d *manyDirs) {
		gone := metadata.UUID{7, 7, 7}
		p := place("t", 0, node, node, 2)
		p.Directories = []metadata.UUID{gone, {9}}
		d.publish(&metadata.TopicRecord{Name: "t", TopicID: id("t")}, p)
		if d.partition("t", 0).Log() == nil {
			t.Fatal("the replica has no log")
		}
		time.Sleep(maxPlacePause) // fake time
		d.wantTold("t", 0)

		bad := "/b"
		d.fails.Store(&bad)
		d.dirs.Checkpoint() // which finds out
		u := place("u", 0, node, node, 2)
		u.Directories = []metadata.UUID{gone, {9}}
		d.publish(&metadata.TopicRecord{Name: "u", TopicID: id("u")}, u)
		if d.partition("u", 0).Log() != nil {
			t.Fatal("the replica was made anew, though its log may be in the directory that has failed")
		}
	})
}
