package log

import (
	"fmt"
	"strconv"
	"strings"

	"gregor/internal/log/vfs"
)

// Kafka's checkpoint files are text: a version (0), the number of entries, and one entry a line. An empty file, as
// Kafka makes it at its first start, has no entries.

// decodeCheckpoint gives the fields of each line. Error: ErrCorrupt.
func decodeCheckpoint(path string, b []byte, fields int) ([][]string, error) {
	if len(b) == 0 {
		return nil, nil
	}
	lines := strings.Split(strings.TrimRight(string(b), "\r\n"), "\n")
	if v := strings.TrimSpace(lines[0]); v != "0" {
		return nil, corrupt(path, "checkpoint version %q is unknown, 0 was expected", v)
	}
	if len(lines) < 2 {
		return nil, corrupt(path, "the number of entries is missing")
	}
	n, err := strconv.Atoi(strings.TrimSpace(lines[1]))
	if err != nil || n != len(lines)-2 {
		return nil, corrupt(path, "%d lines do not fit the number of entries %q", len(lines)-2, lines[1])
	}
	entries := make([][]string, 0, n)
	for i, line := range lines[2:] {
		f := strings.Fields(line)
		if len(f) != fields {
			return nil, corrupt(path, "line %d %q: %d fields were expected", i+3, line, fields)
		}
		entries = append(entries, f)
	}
	return entries, nil
}

// checkpointHead starts a checkpoint file.
func checkpointHead(n int) []byte { return fmt.Appendf(nil, "0\n%d\n", n) }

// partitionKey names a partition.
type partitionKey struct {
	topic     string
	partition int32
}

// offsetCheckpoint is the content of the files that keep one offset for each partition of a log directory:
// recovery-point-, log-start-, replication- and cleaner-offset-checkpoint. A line is "topic partition offset".
type offsetCheckpoint map[partitionKey]int64

func decodeOffsetCheckpoint(path string, b []byte) (offsetCheckpoint, error) {
	lines, err := decodeCheckpoint(path, b, 3)
	if err != nil {
		return nil, err
	}
	c := make(offsetCheckpoint, len(lines))
	for _, f := range lines {
		p, perr := strconv.ParseInt(f[1], 10, 32)
		offset, oerr := strconv.ParseInt(f[2], 10, 64)
		if perr != nil || oerr != nil || p < 0 || offset < 0 {
			return nil, corrupt(path, "line %q is not a topic, a partition and an offset", strings.Join(f, " "))
		}
		c[partitionKey{f[0], int32(p)}] = offset
	}
	return c, nil
}

func (c offsetCheckpoint) encode() []byte {
	b := checkpointHead(len(c))
	for k, offset := range c {
		b = fmt.Appendf(b, "%s %d %d\n", k.topic, k.partition, offset)
	}
	return b
}

// readOffsetCheckpoint reads a file; a missing one has no entries.
func readOffsetCheckpoint(fsys vfs.FS, path string) (offsetCheckpoint, error) {
	b, err := readFile(fsys, path)
	if isNotExist(err) {
		return offsetCheckpoint{}, nil
	}
	if err != nil {
		return nil, err
	}
	return decodeOffsetCheckpoint(path, b)
}

// decodeEpochCheckpoint reads leader-epoch-checkpoint: a line is "epoch start-offset", both increasing.
func decodeEpochCheckpoint(path string, b []byte) ([]epochEntry, error) {
	lines, err := decodeCheckpoint(path, b, 2)
	if err != nil {
		return nil, err
	}
	list := make([]epochEntry, 0, len(lines))
	for _, f := range lines {
		epoch, eerr := strconv.ParseInt(f[0], 10, 32)
		start, serr := strconv.ParseInt(f[1], 10, 64)
		if eerr != nil || serr != nil || epoch < 0 || start < 0 {
			return nil, corrupt(path, "line %q is not an epoch and an offset", strings.Join(f, " "))
		}
		e := epochEntry{int32(epoch), start}
		if n := len(list); n > 0 && (e.epoch <= list[n-1].epoch || e.start < list[n-1].start) {
			return nil, corrupt(path, "epoch %d from %d does not follow epoch %d from %d", e.epoch, e.start, list[n-1].epoch, list[n-1].start)
		}
		list = append(list, e)
	}
	return list, nil
}

func encodeEpochCheckpoint(list []epochEntry) []byte {
	b := checkpointHead(len(list))
	for _, e := range list {
		b = fmt.Appendf(b, "%d %d\n", e.epoch, e.start)
	}
	return b
}
