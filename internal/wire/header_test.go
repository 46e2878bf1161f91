package wire

import (
	"errors"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestRequestHeader(t *testing.T) {
	req := kmsg.NewPtrMetadataRequest()
	for _, v := range []int16{1, 12} {
		req.Version = v
		b := kmsg.NewRequestFormatter(kmsg.FormatterClientID("console")).AppendRequest(nil, req, 77)[4:]
		h, body, err := ReadRequestHeader(b)
		if err != nil {
			t.Fatal(err)
		}
		if want := (RequestHeader{Key: 3, Version: v, CorrelationID: 77, ClientID: "console", HasClientID: true}); h != want {
			t.Errorf("version %d: %+v, want %+v", v, h, want)
		}
		if req.IsFlexible() {
			if body, err = SkipTags(body); err != nil {
				t.Fatal(err)
			}
		}
		if string(body) != string(req.AppendTo(nil)) {
			t.Errorf("version %d: body %x", v, body)
		}
	}
	b := kmsg.NewRequestFormatter(kmsg.FormatterClientID("console")).AppendRequest(nil, req, 77)[4:]
	for _, last := range []string{"console", "another", ""} {
		if h, _, err := ReadNextHeader(b, last); err != nil || h.ClientID != "console" {
			t.Errorf("after %q: %+v, %v", last, h, err)
		}
	}
	b = kmsg.NewRequestFormatter().AppendRequest(nil, req, 1)[4:]
	if h, _, err := ReadNextHeader(b, "console"); err != nil || h.HasClientID || h.ClientID != "" {
		t.Errorf("null client id: %+v, %v", h, err)
	}
	if h, _, err := ReadRequestHeader(b); err != nil || h.HasClientID || h.ClientID != "" {
		t.Errorf("null client id: %+v, %v", h, err)
	}
}

func TestBadRequestHeader(t *testing.T) {
	for _, b := range [][]byte{nil, make([]byte, 9), {0, 3, 0, 1, 0, 0, 0, 1, 0, 5, 'a'}, {0, 3, 0, 1, 0, 0, 0, 1, 0xff, 0xfe}, {0, 3, 0, 1, 0, 0, 0, 1, 0x7f, 0xff}} {
		if _, _, err := ReadRequestHeader(b); !errors.Is(err, ErrHeader) {
			t.Errorf("%x: %v, want ErrHeader", b, err)
		}
	}
	for _, b := range [][]byte{nil, {1}, {1, 0, 5, 1}, {0xff, 0xff, 0xff, 0xff, 0x1f}} {
		if _, err := SkipTags(b); !errors.Is(err, ErrHeader) {
			t.Errorf("tags %x: %v, want ErrHeader", b, err)
		}
	}
}

// The header of an ApiVersions response never has tags (KIP-511).
func TestResponseHeader(t *testing.T) {
	for _, c := range []struct {
		resp kmsg.Response
		v    int16
		want int
	}{
		{kmsg.NewPtrMetadataResponse(), 8, 4}, {kmsg.NewPtrMetadataResponse(), 9, 5},
		{kmsg.NewPtrApiVersionsResponse(), 0, 4}, {kmsg.NewPtrApiVersionsResponse(), 3, 4}, {kmsg.NewPtrApiVersionsResponse(), 4, 4},
	} {
		c.resp.SetVersion(c.v)
		if got := len(AppendResponseHeader(nil, 9, c.resp)); got != c.want {
			t.Errorf("%T version %d: header of %d bytes, want %d", c.resp, c.v, got, c.want)
		}
	}
}

func FuzzRequestHeader(f *testing.F) {
	req := kmsg.NewPtrMetadataRequest()
	req.Version = 12
	f.Add(kmsg.NewRequestFormatter(kmsg.FormatterClientID("c")).AppendRequest(nil, req, 7)[4:])
	f.Add([]byte{0, 0, 0, 0, 0, 0, 0, 0, 0x7f, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		h, body, err := ReadRequestHeader(b)
		if err != nil {
			return
		}
		if len(body)+10+len(h.ClientID) != len(b) {
			t.Fatalf("%d of %d bytes are left", len(body), len(b))
		}
		if rest, err := SkipTags(body); err == nil && len(rest) >= len(body) {
			t.Fatal("tags took nothing")
		}
	})
}
