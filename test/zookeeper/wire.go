package zookeeper

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// The op codes of ZooKeeper 3.8's client protocol (ZooDefs.OpCode).
const (
	OpCreate               int32 = 1
	OpDelete               int32 = 2
	OpExists               int32 = 3
	OpGetData              int32 = 4
	OpSetData              int32 = 5
	OpGetACL               int32 = 6
	OpSetACL               int32 = 7
	OpGetChildren          int32 = 8
	OpSync                 int32 = 9
	OpPing                 int32 = 11
	OpGetChildren2         int32 = 12
	OpCheck                int32 = 13
	OpMulti                int32 = 14
	OpCreate2              int32 = 15
	OpReconfig             int32 = 16
	OpCheckWatches         int32 = 17
	OpRemoveWatches        int32 = 18
	OpCreateContainer      int32 = 19
	OpDeleteContainer      int32 = 20
	OpCreateTTL            int32 = 21
	OpMultiRead            int32 = 22
	OpAuth                 int32 = 100
	OpSetWatches           int32 = 101
	OpSASL                 int32 = 102
	OpGetEphemerals        int32 = 103
	OpGetAllChildrenNumber int32 = 104
	OpSetWatches2          int32 = 105
	OpAddWatch             int32 = 106
	OpWhoAmI               int32 = 107
	OpCloseSession         int32 = -11
	OpError                int32 = -1
)

var opNames = map[int32]string{
	OpCreate: "create", OpDelete: "delete", OpExists: "exists", OpGetData: "getData", OpSetData: "setData", OpGetACL: "getACL",
	OpSetACL: "setACL", OpGetChildren: "getChildren", OpSync: "sync", OpPing: "ping", OpGetChildren2: "getChildren2",
	OpCheck: "check", OpMulti: "multi", OpCreate2: "create2", OpReconfig: "reconfig", OpCheckWatches: "checkWatches",
	OpRemoveWatches: "removeWatches", OpCreateContainer: "createContainer", OpDeleteContainer: "deleteContainer",
	OpCreateTTL: "createTTL", OpMultiRead: "multiRead", OpAuth: "auth", OpSetWatches: "setWatches", OpSASL: "sasl",
	OpGetEphemerals: "getEphemerals", OpGetAllChildrenNumber: "getAllChildrenNumber", OpSetWatches2: "setWatches2",
	OpAddWatch: "addWatch", OpWhoAmI: "whoAmI", OpCloseSession: "closeSession", OpError: "error",
}

// Flags of a create.
const (
	Persistent           int32 = 0
	Ephemeral            int32 = 1
	Sequential           int32 = 2
	EphemeralSequential  int32 = 3
	Container            int32 = 4
	TTL                  int32 = 5
	SequentialTTL        int32 = 6
	WatchChildren        int32 = 1 // types of watches to remove
	WatchData            int32 = 2
	WatchAny             int32 = 3
	WatchPersistent      int32 = 0 // modes of addWatch
	WatchPersistentRecur int32 = 1
)

// Xids that stand for a kind of message.
const (
	XidEvent      int32 = -1
	XidPing       int32 = -2
	XidAuth       int32 = -4
	XidSetWatches int32 = -8
)

// ACL is one entry of a node's list.
type ACL struct {
	Perms      int32
	Scheme, ID string
}

// Perms is every permission. Open lets everybody do everything.
const (
	PermRead, PermWrite, PermCreate, PermDelete, PermAdmin int32 = 1, 2, 4, 8, 16
	PermAll                                                int32 = 31
)

var Open = []ACL{{PermAll, "world", "anyone"}}

// Request is an operation: what goes out behind the header.
type Request struct {
	Op   int32
	Body []byte
	Text string // for people
}

func request(op int32, body []byte, format string, args ...any) Request {
	return Request{op, body, opNames[op] + " " + fmt.Sprintf(format, args...)}
}

// Builder appends jute's encoding.
type Builder []byte

func (b *Builder) Int(v int32) *Builder  { *b = binary.BigEndian.AppendUint32(*b, uint32(v)); return b }
func (b *Builder) Long(v int64) *Builder { *b = binary.BigEndian.AppendUint64(*b, uint64(v)); return b }
func (b *Builder) Bool(v bool) *Builder {
	if v {
		*b = append(*b, 1)
	} else {
		*b = append(*b, 0)
	}
	return b
}

// Bytes appends a buffer; nil is -1.
func (b *Builder) Bytes(v []byte) *Builder {
	if v == nil {
		return b.Int(-1)
	}
	b.Int(int32(len(v)))
	*b = append(*b, v...)
	return b
}
func (b *Builder) Str(v string) *Builder { return b.Bytes(append([]byte{}, v...)) }
func (b *Builder) Strs(v []string) *Builder {
	b.Int(int32(len(v)))
	for _, s := range v {
		b.Str(s)
	}
	return b
}
func (b *Builder) ACLs(acl []ACL) *Builder {
	if acl == nil {
		return b.Int(-1)
	}
	b.Int(int32(len(acl)))
	for _, a := range acl {
		b.Int(a.Perms).Str(a.Scheme).Str(a.ID)
	}
	return b
}

// Create is create, create2, createContainer or createTTL, whose node lives ttlMs.
func Create(op int32, path string, data []byte, acl []ACL, flags int32, ttlMs int64) Request {
	b := new(Builder).Str(path).Bytes(data).ACLs(acl).Int(flags)
	if op == OpCreateTTL {
		return request(op, *b.Long(ttlMs), "%q %q %v flags=%d ttl=%d", path, data, acl, flags, ttlMs)
	}
	return request(op, *b, "%q %q %v flags=%d", path, data, acl, flags)
}
func Delete(path string, version int32) Request {
	return request(OpDelete, *new(Builder).Str(path).Int(version), "%q version=%d", path, version)
}

// Read is exists, getData, getChildren or getChildren2.
func Read(op int32, path string, watch bool) Request {
	return request(op, *new(Builder).Str(path).Bool(watch), "%q watch=%v", path, watch)
}

// Named is an operation that takes a path and nothing else: getACL, sync, getEphemerals, getAllChildrenNumber.
func Named(op int32, path string) Request {
	return request(op, *new(Builder).Str(path), "%q", path)
}
func SetData(path string, data []byte, version int32) Request {
	return request(OpSetData, *new(Builder).Str(path).Bytes(data).Int(version), "%q %q version=%d", path, data, version)
}
func SetACL(path string, acl []ACL, version int32) Request {
	return request(OpSetACL, *new(Builder).Str(path).ACLs(acl).Int(version), "%q %v version=%d", path, acl, version)
}
func Check(path string, version int32) Request {
	return request(OpCheck, *new(Builder).Str(path).Int(version), "%q version=%d", path, version)
}

// Numbered is an operation that takes a path and a number: checkWatches, removeWatches (a type), addWatch (a mode).
func Numbered(op int32, path string, n int32) Request {
	return request(op, *new(Builder).Str(path).Int(n), "%q %d", path, n)
}
func Auth(scheme string, auth []byte) Request {
	return request(OpAuth, *new(Builder).Int(0).Str(scheme).Bytes(auth), "%s %q", scheme, auth)
}
func SetWatches(zxid int64, data, exist, child []string) Request {
	return request(OpSetWatches, *new(Builder).Long(zxid).Strs(data).Strs(exist).Strs(child), "data=%q exist=%q child=%q", data, exist, child)
}
func SetWatches2(zxid int64, data, exist, child, persistent, recursive []string) Request {
	return request(OpSetWatches2, *new(Builder).Long(zxid).Strs(data).Strs(exist).Strs(child).Strs(persistent).Strs(recursive),
		"data=%q exist=%q child=%q persistent=%q recursive=%q", data, exist, child, persistent, recursive)
}
func Reconfig(joining string) Request {
	return request(OpReconfig, *new(Builder).Str(joining).Str("").Str("").Long(-1), "%q", joining)
}

// Bare is an operation without a body.
func Bare(op int32) Request { return request(op, nil, "") }

// Raw is any bytes as any operation.
func Raw(op int32, body []byte) Request {
	return Request{op, body, fmt.Sprintf("op %d %x", op, body)}
}

// Multi is multi or multiRead.
func Multi(op int32, parts ...Request) Request {
	var b Builder
	text := ""
	for _, p := range parts {
		b.Int(p.Op).Bool(false).Int(-1)
		b = append(b, p.Body...)
		text += "\n      " + p.Text
	}
	b.Int(-1).Bool(true).Int(-1)
	return request(op, b, "%s", text)
}

// errShort is the end of a message where a field should be.
var errShort = errors.New("message ends inside a field")

// decoder reads jute's encoding; the first error stays.
type decoder struct {
	b   []byte
	err error
}

func (d *decoder) take(n int) []byte {
	if n < 0 || n > len(d.b) {
		d.err, d.b = errShort, nil
	}
	if d.err != nil {
		return make([]byte, 8)
	}
	head := d.b[:n]
	d.b = d.b[n:]
	return head
}
func (d *decoder) int() int32  { return int32(binary.BigEndian.Uint32(d.take(4))) }
func (d *decoder) long() int64 { return int64(binary.BigEndian.Uint64(d.take(8))) }
func (d *decoder) bool() bool  { return d.take(1)[0] != 0 }
func (d *decoder) bytes() []byte {
	n := d.int()
	if n < 0 || d.err != nil {
		return nil
	}
	b := d.take(int(n))
	if d.err != nil {
		return nil
	}
	return b
}
func (d *decoder) strs() (all []string) {
	for n := d.int(); n > 0 && d.err == nil; n-- {
		all = append(all, string(d.bytes()))
	}
	return all
}

// Stat is a node's.
type Stat struct {
	Czxid, Mzxid, Ctime, Mtime  int64
	Version, Cversion, Aversion int32
	EphemeralOwner              int64
	DataLength, NumChildren     int32
	Pzxid                       int64
}

func (d *decoder) stat() Stat {
	return Stat{d.long(), d.long(), d.long(), d.long(), d.int(), d.int(), d.int(), d.long(), d.int(), d.int(), d.long()}
}
