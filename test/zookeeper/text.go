package zookeeper

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Names gives what differs from run to run a name that does not: sessions, times, and zxids by their distance from a
// beginning.
type Names struct {
	Base     int64            // zxids above it are told by their distance
	sessions map[int64]string // id -> name
	times    map[int64]int64  // zxid -> the time of its transaction
}

// Session names a session.
func (n *Names) Session(id int64, name string) {
	if n.sessions == nil {
		n.sessions = map[int64]string{}
	}
	n.sessions[id] = name
}

func (n *Names) zxid(z int64) string {
	if z > n.Base {
		return fmt.Sprintf("+%d", z-n.Base)
	}
	if z > 0 {
		return "before"
	}
	return fmt.Sprint(z)
}

// time tells whether a time is that of a transaction: the first one seen counts.
func (n *Names) time(ms, zxid int64) string {
	if ms == 0 || zxid == 0 {
		return fmt.Sprint(ms)
	}
	if n.times == nil {
		n.times = map[int64]int64{}
	}
	before, ok := n.times[zxid]
	switch {
	case !ok && time.Since(time.UnixMilli(ms)).Abs() > 10*time.Minute:
		return fmt.Sprintf("(not now: %d)", ms)
	case !ok:
		n.times[zxid] = ms
		return "now"
	case ms == before:
		return "now"
	}
	return fmt.Sprintf("(%d ms off)", ms-before)
}

func (n *Names) stat(s Stat) string {
	return fmt.Sprintf("{c=%s/%s m=%s/%s p=%s v=%d cv=%d av=%d owner=%s len=%d children=%d}", n.zxid(s.Czxid), n.time(s.Ctime, s.Czxid),
		n.zxid(s.Mzxid), n.time(s.Mtime, s.Mzxid), n.zxid(s.Pzxid), s.Version, s.Cversion, s.Aversion, n.owner(s.EphemeralOwner), s.DataLength, s.NumChildren)
}

// owner of a node that nobody owns, a session's, a container's, or a time to live.
func (n *Names) owner(id int64) string {
	switch {
	case id == 0:
		return "-"
	case n.sessions[id] != "":
		return n.sessions[id]
	}
	return fmt.Sprintf("%#x", uint64(id))
}

// Text tells a message: what is not asked for (an event) or the reply to an operation.
func (n *Names) Text(op int32, m Message) string {
	if m.Xid == XidEvent {
		d := decoder{b: m.Body}
		return n.end(&d, fmt.Sprintf("event zxid=%d err=%d type=%d state=%d %q", m.Zxid, m.Err, d.int(), d.int(), d.bytes()))
	}
	return fmt.Sprintf("reply xid=%d zxid=%s err=%d %s", m.Xid, n.zxid(m.Zxid), m.Err, n.body(op, m))
}

func (n *Names) end(d *decoder, text string) string {
	switch {
	case d.err != nil:
		return text + " (" + d.err.Error() + ")"
	case len(d.b) > 0:
		return text + fmt.Sprintf(" (and %x)", d.b)
	}
	return text
}

func (n *Names) body(op int32, m Message) string {
	d := &decoder{b: m.Body}
	if len(m.Body) == 0 {
		return "empty"
	}
	if op == OpMulti || op == OpMultiRead {
		return n.end(d, n.multi(d))
	}
	text, ok := n.result(op, d)
	if !ok {
		return fmt.Sprintf("%x", m.Body)
	}
	return n.end(d, text)
}

// sorted, since Apache's server tells names in the order of a hash table.
func sorted(names []string) string {
	slices.Sort(names)
	return fmt.Sprintf("%q", names)
}

func (n *Names) result(op int32, d *decoder) (string, bool) {
	switch op {
	case OpCreate, OpSync:
		return fmt.Sprintf("%q", d.bytes()), true
	case OpCreate2, OpCreateContainer, OpCreateTTL:
		return fmt.Sprintf("%q %s", d.bytes(), n.stat(d.stat())), true
	case OpExists, OpSetData, OpSetACL, OpCheck:
		return n.stat(d.stat()), true
	case OpGetData:
		b := d.bytes()
		return fmt.Sprintf("%q nil=%v %s", b, b == nil, n.stat(d.stat())), true
	case OpGetChildren, OpGetEphemerals:
		return sorted(d.strs()), true
	case OpGetChildren2:
		return sorted(d.strs()) + " " + n.stat(d.stat()), true
	case OpGetACL:
		var acl []ACL
		for i := d.int(); i > 0 && d.err == nil; i-- {
			acl = append(acl, ACL{d.int(), string(d.bytes()), string(d.bytes())})
		}
		return fmt.Sprintf("%v %s", acl, n.stat(d.stat())), true
	case OpGetAllChildrenNumber, OpAddWatch:
		return fmt.Sprint(d.int()), true
	case OpWhoAmI:
		var all []string
		for i := d.int(); i > 0 && d.err == nil; i-- {
			all = append(all, fmt.Sprintf("%s:%s", d.bytes(), d.bytes()))
		}
		return sorted(all), true
	}
	return "", false
}

func (n *Names) multi(d *decoder) string {
	var b strings.Builder
	for d.err == nil {
		kind, done, code := d.int(), d.bool(), d.int()
		if done {
			fmt.Fprintf(&b, "\n      end %d %d", kind, code)
			break
		}
		name := opNames[kind]
		if name == "" {
			name = fmt.Sprint(kind)
		}
		fmt.Fprintf(&b, "\n      %s %d ", name, code)
		if kind == OpError {
			fmt.Fprint(&b, d.int())
			continue
		}
		if kind == OpDelete || kind == OpCheck || kind == OpDeleteContainer {
			continue
		}
		text, ok := n.result(kind, d)
		if !ok {
			return b.String() + " unknown"
		}
		b.WriteString(text)
	}
	return b.String()
}

// Strings is a reply that is a list of names, sorted.
func Strings(body []byte) []string {
	d := decoder{b: body}
	all := d.strs()
	slices.Sort(all)
	return all
}

// Data is the data of a reply to getData.
func Data(body []byte) []byte {
	d := decoder{b: body}
	return d.bytes()
}
