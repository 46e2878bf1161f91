package proto

// Permissions of an ACL (ZooDefs.Perms).
const (
	PermRead   int32 = 1 << 0
	PermWrite  int32 = 1 << 1
	PermCreate int32 = 1 << 2
	PermDelete int32 = 1 << 3
	PermAdmin  int32 = 1 << 4
	PermAll    int32 = PermRead | PermWrite | PermCreate | PermDelete | PermAdmin
)

// ID is who an ACL speaks of, or who a connection has proved to be: a scheme (world, auth, digest, ip, super) and its
// expression.
type ID struct{ Scheme, ID string }

// ACL gives an ID permissions.
type ACL struct {
	Perms int32
	ID    ID
}

// OpenACL lets anyone do everything (ZooDefs.Ids.OPEN_ACL_UNSAFE). The caller may keep it.
func OpenACL() []ACL { return []ACL{{Perms: PermAll, ID: ID{"world", "anyone"}}} }

// AppendACLs appends a vector of ACLs; nil is an empty one.
func AppendACLs(b []byte, acls []ACL) []byte {
	b = AppendInt32(b, int32(len(acls)))
	for _, a := range acls {
		b = AppendString(AppendString(AppendInt32(b, a.Perms), a.ID.Scheme), a.ID.ID)
	}
	return b
}

// ACLs reads a vector of ACLs; a null one is nil.
func (d *Decoder) ACLs() []ACL {
	n := d.count(12)
	if n == 0 {
		return nil
	}
	acls := make([]ACL, 0, n)
	for range n {
		acls = append(acls, ACL{Perms: d.Int32(), ID: ID{Scheme: d.String(), ID: d.String()}})
		if d.err != nil {
			return nil
		}
	}
	return acls
}

// Stat is what a client is told of a node. Times are milliseconds since 1970. Cversion counts creations and deletions
// of children; EphemeralOwner is 0 for all but ephemeral nodes.
type Stat struct {
	Czxid, Mzxid                int64
	CtimeMs, MtimeMs            int64
	Version, Cversion, Aversion int32
	EphemeralOwner              int64
	DataLength, NumChildren     int32
	Pzxid                       int64
}

// StatSize is the encoded length of a Stat.
const StatSize = 68

// Append appends the stat.
func (s *Stat) Append(b []byte) []byte {
	b = AppendInt64(AppendInt64(AppendInt64(AppendInt64(b, s.Czxid), s.Mzxid), s.CtimeMs), s.MtimeMs)
	b = AppendInt32(AppendInt32(AppendInt32(b, s.Version), s.Cversion), s.Aversion)
	b = AppendInt32(AppendInt32(AppendInt64(b, s.EphemeralOwner), s.DataLength), s.NumChildren)
	return AppendInt64(b, s.Pzxid)
}

// Stat reads a stat.
func (d *Decoder) Stat() Stat {
	return Stat{
		Czxid: d.Int64(), Mzxid: d.Int64(), CtimeMs: d.Int64(), MtimeMs: d.Int64(),
		Version: d.Int32(), Cversion: d.Int32(), Aversion: d.Int32(),
		EphemeralOwner: d.Int64(), DataLength: d.Int32(), NumChildren: d.Int32(), Pzxid: d.Int64(),
	}
}

// StatPersisted is what a snapshot keeps of a node. Cversion counts creations of children only; EphemeralOwner also
// tells container and TTL nodes.
type StatPersisted struct {
	Czxid, Mzxid                int64
	CtimeMs, MtimeMs            int64
	Version, Cversion, Aversion int32
	EphemeralOwner              int64
	Pzxid                       int64
}

// StatPersistedSize is the encoded length of a StatPersisted.
const StatPersistedSize = 60

// Append appends the stat.
func (s *StatPersisted) Append(b []byte) []byte {
	b = AppendInt64(AppendInt64(AppendInt64(AppendInt64(b, s.Czxid), s.Mzxid), s.CtimeMs), s.MtimeMs)
	b = AppendInt32(AppendInt32(AppendInt32(b, s.Version), s.Cversion), s.Aversion)
	return AppendInt64(AppendInt64(b, s.EphemeralOwner), s.Pzxid)
}

// StatPersisted reads a stat of a snapshot.
func (d *Decoder) StatPersisted() StatPersisted {
	return StatPersisted{
		Czxid: d.Int64(), Mzxid: d.Int64(), CtimeMs: d.Int64(), MtimeMs: d.Int64(),
		Version: d.Int32(), Cversion: d.Int32(), Aversion: d.Int32(),
		EphemeralOwner: d.Int64(), Pzxid: d.Int64(),
	}
}
