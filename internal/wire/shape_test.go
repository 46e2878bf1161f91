package wire

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// served is every request of the table and the versions of each.
func served(s *Shapes) map[int16][2]int16 {
	m := make(map[int16][2]int16)
	for key, api := range s.apis {
		if req := kmsg.RequestForKey(key); req != nil && api.max >= 0 {
			m[key] = [2]int16{api.min, min(api.max, req.MaxVersion())}
		}
	}
	return m
}

// fill gives every field of a kmsg value something random; empty says that arrays stay empty and pointers nil.
func fill(r *rand.Rand, v reflect.Value, empty bool) {
	switch v.Kind() {
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[kmsg.Tags]() {
			return
		}
		for i := range v.NumField() {
			if name := v.Type().Field(i).Name; name != "Version" {
				fill(r, v.Field(i), empty)
			}
		}
	case reflect.Pointer:
		if !empty && r.IntN(4) > 0 {
			v.Set(reflect.New(v.Type().Elem()))
			fill(r, v.Elem(), empty)
		}
	case reflect.Slice:
		n := 0
		if !empty {
			n = r.IntN(3)
		}
		v.Set(reflect.MakeSlice(v.Type(), n, n))
		for i := range n {
			fill(r, v.Index(i), empty)
		}
	case reflect.Array:
		for i := range v.Len() {
			fill(r, v.Index(i), empty)
		}
	case reflect.String:
		v.SetString(strings.Repeat("x", r.IntN(20)))
	case reflect.Bool:
		v.SetBool(r.IntN(2) == 0)
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(int64(int8(r.Uint32())))
	case reflect.Uint8, reflect.Uint16, reflect.Uint32:
		v.SetUint(uint64(uint8(r.Uint32())))
	case reflect.Float64:
		v.SetFloat(r.Float64())
	}
}

// Every request that kmsg can write has the shape that the table says.
func TestShapesAgreeWithTheCodec(t *testing.T) {
	shapes := NewShapes()
	r := rand.New(rand.NewPCG(1, 2))
	n := 0
	for key, versions := range served(shapes) {
		for v := versions[0]; v <= versions[1]; v++ {
			for round := range 8 {
				req := kmsg.RequestForKey(key)
				req.SetVersion(v)
				fill(r, reflect.ValueOf(req).Elem(), round == 0)
				body := req.AppendTo(nil)
				size, err := shapes.Check(key, v, body)
				if err != nil {
					t.Errorf("%s version %d: %v\n%x", kmsg.NameForKey(key), v, err, body)
					break
				}
				if size < 0 {
					t.Errorf("%s version %d: size %d", kmsg.NameForKey(key), v, size)
				}
				// Nothing shorter has it, unless what is missing is more than the shape says.
				for cut := range len(body) {
					if _, err := shapes.Check(key, v, body[:cut]); err == nil {
						t.Errorf("%s version %d: %d of %d bytes pass", kmsg.NameForKey(key), v, cut, len(body))
						break
					}
				}
				n++
			}
		}
	}
	if n < 1000 {
		t.Fatalf("only %d requests were tried", n)
	}
}

// Counts that lie are found before memory is taken for them.
func TestLyingCounts(t *testing.T) {
	shapes := NewShapes()
	huge := make([]byte, 1<<20)
	for i := range huge {
		huge[i] = 0x7f
	}
	for _, c := range []struct {
		name    string
		key     int16
		version int16
		body    []byte
	}{
		{"2 billion topics", 3, 1, []byte{0x7f, 0xff, 0xff, 0xff}},
		{"negative topics", 1, 4, append(make([]byte, 17), 0xff, 0xff, 0xff, 0x00)},
		{"null where none is allowed", 0, 3, []byte{0xff, 0xff, 0, 1, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff}},
		{"4 billion tags", 18, 3, []byte{2, 'a', 2, 'b', 0xff, 0xff, 0xff, 0xff, 0x0f}},
		{"a tag of 4 GB", 18, 3, []byte{2, 'a', 2, 'b', 1, 5, 0xff, 0xff, 0xff, 0xff, 0x0f}},
		{"a number that never ends", 18, 3, []byte{0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80}},
		{"a string beyond the end", 18, 3, []byte{100, 'a'}},
		{"nested counts", 1, 12, huge},
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := shapes.Check(c.key, c.version, c.body)
		runtime.ReadMemStats(&after)
		if err == nil {
			t.Errorf("%s: passed", c.name)
		}
		if got := after.TotalAlloc - before.TotalAlloc; got > 64<<10 {
			t.Errorf("%s: %d bytes were allocated", c.name, got)
		}
	}
}

// What passes the check decodes, in memory that the check foretold.
func TestDecodedSizeIsForetold(t *testing.T) {
	shapes := NewShapes()
	req := kmsg.NewMetadataRequest()
	req.Version = 12
	req.Topics = make([]kmsg.MetadataRequestTopic, 100_000)
	body := req.AppendTo(nil)
	said, err := shapes.Check(3, 12, body)
	if err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	got := kmsg.NewMetadataRequest()
	got.Version = 12
	if err := got.ReadFrom(body); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	took := int(after.TotalAlloc - before.TotalAlloc)
	if took > said*3 || said > took*3 { // the race detector has it allocated twice
		t.Fatalf("%d bytes foretold, %d taken", said, took)
	}
}

func FuzzRequest(f *testing.F) {
	shapes := NewShapes()
	r := rand.New(rand.NewPCG(3, 4))
	for key, versions := range served(shapes) {
		for v := versions[0]; v <= versions[1]; v++ {
			req := kmsg.RequestForKey(key)
			req.SetVersion(v)
			fill(r, reflect.ValueOf(req).Elem(), false)
			f.Add(key, v, req.AppendTo(nil))
		}
	}
	all := served(shapes)
	laterTags := map[int16]bool{1: true, 62: true, 63: true} // APIs that got a tagged field after their first flexible version
	f.Fuzz(func(t *testing.T, key, version int16, body []byte) {
		versions, ok := all[key]
		if !ok || version < versions[0] || version > versions[1] {
			return
		}
		size, err := shapes.Check(key, version, body)
		if err != nil {
			return
		}
		if size > 200*len(body)+4096 {
			t.Fatalf("%d bytes decode to %d", len(body), size)
		}
		req := kmsg.RequestForKey(key)
		req.SetVersion(version)
		if err := req.ReadFrom(body); err != nil {
			// kmsg reads a tag of a later version in an earlier one, where it is unknown and not looked into.
			if !strings.Contains(err.Error(), "enough data") || !laterTags[key] {
				t.Fatalf("%s version %d passes the check and does not decode: %v", kmsg.NameForKey(key), version, err)
			}
			return
		}
		again := kmsg.RequestForKey(key)
		again.SetVersion(version)
		first := req.AppendTo(nil)
		if err := again.ReadFrom(first); err != nil {
			t.Fatalf("re-encoded: %v", err)
		}
		if second := again.AppendTo(nil); string(second) != string(first) {
			t.Fatalf("re-encode is not stable\n%x\n%x", first, second)
		}
	})
}

func BenchmarkCheckAndDecode(b *testing.B) {
	shapes := NewShapes()
	produce := kmsg.NewPtrProduceRequest()
	produce.Version = 12
	produce.Topics = []kmsg.ProduceRequestTopic{{Topic: "some-topic", Partitions: []kmsg.ProduceRequestTopicPartition{{Records: make([]byte, 16<<10)}}}}
	fetch := kmsg.NewPtrFetchRequest()
	fetch.Version = 17
	fetch.Topics = []kmsg.FetchRequestTopic{{Partitions: make([]kmsg.FetchRequestTopicPartition, 100)}}
	for _, req := range []kmsg.Request{produce, fetch} {
		b.Run(fmt.Sprintf("%s/check", kmsg.NameForKey(req.Key())), func(b *testing.B) {
			body := req.AppendTo(nil)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := shapes.Check(req.Key(), req.GetVersion(), body); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(fmt.Sprintf("%s/decode", kmsg.NameForKey(req.Key())), func(b *testing.B) {
			body := req.AppendTo(nil)
			b.ReportAllocs()
			for b.Loop() {
				in := kmsg.RequestForKey(req.Key())
				in.SetVersion(req.GetVersion())
				if err := in.(kmsg.UnsafeReadFrom).UnsafeReadFrom(body); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
