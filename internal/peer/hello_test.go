package peer

import (
	"bytes"
	"testing"
)

func TestHello(t *testing.T) {
	id := Identity{ClusterID: "c", NodeID: -1, DirectoryID: [16]byte{1}, Process: [16]byte{2}, Controller: true, ClockMs: -5}
	for _, more := range []string{"", "later fields"} {
		var resp HelloResponse
		if err := resp.ReadFrom(append((&HelloResponse{Identity: id}).AppendTo(nil), more...)); err != nil || resp.Identity != id {
			t.Errorf("%+v, %v", resp, err)
		}
	}
}

// FuzzHello: bytes from outside never panic, and what is read is written as it was.
func FuzzHello(f *testing.F) {
	f.Add((&HelloRequest{From: Identity{ClusterID: "cluster", HasLog: true}}).AppendTo(nil))
	f.Add([]byte{0xff, 0xff})
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		var r, again HelloRequest
		if r.ReadFrom(b) != nil {
			return
		}
		wrote := r.AppendTo(nil)
		if err := again.ReadFrom(wrote); err != nil || again != r || !bytes.Equal(wrote, again.AppendTo(nil)) {
			t.Errorf("%+v, then %+v, %v", r, again, err)
		}
	})
}
