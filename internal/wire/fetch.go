package wire

import (
	"encoding/binary"
	"fmt"
	"io"
)

// Range is a part of a file that a response contains, such as a slice of a log. Close is called once.
type Range interface {
	Len() int
	io.ReaderAt
	// WriteTo writes the bytes; if w is a socket (syscall.Conn), without taking them through memory (sendfile).
	WriteTo(w io.Writer) (int64, error)
	Close()
}

// Part is a range of a file and the bytes of the response that follow it.
type Part struct {
	Range Range
	After []byte
}

// FetchResponse is a response to Fetch versions 4 to 18 whose records are ranges of files. kmsg's type holds the records
// in memory.
type FetchResponse struct {
	Version      int16
	ThrottleMs   int32
	ErrorCode    int16 // of the session, version 7 and up
	SessionID    int32 // version 7 and up
	Topics       []FetchTopic
	NodeEndpoint []FetchNode // version 16 and up: the leaders named in the partitions (KIP-951)
}

// FetchTopic is the partitions of one topic: by name up to version 12, by id from 13.
type FetchTopic struct {
	Topic      string
	TopicID    [16]byte
	Partitions []FetchPartition
}

// FetchPartition is the answer of one partition. Offsets are -1 where there is an error.
type FetchPartition struct {
	Partition            int32
	ErrorCode            int16
	HighWatermark        int64
	LastStableOffset     int64
	LogStartOffset       int64                // version 5 and up
	Aborted              []AbortedTransaction // nil: null, for read_uncommitted
	PreferredReadReplica int32                // version 11 and up; -1 none
	Diverging            *EpochEnd            // version 12 and up
	CurrentLeader        *LeaderAndEpoch      // version 12 and up
	Records              Range                // nil: empty
}

// AbortedTransaction names a transaction that was rolled back and where it began.
type AbortedTransaction struct{ ProducerID, FirstOffset int64 }

// EpochEnd is where a reader's log parts from the leader's.
type EpochEnd struct {
	Epoch     int32
	EndOffset int64
}

// LeaderAndEpoch is who leads a partition.
type LeaderAndEpoch struct{ ID, Epoch int32 }

// FetchNode is the address of a leader.
type FetchNode struct {
	ID   int32
	Host string
	Port int32
	Rack *string
}

// Append appends the complete frame, records left out, to dst. head is what comes first; parts are the ranges and what
// follows each. They share head's memory.
func (f *FetchResponse) Append(dst []byte, correlationID int32) (all, head []byte, parts []Part) {
	w := fetchWriter{encoder: encoder{b: dst, flexible: f.Version >= 12}, version: f.Version}
	start := len(dst)
	w.int32(0)
	w.int32(correlationID)
	w.noTags()
	w.response(f)
	size := len(w.b) - start - 4
	for i := range w.parts {
		size += w.parts[i].Range.Len()
	}
	binary.BigEndian.PutUint32(w.b[start:], uint32(size))
	if len(w.parts) == 0 {
		return w.b, w.b[start:], nil
	}
	for i := range w.parts {
		end := len(w.b)
		if i+1 < len(w.cuts) {
			end = w.cuts[i+1]
		}
		w.parts[i].After = w.b[w.cuts[i]:end]
	}
	return w.b, w.b[start:w.cuts[0]], w.parts
}

// Inline puts a response whose ranges have at most limit bytes together in memory: for a few records one read and one
// write, which leaves with other replies, costs less than write, sendfile, write. It returns the complete frame, in
// memory of get, or nil if there is more. The ranges are not closed.
func Inline(head []byte, parts []Part, limit int, get func(n int) []byte) ([]byte, error) {
	ranges, size := 0, len(head)
	for i := range parts {
		ranges += parts[i].Range.Len()
		size += len(parts[i].After)
	}
	if ranges > limit {
		return nil, nil
	}
	b := get(size + ranges)
	at := copy(b, head)
	for i := range parts {
		n := parts[i].Range.Len()
		if m, err := parts[i].Range.ReadAt(b[at:at+n], 0); m < n {
			return b, fmt.Errorf("range of a file gave %d of %d bytes: %w", m, n, err)
		}
		at += n
		at += copy(b[at:], parts[i].After)
	}
	return b, nil
}

// fetchWriter encodes the response and notes where the records go.
type fetchWriter struct {
	encoder
	version int16
	cuts    []int // len(b) where parts[i] goes
	parts   []Part
}

func (w *fetchWriter) response(f *FetchResponse) {
	w.int32(f.ThrottleMs)
	if w.version >= 7 {
		w.int16(f.ErrorCode)
		w.int32(f.SessionID)
	}
	w.arrayLen(len(f.Topics))
	for i := range f.Topics {
		t := &f.Topics[i]
		if w.version >= 13 {
			w.b = append(w.b, t.TopicID[:]...)
		} else {
			w.str(t.Topic)
		}
		w.arrayLen(len(t.Partitions))
		for j := range t.Partitions {
			w.partition(&t.Partitions[j])
		}
		w.noTags()
	}
	if !w.flexible {
		return
	}
	if w.version >= 16 && len(f.NodeEndpoint) > 0 {
		w.b = append(w.b, 1)
		w.tag(0, func() { w.nodes(f.NodeEndpoint) })
	} else {
		w.noTags()
	}
}

func (w *fetchWriter) partition(p *FetchPartition) {
	w.int32(p.Partition)
	w.int16(p.ErrorCode)
	w.int64(p.HighWatermark)
	w.int64(p.LastStableOffset)
	if w.version >= 5 {
		w.int64(p.LogStartOffset)
	}
	if p.Aborted == nil {
		w.arrayLen(-1)
	} else {
		w.arrayLen(len(p.Aborted))
	}
	for _, a := range p.Aborted {
		w.int64(a.ProducerID)
		w.int64(a.FirstOffset)
		w.noTags()
	}
	if w.version >= 11 {
		w.int32(p.PreferredReadReplica)
	}
	n := 0
	if p.Records != nil {
		n = p.Records.Len()
	}
	w.arrayLen(n)
	if n > 0 {
		w.cuts = append(w.cuts, len(w.b))
		w.parts = append(w.parts, Part{Range: p.Records})
	} else if p.Records != nil {
		p.Records.Close()
	}
	if w.flexible {
		w.partitionTags(p)
	}
}

func (w *fetchWriter) partitionTags(p *FetchPartition) {
	n := byte(0)
	if p.Diverging != nil {
		n++
	}
	if p.CurrentLeader != nil {
		n++
	}
	w.b = append(w.b, n)
	if d := p.Diverging; d != nil {
		w.b = append(w.b, 0, 13) // tag, size: an int32, an int64, no tags
		w.int32(d.Epoch)
		w.int64(d.EndOffset)
		w.noTags()
	}
	if l := p.CurrentLeader; l != nil {
		w.b = append(w.b, 1, 9)
		w.int32(l.ID)
		w.int32(l.Epoch)
		w.noTags()
	}
}

func (w *fetchWriter) nodes(nodes []FetchNode) {
	w.arrayLen(len(nodes))
	for _, n := range nodes {
		w.int32(n.ID)
		w.str(n.Host)
		w.int32(n.Port)
		w.nullableStr(n.Rack)
		w.noTags()
	}
}
