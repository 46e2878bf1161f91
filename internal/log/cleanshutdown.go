package log

import (
	"bytes"
	"encoding/json"
	"path/filepath"

	"gregor/internal/log/vfs"
)

// cleanShutdown is the content of .kafka_cleanshutdown, the marker of a log directory whose logs were all closed. It is
// JSON since Kafka 3.7 (KIP-966); the empty file of an older version is a marker too.
type cleanShutdown struct {
	Version     int   `json:"version"`
	BrokerEpoch int64 `json:"brokerEpoch"`
}

func (c cleanShutdown) encode() []byte {
	b, err := json.Marshal(c)
	if err != nil {
		panic(err) // two numbers
	}
	return b
}

// decodeCleanShutdown never fails: the file's presence is the message. The epoch is -1 if it cannot be read.
func decodeCleanShutdown(b []byte) cleanShutdown {
	c := cleanShutdown{BrokerEpoch: -1}
	if err := json.NewDecoder(bytes.NewReader(b)).Decode(&c); err != nil {
		return cleanShutdown{BrokerEpoch: -1}
	}
	return c
}

// takeCleanShutdown reads and removes a directory's marker, so that a crash from now on is noticed.
func takeCleanShutdown(fsys vfs.FS, dir string) (c cleanShutdown, found bool, err error) {
	path := filepath.Join(dir, cleanShutdownFile)
	b, err := readFile(fsys, path)
	if isNotExist(err) {
		return cleanShutdown{BrokerEpoch: -1}, false, nil
	}
	if err == nil {
		err = fsys.Remove(path)
	}
	if err == nil {
		err = fsys.SyncDir(dir)
	}
	return decodeCleanShutdown(b), err == nil, err
}
