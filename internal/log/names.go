package log

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
)

// The names of Kafka's files. A segment's files are named by its base offset in 20 digits.
const (
	logSuffix       = ".log"
	indexSuffix     = ".index"
	timeIndexSuffix = ".timeindex"
	txnIndexSuffix  = ".txnindex"
	snapshotSuffix  = ".snapshot"

	deletedSuffix = ".deleted" // will be removed after file.delete.delay.ms
	cleanedSuffix = ".cleaned" // being written by the cleaner
	swapSuffix    = ".swap"    // written by the cleaner, about to replace segments

	deleteDirSuffix = "-delete"
	strayDirSuffix  = "-stray"
	futureDirSuffix = "-future"

	epochCheckpointFile         = "leader-epoch-checkpoint"
	partitionMetadataFile       = "partition.metadata"
	metaPropertiesFile          = "meta.properties"
	recoveryPointCheckpointFile = "recovery-point-offset-checkpoint"
	logStartCheckpointFile      = "log-start-offset-checkpoint"
	highWatermarkCheckpointFile = "replication-offset-checkpoint"
	cleanerCheckpointFile       = "cleaner-offset-checkpoint"
	cleanShutdownFile           = ".kafka_cleanshutdown"
	lockFile                    = ".lock"

	// metadataTopicDir belongs to the journal, not to the replicas.
	metadataTopicDir = "__cluster_metadata-0"
)

// maxNameLen is the longest file name on the file systems in use.
const maxNameLen = 255

func segmentPath(dir string, base int64, suffix string) string {
	return filepath.Join(dir, fmt.Sprintf("%020d", base)+suffix)
}

// parseSegmentName takes "00000000000000000042.log" apart. ok is false for other names.
func parseSegmentName(name string) (base int64, suffix string, ok bool) {
	digits, _, found := strings.Cut(name, ".")
	if !found || len(digits) != 20 {
		return 0, "", false
	}
	base, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || base < 0 {
		return 0, "", false
	}
	return base, name[len(digits):], true
}

// PartitionDirName is the name of a partition's directory: TOPIC-PARTITION.
func PartitionDirName(topic string, partition int32) string {
	return topic + "-" + strconv.Itoa(int(partition))
}

// ParsePartitionDirName takes "T-0" apart; the topic itself may contain dashes.
func ParsePartitionDirName(name string) (topic string, partition int32, ok bool) {
	i := strings.LastIndexByte(name, '-')
	if i <= 0 {
		return "", 0, false
	}
	p, err := strconv.ParseInt(name[i+1:], 10, 32)
	if err != nil || p < 0 || strconv.FormatInt(p, 10) != name[i+1:] {
		return "", 0, false
	}
	return name[:i], int32(p), true
}

// retiredDirName is the name that a partition's directory gets when it goes out of use: T-0.<32 hex digits>-delete. A
// long topic name is shortened so that the result is still a file name.
func retiredDirName(topic string, partition int32, id [16]byte, suffix string) string {
	tail := "-" + strconv.Itoa(int(partition)) + "." + hex.EncodeToString(id[:]) + suffix
	if len(topic)+len(tail) > maxNameLen {
		topic = topic[:maxNameLen-len(tail)]
	}
	return topic + tail
}

// formatID and parseID are Kafka's text of a UUID: base64 for URLs without padding, 22 characters.
func formatID(id [16]byte) string { return base64.RawURLEncoding.EncodeToString(id[:]) }

func parseID(s string) (id [16]byte, err error) {
	// A length beyond 22 is refused first, so that what is decoded is bounded.
	if len(s) != 22 {
		return id, fmt.Errorf("%q is not a UUID of 22 base64 characters", s)
	}
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		return id, fmt.Errorf("%q is not a UUID of 22 base64 characters", s)
	}
	copy(id[:], b)
	return id, nil
}
