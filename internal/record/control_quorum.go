package record

import (
	"encoding/binary"
)

// The control records of a quorum's log (KIP-595, KIP-630, KIP-853). Their
// values begin with their version and are flexible messages: compact lengths,
// tagged fields, which are skipped when read and never written. (The value of a
// snapshot's first record, which has a tagged field of ours, is journal/raft's.)

// Voter is one voter of a LeaderChangeMessage.
type Voter struct {
	ID          int32
	DirectoryID [16]byte // since version 1
}

// LeaderChangeMessage is the value of the record with which a new leader begins its epoch. Version 0 goes with
// kraft.version 0; the tools of Apache Kafka 4.3 read every version as if it were 0, and fail on 1.
type LeaderChangeMessage struct {
	Version        int16
	LeaderID       int32
	Voters         []Voter
	GrantingVoters []Voter
}

// SnapshotFooter is the value of a snapshot's last record.
type SnapshotFooter struct {
	Version int16
}

// KRaftVersion is the value of the record that sets the quorum's protocol version.
type KRaftVersion struct {
	Version      int16
	KRaftVersion int16
}

// Voters is the value of the record that names the voters.
type Voters struct {
	Version int16
	Voters  []VoterNode
}

// VoterNode is one voter of a Voters record.
type VoterNode struct {
	ID                                       int32
	DirectoryID                              [16]byte
	Endpoints                                []VoterEndpoint
	MinSupportedVersion, MaxSupportedVersion int16 // of the quorum's protocol
}

// VoterEndpoint is where a voter can be reached.
type VoterEndpoint struct {
	Name, Host string
	Port       uint16
}

// AppendTo writes the value.
func (m LeaderChangeMessage) AppendTo(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint16(dst, uint16(m.Version))
	dst = binary.BigEndian.AppendUint32(dst, uint32(m.LeaderID))
	for _, voters := range [][]Voter{m.Voters, m.GrantingVoters} {
		dst = binary.AppendUvarint(dst, uint64(len(voters)+1))
		for _, v := range voters {
			dst = binary.BigEndian.AppendUint32(dst, uint32(v.ID))
			if m.Version >= 1 {
				dst = append(dst, v.DirectoryID[:]...)
			}
			dst = append(dst, 0)
		}
	}
	return append(dst, 0)
}

// ParseLeaderChangeMessage reads the value of a LEADER_CHANGE record.
func ParseLeaderChangeMessage(value []byte) (LeaderChangeMessage, error) {
	r := flexible{p: value}
	m := LeaderChangeMessage{Version: r.i16(), LeaderID: r.i32()}
	for _, voters := range []*[]Voter{&m.Voters, &m.GrantingVoters} {
		for range r.count() {
			v := Voter{ID: r.i32()}
			if m.Version >= 1 {
				v.DirectoryID = r.uuid()
			}
			r.tags()
			*voters = append(*voters, v)
		}
	}
	r.tags()
	return m, r.end("leader change message")
}

// AppendTo writes the value.
func (m SnapshotFooter) AppendTo(dst []byte) []byte {
	return append(binary.BigEndian.AppendUint16(dst, uint16(m.Version)), 0)
}

// ParseSnapshotFooter reads the value of a SNAPSHOT_FOOTER record.
func ParseSnapshotFooter(value []byte) (SnapshotFooter, error) {
	r := flexible{p: value}
	m := SnapshotFooter{Version: r.i16()}
	r.tags()
	return m, r.end("snapshot footer")
}

// AppendTo writes the value.
func (m KRaftVersion) AppendTo(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint16(dst, uint16(m.Version))
	return append(binary.BigEndian.AppendUint16(dst, uint16(m.KRaftVersion)), 0)
}

// ParseKRaftVersion reads the value of a KRAFT_VERSION record.
func ParseKRaftVersion(value []byte) (KRaftVersion, error) {
	r := flexible{p: value}
	m := KRaftVersion{Version: r.i16(), KRaftVersion: r.i16()}
	r.tags()
	return m, r.end("kraft version record")
}

// AppendTo writes the value.
func (m Voters) AppendTo(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint16(dst, uint16(m.Version))
	dst = binary.AppendUvarint(dst, uint64(len(m.Voters)+1))
	for _, v := range m.Voters {
		dst = binary.BigEndian.AppendUint32(dst, uint32(v.ID))
		dst = append(dst, v.DirectoryID[:]...)
		dst = binary.AppendUvarint(dst, uint64(len(v.Endpoints)+1))
		for _, e := range v.Endpoints {
			for _, s := range []string{e.Name, e.Host} {
				dst = append(binary.AppendUvarint(dst, uint64(len(s)+1)), s...)
			}
			dst = append(binary.BigEndian.AppendUint16(dst, e.Port), 0)
		}
		dst = binary.BigEndian.AppendUint16(dst, uint16(v.MinSupportedVersion))
		dst = binary.BigEndian.AppendUint16(dst, uint16(v.MaxSupportedVersion))
		dst = append(dst, 0, 0) // of the version range, of the voter
	}
	return append(dst, 0)
}

// ParseVoters reads the value of a KRAFT_VOTERS record.
func ParseVoters(value []byte) (Voters, error) {
	r := flexible{p: value}
	m := Voters{Version: r.i16()}
	for range r.count() {
		v := VoterNode{ID: r.i32(), DirectoryID: r.uuid()}
		for range r.count() {
			v.Endpoints = append(v.Endpoints, VoterEndpoint{Name: r.string(), Host: r.string(), Port: uint16(r.i16())})
			r.tags()
		}
		v.MinSupportedVersion, v.MaxSupportedVersion = r.i16(), r.i16()
		r.tags()
		r.tags()
		m.Voters = append(m.Voters, v)
	}
	r.tags()
	return m, r.end("voters record")
}

// flexible is a cursor over a flexible message; after the first error it gives zeros.
type flexible struct {
	p   []byte
	bad bool
}

func (r *flexible) take(n uint64) []byte {
	if r.bad || n > uint64(len(r.p)) {
		r.bad, r.p = true, nil
		return nil
	}
	b := r.p[:n]
	r.p = r.p[n:]
	return b
}

func (r *flexible) i16() int16 {
	if b := r.take(2); b != nil {
		return int16(binary.BigEndian.Uint16(b))
	}
	return 0
}

func (r *flexible) i32() int32 {
	if b := r.take(4); b != nil {
		return int32(binary.BigEndian.Uint32(b))
	}
	return 0
}

func (r *flexible) uuid() (id [16]byte) {
	copy(id[:], r.take(16))
	return id
}

func (r *flexible) uvarint() uint64 {
	v, n := binary.Uvarint(r.p)
	if n <= 0 || v > 1<<32-1 {
		r.bad, r.p = true, nil
		return 0
	}
	r.p = r.p[n:]
	return v
}

// count reads a compact array's length. Every element takes a byte at least, so a larger count is a lie.
func (r *flexible) count() int {
	n := r.uvarint()
	if n == 0 || r.bad {
		return 0
	}
	if n-1 > uint64(len(r.p)) {
		r.bad, r.p = true, nil
		return 0
	}
	return int(n - 1)
}

func (r *flexible) string() string {
	n := r.uvarint()
	if n == 0 {
		r.bad = true
		return ""
	}
	return string(r.take(n - 1))
}

func (r *flexible) tags() {
	for range r.uvarint() {
		if r.bad {
			return
		}
		r.uvarint()
		r.take(r.uvarint())
	}
}

func (r *flexible) end(what string) error {
	if r.bad || len(r.p) > 0 {
		return invalidf("%s: lengths do not fit", what)
	}
	return nil
}
