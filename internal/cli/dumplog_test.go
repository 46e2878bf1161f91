package cli

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gregor/internal/record"
)

func runDumpLog(t *testing.T, args ...string) (out, errs string, code int) {
	t.Helper()
	var o, e bytes.Buffer
	code = dumpLogCommand().Exec(t.Context(), args, IO{In: strings.NewReader(""), Out: &o, Err: &e})
	return o.String(), e.String(), code
}

// dumpFiles is the argument of --files: names under testdata/dumplog.
func dumpFiles(names ...string) string {
	for i, n := range names {
		names[i] = "testdata/dumplog/" + n
	}
	return strings.Join(names, ",")
}

const segmentZero = "00000000000000000000"

// What Apache Kafka printed about files that Apache Kafka wrote.
func TestDumpLogPrintsKafkasLines(t *testing.T) {
	txn := "txn-0/" + segmentZero
	for name, args := range map[string][]string{
		"txn":      {"--print-data-log", "--files", dumpFiles(txn+".log", txn+".index", txn+".timeindex", txn+".txnindex", "txn-0/00000000000000000024.snapshot")},
		"shallow":  {"--files", dumpFiles(txn + ".log"), "--max-bytes", "500"},
		"bare":     {"--files", dumpFiles(txn + ".log"), "--print-data-log", "--skip-record-metadata"},
		"offsets":  {"--offsets-decoder", "--files", dumpFiles("offsets-0/"+segmentZero+".log", "offsets-0/"+segmentZero+".index", "offsets-0/"+segmentZero+".timeindex")},
		"share":    {"--share-group-state-decoder", "--files", dumpFiles("share-0/" + segmentZero + ".log")},
		"state":    {"--transaction-log-decoder", "--files", dumpFiles("state-0/" + segmentZero + ".log")},
		"metadata": {"--cluster-metadata-decoder", "--files", dumpFiles("metadata-0/"+segmentZero+".log", "metadata-0/bootstrap.checkpoint")},
		"old":      {"--print-data-log", "--files", dumpFiles("old-0/00000000000000000100.log")},
		"unknown":  {"--files", "README.nothing"},
		"sanity":   {"--index-sanity-check", "--files", dumpFiles(txn+".index", txn+".timeindex")},
	} {
		t.Run(name, func(t *testing.T) {
			want, err := os.ReadFile("testdata/dumplog/" + name + ".out")
			if err != nil {
				t.Fatal(err)
			}
			out, errs, code := runDumpLog(t, args...)
			if code != 0 {
				t.Errorf("exit code %d: %s", code, errs)
			}
			sameLines(t, out, string(want))
			// Of standard error only what names no absolute path can be kept in a file.
			wantErrs, _ := os.ReadFile("testdata/dumplog/" + name + ".err")
			if got, want := withoutPaths(errs), withoutPaths(string(wantErrs)); got != want {
				t.Errorf("standard error %q, want %q", got, want)
			}
		})
	}
}

func withoutPaths(s string) string {
	var lines []string
	for line := range strings.Lines(s) {
		if head, _, ok := strings.Cut(line, " /"); ok {
			line = head
		}
		lines = append(lines, strings.TrimSpace(line))
	}
	return strings.Join(lines, "\n")
}

func sameLines(t *testing.T, got, want string) {
	t.Helper()
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range max(len(g), len(w)) {
		switch {
		case i >= len(g):
			t.Fatalf("line %d is missing: %s", i+1, w[i])
		case i >= len(w):
			t.Fatalf("line %d is too much: %s", i+1, g[i])
		case g[i] != w[i]:
			t.Fatalf("line %d is\n%s\nwant\n%s", i+1, g[i], w[i])
		}
	}
}

// writeSegment makes a log of three batches with right indexes in a new directory and returns the files' common stem.
func writeSegment(t *testing.T) string {
	t.Helper()
	stem := filepath.Join(t.TempDir(), segmentZero)
	var log, index, timeIndex []byte
	for i := range int64(3) {
		index = binary.BigEndian.AppendUint32(index, uint32(2*i+1))
		index = binary.BigEndian.AppendUint32(index, uint32(len(log)))
		timeIndex = binary.BigEndian.AppendUint64(timeIndex, uint64(1000+i))
		timeIndex = binary.BigEndian.AppendUint32(timeIndex, uint32(2*i+1))
		b := record.NewBuilder(record.BuilderOptions{BaseOffset: 2 * i, Codec: record.Gzip})
		b.Append(500, nil, []byte("a"))
		b.Append(1000+i, []byte("k"), nil)
		log = append(log, b.Build()...)
	}
	for suffix, content := range map[string][]byte{".log": log, ".index": index, ".timeindex": timeIndex} {
		writeFile(t, stem+suffix, content)
	}
	return stem
}

func writeFile(t *testing.T, name string, content []byte) {
	t.Helper()
	if err := os.WriteFile(name, content, 0o644); err != nil {
		t.Fatal(err)
	}
}

func changeFile(t *testing.T, name string, change func(b []byte) []byte) {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, name, change(b))
}

func TestDumpLogChecksIndexes(t *testing.T) {
	stem := writeSegment(t)
	files := stem + ".index," + stem + ".timeindex"
	if out, errs, code := runDumpLog(t, "--files", files, "--verify-index-only"); code != 0 || errs != "" || strings.Count(out, "\n") != 2 {
		t.Fatal(code, errs, out)
	}
	out, _, _ := runDumpLog(t, "--files", files)
	if !strings.Contains(out, "offset: 1 position: 0\n") || !strings.Contains(out, "timestamp: 1002 offset: 5\n") {
		t.Error(out)
	}
	// The tail of zeros that a preallocated file has after a crash.
	pad := func(b []byte) []byte { return append(b, make([]byte, 240)...) }
	changeFile(t, stem+".index", pad)
	changeFile(t, stem+".timeindex", pad)
	if padded, errs, code := runDumpLog(t, "--files", files); code != 0 || errs != "" || padded != out {
		t.Error("padded:", code, errs, padded)
	}
	if _, errs, code := runDumpLog(t, "--files", files, "--index-sanity-check"); code != 1 || !strings.Contains(errs, "Corrupt time index found") {
		t.Error("padded, sanity:", code, errs)
	}
	changeFile(t, stem+".index", func(b []byte) []byte { b[11] = 4; return b })                // second entry: offset 4 for 3
	changeFile(t, stem+".timeindex", func(b []byte) []byte { b[19] = 7; b[24] = 9; return b }) // second: another timestamp; third: far in the future
	changeFile(t, stem+".timeindex", func(b []byte) []byte { b[16] = 1; return b })
	_, errs, _ := runDumpLog(t, "--files", files)
	for _, want := range []string{"Mismatches in :", "  Index offset: 4, log offset: 3\n", "Found timestamp mismatch in :", "log timestamp: 1001\n"} {
		if !strings.Contains(errs, want) {
			t.Errorf("no %q in %s", want, errs)
		}
	}
	changeFile(t, stem+".index", func(b []byte) []byte { return b[:len(b)-3] })
	if _, errs, code := runDumpLog(t, "--files", stem+".index", "--index-sanity-check"); code != 1 || !strings.Contains(errs, "nor a multiple of 8") {
		t.Error(code, errs)
	}
}

func TestDumpLogOfDamagedLog(t *testing.T) {
	stem := writeSegment(t)
	changeFile(t, stem+".log", func(b []byte) []byte { return b[:len(b)-5] })
	out, errs, code := runDumpLog(t, "--files", stem+".log", "--deep-iteration")
	if code != 0 || errs != "" || !strings.Contains(out, "invalid bytes at the end of "+segmentZero+".log\n") {
		t.Error("torn:", code, errs, out)
	}
	changeFile(t, stem+".log", func(b []byte) []byte { b[80] ^= 0xff; return b })
	out, errs, code = runDumpLog(t, "--files", stem+".log")
	if code != 0 || !strings.Contains(out, "isvalid: false\n") {
		t.Error("bad checksum:", code, errs, out)
	}
	if _, errs, code = runDumpLog(t, "--files", stem+".log", "--deep-iteration"); code != 1 || !strings.Contains(errs, "at position 0") {
		t.Error("bad payload:", code, errs)
	}
	changeFile(t, stem+".log", func(b []byte) []byte { b[8] = 0x80; return b })
	if _, errs, code = runDumpLog(t, "--files", stem+".log"); code != 1 || !strings.Contains(errs, "batch length") {
		t.Error("negative length:", code, errs)
	}
}

func TestDumpLogOfDamagedSnapshot(t *testing.T) {
	good, err := os.ReadFile("testdata/dumplog/txn-0/00000000000000000024.snapshot")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), segmentZero+".snapshot")
	for want, change := range map[string]func(b []byte) []byte{
		"CRC is no longer valid": func(b []byte) []byte { b[20] ^= 1; return b },
		"unknown file version 9": func(b []byte) []byte { b[1] = 9; return b },
		"at least 10 bytes":      func(b []byte) []byte { return b[:9] },
	} {
		writeFile(t, file, change(bytes.Clone(good)))
		if out, errs, code := runDumpLog(t, "--files", file); code != 0 || !strings.Contains(errs, want) || strings.Contains(out, "producerId") {
			t.Errorf("%s: exit code %d, %q, %q", want, code, errs, out)
		}
	}
}

func TestDumpLogJSON(t *testing.T) {
	stem := writeSegment(t)
	out, errs, code := runDumpLog(t, "--output", "json", "--print-data-log", "--files",
		stem+".log,"+stem+".index,"+dumpFiles("offsets-0/"+segmentZero+".log", "txn-0/00000000000000000024.snapshot"))
	if code != 0 || errs != "" {
		t.Fatal(code, errs)
	}
	var files []struct {
		File    string
		Summary string
		Batches []struct {
			BaseOffset int64
			Records    []struct {
				Offset  int64
				Key     any
				Payload any
			}
		}
		Entries []map[string]any
	}
	if err := json.Unmarshal([]byte(out), &files); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	if len(files) != 4 || len(files[0].Batches) != 3 || files[0].Batches[1].Records[1].Key != "k" || files[0].Batches[1].Records[1].Payload != nil {
		t.Errorf("%+v", files)
	}
	if len(files[1].Entries) != 3 || files[1].Entries[2]["offset"] != 5.0 {
		t.Errorf("%+v", files[1].Entries)
	}
	if len(files[3].Entries) != 1 || files[3].Entries[0]["currentTxnFirstOffset"] != nil {
		t.Errorf("%+v", files[3].Entries)
	}
	out, _, _ = runDumpLog(t, "--output", "json", "--offsets-decoder", "--files", dumpFiles("offsets-0/"+segmentZero+".log"))
	if !strings.Contains(out, `"key":{"type":"1","data":{"group":"consumer-group"`) {
		t.Error("a decoded key is not JSON inside JSON:", out)
	}
}

func TestDumpLogRefuses(t *testing.T) {
	for want, args := range map[string][]string{
		"Missing required option(s) [files]": {"--deep-iteration"},
		"There is no decoder":                {"--files", "x.log", "--value-decoder-class", "com.example.Mine"},
		"no such file":                       {"--files", segmentZero + ".log"},
		"must begin with an offset":          {"--files", "orders.log"},
		"offset-epoch.checkpoint":            {"--files", "orders.checkpoint"},
		"missing key":                        {"--offsets-decoder", "--files", dumpFiles("metadata-0/" + segmentZero + ".log")},
	} {
		if _, errs, code := runDumpLog(t, args...); code != 1 || !strings.Contains(errs, want) {
			t.Errorf("%v: exit code %d, %q", args, code, errs)
		}
	}
}

// Any bytes may be taken for a record of any description.
func FuzzRecordJSON(f *testing.F) {
	f.Add("GroupMetadataValue", []byte{0, 8, 'c', 'o', 'n', 's', 'u', 'm', 'e', 'r', 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0})
	f.Add("ConsumerGroupMemberMetadataValue", []byte{0, 0, 1, 1, 1, 1, 0, 0, 0, 1, 0, 1, 0, 1, 0})
	f.Add("TransactionLogValue", make([]byte, 40))
	f.Fuzz(func(t *testing.T, name string, body []byte) {
		s := loadRecordSchemas()[name]
		if s == nil {
			return
		}
		for version, v := range s.versions {
			text, err := recordJSON(v, body, nil)
			if err == nil && !json.Valid([]byte(text)) {
				t.Errorf("%s version %d: %s", name, version, text)
			}
		}
	})
}
