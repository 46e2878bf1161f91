package metadata

import "testing"

func TestUUID(t *testing.T) {
	seen := map[UUID]bool{}
	for range 1000 {
		u := NewUUID()
		text := u.String()
		if len(text) != 22 || text[0] == '-' || u.IsReserved() || seen[u] {
			t.Fatalf("new: %s", text)
		}
		seen[u] = true
		if back, err := ParseUUID(text); err != nil || back != u {
			t.Fatalf("%s read as %s, %v", text, back, err)
		}
	}
	if got := MetadataTopicID.String(); got != "AAAAAAAAAAAAAAAAAAAAAQ" {
		t.Errorf("metadata topic id %s", got)
	}
	for _, bad := range []string{"", "AAAAAAAAAAAAAAAAAAAAA", "AAAAAAAAAAAAAAAAAAAAAQA", "AAAAAAAAAAAAAAAAAAAA+Q", "AAAAAAAAAAAAAAAAAAAAAQ===="} {
		if u, err := ParseUUID(bad); err == nil {
			t.Errorf("%q read as %s", bad, u)
		}
	}
	if u, err := ParseUUID("AAAAAAAAAAAAAAAAAAAAAQ=="); err != nil || u != OneUUID {
		t.Errorf("with padding: %s, %v", u, err)
	}
}
