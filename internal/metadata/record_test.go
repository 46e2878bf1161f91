package metadata

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"os"
	"reflect"
	"strings"
	"testing"
)

// allTypes are the API keys that records can have.
const allTypes = 64

// Every record in every version is read back as it was written, and unknown tagged fields do no harm.
func TestRoundTrip(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	kinds := 0
	for kind := range int16(allTypes) {
		if NewRecord(kind) == nil {
			continue
		}
		kinds++
		for version := range NewRecord(kind).MaxVersion() + 1 {
			for range 20 {
				roundTrip(t, rnd, kind, version)
			}
		}
	}
	if kinds != 26 {
		t.Fatalf("%d kinds of records, want 26", kinds)
	}
}

func roundTrip(t *testing.T, rnd *rand.Rand, kind, version int16) {
	t.Helper()
	r := NewRecord(kind)
	fill(rnd, reflect.ValueOf(r).Elem())
	frame := Versioned{r, version}.Append(nil)
	got, err := Parse(frame)
	if err != nil {
		t.Fatalf("%s version %d: %v\n%x", r.TypeName(), version, err, frame)
	}
	if got.Version != version || got.Record.Type() != kind {
		t.Fatalf("read %s version %d as %s version %d", r.TypeName(), version, got.Record.TypeName(), got.Version)
	}
	if again := got.Append(nil); !bytes.Equal(again, frame) {
		t.Fatalf("%s version %d:\nwrote %x\nagain %x", r.TypeName(), version, frame, again)
	}
	// The oldest version that has every field keeps every field.
	if version == r.MaxVersion() && !reflect.DeepEqual(got.Record, r) {
		t.Fatalf("%s version %d:\nwrote %+v\nread  %+v", r.TypeName(), version, r, got.Record)
	}
	if wrote, read := (Versioned{r, version}).JSON(), got.JSON(); wrote != read {
		t.Fatalf("%s version %d:\nwrote %s\nread  %s", r.TypeName(), version, wrote, read)
	}
	for n := range frame {
		if _, err := Parse(frame[:n]); !errors.Is(err, ErrBadRecord) {
			t.Fatalf("%s version %d cut to %d of %d bytes: %v", r.TypeName(), version, n, len(frame), err)
		}
	}
	if _, err := Parse(append(frame, 0)); !errors.Is(err, ErrBadRecord) {
		t.Fatalf("%s version %d with a byte too many: %v", r.TypeName(), version, err)
	}
}

// fill sets a value at random. An array that cannot be null is nil when empty, as it is read.
func fill(rnd *rand.Rand, v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(rnd, v.Field(i))
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			if n := rnd.IntN(20); n > 0 {
				v.SetBytes(bytes.Repeat([]byte{byte(rnd.Uint32())}, n))
			}
			return
		}
		for range rnd.IntN(4) {
			item := reflect.New(v.Type().Elem()).Elem()
			fill(rnd, item)
			v.Set(reflect.Append(v, item))
		}
	case reflect.Array:
		for i := range v.Len() {
			v.Index(i).SetUint(uint64(rnd.UintN(256)))
		}
	case reflect.Pointer:
		if rnd.IntN(2) == 0 {
			v.Set(reflect.New(v.Type().Elem()))
			fill(rnd, v.Elem())
		}
	case reflect.String:
		v.SetString(strings.Repeat("aé\"\\\n", rnd.IntN(40)))
	case reflect.Bool:
		v.SetBool(rnd.IntN(2) == 0)
	case reflect.Float64:
		v.SetFloat(rnd.NormFloat64() * 1e6)
	case reflect.Uint16:
		v.SetUint(uint64(rnd.UintN(1 << 16)))
	default:
		v.SetInt(rnd.Int64() >> rnd.IntN(64) & (1<<(v.Type().Bits()-1) - 1) * int64(1-2*rnd.IntN(2)))
	}
}

// An empty array is not the same as null.
func TestNullAndEmpty(t *testing.T) {
	r := NewPartitionChangeRecord()
	r.RemovingReplicas = []int32{}
	got, err := Parse(Versioned{r, 2}.Append(nil))
	if err != nil {
		t.Fatal(err)
	}
	change := got.Record.(*PartitionChangeRecord)
	if change.RemovingReplicas == nil || change.AddingReplicas != nil || change.Leader != NoLeaderChange {
		t.Fatalf("read %+v", change)
	}
}

func TestUnknownTagsAreSkipped(t *testing.T) {
	frame := Versioned{&TopicRecord{Name: "t"}, 0}.Append(nil)
	frame[len(frame)-1] = 2 // two tagged fields
	frame = append(frame, 5, 1, 0xff, 0x80, 0x01, 3, 1, 2, 3)
	got, err := Parse(frame)
	if err != nil || got.Record.(*TopicRecord).Name != "t" {
		t.Fatalf("read %v, %v", got, err)
	}
	frame[len(frame)-6] = 4 // descending tags
	frame[len(frame)-5] = 0
	if _, err := Parse(frame); err == nil {
		t.Fatal("tags in the wrong order were read")
	}
}

// Records are read, written back as the same bytes, and printed as Apache Kafka's own tool printed them: those that it
// wrote itself, and some of every kind and version.
func TestRecordsAsKafkaHasThem(t *testing.T) {
	for file, lines := range map[string]int{"kafka-4.3.0-records.txt": 34, "random-records.txt": 37} {
		text, err := os.ReadFile("testdata/" + file)
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for line := range strings.Lines(string(text)) {
			if strings.HasPrefix(line, "#") {
				continue
			}
			n++
			raw, json, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
			frame, err := hex.DecodeString(raw)
			if err != nil {
				t.Fatal(err)
			}
			r, err := Parse(frame)
			if err != nil {
				t.Fatalf("%s: %v", json, err)
			}
			if got := r.JSON(); got != json {
				t.Errorf("printed %s\nwant    %s", got, json)
			}
			if again := r.Append(nil); !bytes.Equal(again, frame) {
				t.Errorf("%s:\nread  %x\nwrote %x", json, frame, again)
			}
		}
		if n != lines {
			t.Errorf("%s has %d records, want %d", file, n, lines)
		}
	}
}

func TestJavaDouble(t *testing.T) {
	for v, want := range map[float64]string{
		0: "0.0", 1: "1.0", 12.5: "12.5", 1e7: "1.0E7", 20000000: "2.0E7", 9999999: "9999999.0", 0.001: "0.001",
		0.0001: "1.0E-4", -1234567890123: "-1.234567890123E12", 1.5e300: "1.5E300",
	} {
		if got := javaDouble(v); got != want {
			t.Errorf("%v: %s, want %s", v, got, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	rnd := rand.New(rand.NewPCG(3, 4))
	for kind := range int16(allTypes) {
		if r := NewRecord(kind); r != nil {
			fill(rnd, reflect.ValueOf(r).Elem())
			f.Add(Versioned{r, r.MaxVersion()}.Append(nil))
		}
	}
	f.Fuzz(func(t *testing.T, frame []byte) {
		r, err := Parse(frame)
		if err != nil {
			if !errors.Is(err, ErrBadRecord) {
				t.Fatal(err)
			}
			return
		}
		// What was read is written in one way, and read again as the same.
		first := r.Append(nil)
		again, err := Parse(first)
		if err != nil {
			t.Fatalf("%x: %v", first, err)
		}
		if second := again.Append(nil); !bytes.Equal(first, second) {
			t.Fatalf("%x\n%x", first, second)
		}
		_ = r.JSON()
	})
}
