package log

import (
	"bytes"
	"errors"
	"math"
	"strings"
)

// partition.metadata is two lines, "version: 0" and "topic_id: <22 characters>".
func encodePartitionMetadata(id [16]byte) []byte {
	return []byte("version: 0\ntopic_id: " + formatID(id))
}

func decodePartitionMetadata(path string, b []byte) (id [16]byte, err error) {
	if len(b) > math.MaxUint16 {
		return id, corrupt(path, "%d bytes are too many", len(b))
	}
	seen := map[string]string{}
	for line := range bytes.Lines(b) {
		key, value, ok := strings.Cut(strings.TrimSpace(string(line)), ":")
		if !ok {
			return id, corrupt(path, "line %q is not a key and a value", line)
		}
		seen[strings.TrimSpace(key)] = strings.TrimSpace(value)
	}
	if v := seen["version"]; v != "0" {
		return id, corrupt(path, "version %q is unknown, 0 was expected", v)
	}
	id, err = parseID(seen["topic_id"])
	if err == nil && id == [16]byte{} {
		err = errors.New("the topic id is zero")
	}
	if err != nil {
		return id, corrupt(path, "topic_id: %v", err)
	}
	return id, nil
}
