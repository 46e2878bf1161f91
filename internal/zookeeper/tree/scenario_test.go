package tree

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"gregor/internal/zookeeper/proto"

	"github.com/cockroachdb/datadriven"
)

// Scenarios are the files of testdata/scenarios. Rewrite them with -rewrite, and read what changed.
//
//	new [ttl] [reconfig] [skip-acl] [super=user:password]   a fresh tree
//	do       lines of: SESSION OP PATH [data] [name=value] [-w], see (*scenario).request;
//	         or: SESSION connect | close | gone, or: SESSION multi OP ... | OP ...
//	         each gives what the client is told, then what the watchers are (a watcher is named like its session)
//	time     ms=N sets the clock
//	expire   [never-used=N] deletes what may be deleted
//	tree     [PATH] the nodes with all of their stat
//	watches  who watches what
//
// Every request, transaction and reply goes through its encoding.
func TestScenarios(t *testing.T) {
	datadriven.Walk(t, "testdata/scenarios", func(t *testing.T, path string) {
		s := &scenario{}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			s.t = t
			return s.run(d)
		})
	})
}

type scenario struct {
	t     *testing.T
	tree  *Tree
	ws    *Watches
	nowMs int64
	auth  map[int64][]proto.ID
	out   strings.Builder
}

func (s *scenario) run(d *datadriven.TestData) string {
	s.out.Reset()
	switch d.Cmd {
	case "new":
		opts := Options{TTLNodes: d.HasArg("ttl"), ReconfigEnabled: d.HasArg("reconfig"), SkipACL: d.HasArg("skip-acl")}
		if d.HasArg("super") {
			var v string
			d.ScanArgs(s.t, "super", &v)
			opts.SuperDigest = Digest(v)
		}
		*s = scenario{t: s.t, tree: New(opts), ws: NewWatches(), nowMs: 1000, auth: map[int64][]proto.ID{}}
	case "do":
		for _, line := range strings.Split(d.Input, "\n") {
			s.line(line)
		}
	case "time":
		d.ScanArgs(s.t, "ms", &s.nowMs)
	case "expire":
		var neverUsed int64
		if d.HasArg("never-used") {
			d.ScanArgs(s.t, "never-used", &neverUsed)
		}
		for _, path := range s.tree.Expired(s.nowMs, neverUsed) {
			fmt.Fprintf(&s.out, "expired %s: ", path)
			s.write(&proto.DeleteContainerRequest{Path: path}, 0)
		}
	case "tree":
		under := ""
		if len(d.CmdArgs) > 0 {
			under = d.CmdArgs[0].Key
		}
		s.out.WriteString(dump(s.tree, under))
	case "watches":
		for path, by := range s.ws.ByPath() {
			fmt.Fprintf(&s.out, "%s %v\n", path, by)
		}
		fmt.Fprintf(&s.out, "%+v of %d\n", s.ws.Counts(), s.ws.Len())
	default:
		s.t.Fatalf("%s: unknown command %s", d.Pos, d.Cmd)
	}
	return s.out.String()
}

func (s *scenario) line(line string) {
	fields := words(s.t, line)
	session, err := strconv.ParseInt(fields[0], 0, 64)
	if err != nil {
		s.t.Fatalf("%q: %v", line, err)
	}
	fmt.Fprintf(&s.out, "%d %s: ", session, fields[1])
	switch fields[1] {
	case "connect":
		s.auth[session] = []proto.ID{IPID("10.0.0." + fields[0])}
		s.write(&proto.CreateSessionRequest{TimeoutMs: 30000}, session)
		return
	case "close":
		s.write(&proto.CloseSessionRequest{}, session)
		return
	case "gone": // its connection, not the session
		s.ws.Remove(Watcher(session))
		s.out.WriteString("Ok\n")
		return
	case "addauth":
		ids, code := s.tree.opts.Authenticate(s.auth[session], &proto.AuthRequest{Scheme: fields[2], Auth: []byte(fields[3])})
		s.auth[session] = ids
		fmt.Fprintln(&s.out, code.String())
		return
	}
	req := s.request(fields[1:])
	decoded, err := proto.DecodeRequest(req.Op(), req.Append(nil))
	if err != nil {
		code := proto.MarshallingError
		if errors.Is(err, proto.Unimplemented) {
			code = proto.Unimplemented
		}
		fmt.Fprintln(&s.out, code.String(), err)
		return
	}
	if req.Op().Writes() {
		s.write(decoded, session)
		return
	}
	reply, events, code := s.tree.Read(s.ws, decoded, Reader{Session: session, Watcher: Watcher(session), Auth: s.auth[session]})
	s.answer(req.Op(), reply, code)
	for _, e := range events {
		fmt.Fprintf(&s.out, "  -> %d %s %s\n", session, e.Type, e.Path)
	}
}

func (s *scenario) write(req proto.Request, session int64) {
	h, txn := s.tree.Decide(req, Origin{Session: session, Cxid: 7, TimeMs: s.nowMs, Auth: s.auth[session]})
	before := s.tree.Zxid()
	entry := proto.AppendTxn(nil, h, txn, &proto.TxnDigest{})
	h, txn, _, err := proto.DecodeTxn(entry)
	if err != nil {
		s.t.Fatal(err)
	}
	r := s.tree.Apply(h, txn)
	clear(entry) // nothing may be kept of it
	if s.tree.Zxid() != before+1 {
		s.t.Errorf("%s took the zxid from %d to %d", req.Op(), before, s.tree.Zxid())
	}
	reply, code := r.Reply(req.Op())
	fmt.Fprintf(&s.out, "zxid=%d ", s.tree.Zxid())
	s.answer(req.Op(), reply, code)
	s.ws.Fire(r.Events, func(w Watcher, e Event) {
		hidden := ""
		if !s.tree.opts.Allowed(e.ACL, proto.PermRead, s.auth[int64(w)]) {
			hidden = " (not told)"
		}
		fmt.Fprintf(&s.out, "  -> %d %s %s%s\n", w, e.Type, e.Path, hidden)
	})
}

func (s *scenario) answer(op proto.Op, reply proto.Reply, code proto.Code) {
	if code != proto.OK || reply == nil {
		fmt.Fprintln(&s.out, code.String())
		return
	}
	b := reply.Append(nil)
	decoded, err := proto.DecodeReply(op, b)
	if err != nil {
		s.t.Fatal(err)
	}
	if again := decoded.Append(nil); !slices.Equal(again, b) {
		s.t.Errorf("reply to %s: %x became %x", op, b, again)
	}
	fmt.Fprintln(&s.out, show(decoded))
}

func show(r proto.Reply) string {
	switch r := r.(type) {
	case nil:
		return "Ok"
	case *proto.CreateReply:
		return r.Path
	case *proto.Create2Reply:
		return r.Path + " " + showStat(r.Stat)
	case *proto.StatReply:
		return showStat(r.Stat)
	case *proto.GetDataReply:
		if r.Data == nil {
			return "null " + showStat(r.Stat)
		}
		return strconv.Quote(string(r.Data)) + " " + showStat(r.Stat)
	case *proto.GetACLReply:
		return showACL(r.ACL) + " aversion=" + strconv.Itoa(int(r.Stat.Aversion))
	case *proto.ChildrenReply:
		return fmt.Sprint(r.Children)
	case *proto.Children2Reply:
		return fmt.Sprint(r.Children) + " " + showStat(r.Stat)
	case *proto.NumberReply:
		return strconv.Itoa(int(r.Number))
	case *proto.SyncReply:
		return r.Path
	case *proto.WhoAmIReply:
		return fmt.Sprint(r.IDs)
	case *proto.MultiReply:
		var parts []string
		for _, p := range r.Parts {
			if p.Op == proto.OpError {
				parts = append(parts, "error "+p.Err.String())
			} else {
				parts = append(parts, p.Op.String()+" "+show(p.Reply))
			}
		}
		return strings.Join(parts, " | ")
	}
	return fmt.Sprintf("%T", r)
}

func showStat(s proto.Stat) string {
	return fmt.Sprintf("czxid=%d mzxid=%d pzxid=%d ctime=%d mtime=%d version=%d cversion=%d aversion=%d owner=%d length=%d children=%d",
		s.Czxid, s.Mzxid, s.Pzxid, s.CtimeMs, s.MtimeMs, s.Version, s.Cversion, s.Aversion, s.EphemeralOwner, s.DataLength, s.NumChildren)
}

func showACL(acl []proto.ACL) string {
	var all []string
	for _, a := range acl {
		perms := ""
		for i, c := range "rwcda" {
			if a.Perms&(1<<i) != 0 {
				perms += string(c)
			}
		}
		all = append(all, a.ID.Scheme+":"+a.ID.ID+":"+perms)
	}
	return strings.Join(all, ",")
}

// words splits at blanks; a word in double quotes is Go's.
func words(t *testing.T, line string) []string {
	var all []string
	for line = strings.TrimSpace(line); line != ""; line = strings.TrimSpace(line) {
		if line[0] == '"' {
			quoted, err := strconv.QuotedPrefix(line)
			if err != nil {
				t.Fatalf("%q: %v", line, err)
			}
			word, _ := strconv.Unquote(quoted)
			all, line = append(all, word), line[len(quoted):]
			continue
		}
		word, rest, _ := strings.Cut(line, " ")
		all, line = append(all, word), rest
	}
	return all
}

// request reads OP PATH [DATA] [name=value ...] [-w]. Names: acl=scheme:id:perms,..., mode=N, ttl=N, version=N,
// type=N, since=N, data=, exist=, child=, persistent=, recursive= (paths with commas between them).
func (s *scenario) request(fields []string) proto.Request {
	op, fields := fields[0], fields[1:]
	var typ proto.Op
	for o := proto.Op(-11); o < 200; o++ {
		if o.String() == op {
			typ = o
		}
	}
	if typ == proto.OpMulti || typ == proto.OpMultiRead {
		m := &proto.MultiRequest{Type: typ}
		for len(fields) > 0 {
			n := slices.Index(fields, "|")
			if n < 0 {
				n = len(fields)
			}
			m.Ops = append(m.Ops, s.request(fields[:n]))
			fields = fields[min(n+1, len(fields)):]
		}
		return m
	}
	args := map[string]string{}
	var rest []string
	for _, f := range fields {
		if name, value, ok := strings.Cut(f, "="); ok {
			args[name] = value
		} else {
			rest = append(rest, f)
		}
	}
	watch := slices.Contains(rest, "-w")
	rest = slices.DeleteFunc(rest, func(f string) bool { return f == "-w" })
	path, data := "", []byte(nil)
	if len(rest) > 0 {
		path = rest[0]
	}
	if len(rest) > 1 {
		data = []byte(rest[1])
	}
	number := func(name string, otherwise int64) int64 {
		v, ok := args[name]
		if !ok {
			return otherwise
		}
		n, err := strconv.ParseInt(v, 0, 64)
		if err != nil {
			s.t.Fatal(err)
		}
		return n
	}
	list := func(name string) []string {
		if args[name] == "" {
			return nil
		}
		return strings.Split(args[name], ",")
	}
	version := int32(number("version", -1))
	acl := proto.OpenACL()
	if v, ok := args["acl"]; ok {
		acl = parseACL(v)
	}
	switch typ {
	case proto.OpCreate, proto.OpCreate2, proto.OpCreateContainer, proto.OpCreateTTL:
		return &proto.CreateRequest{Type: typ, Path: path, Data: data, ACL: acl, Flags: int32(number("mode", 0)), TTLMs: number("ttl", 0)}
	case proto.OpDelete:
		return &proto.DeleteRequest{Path: path, Version: version}
	case proto.OpSetData:
		return &proto.SetDataRequest{Path: path, Data: data, Version: version}
	case proto.OpSetACL:
		return &proto.SetACLRequest{Path: path, ACL: acl, Version: version}
	case proto.OpCheck:
		return &proto.CheckRequest{Path: path, Version: version}
	case proto.OpExists:
		return &proto.ExistsRequest{Path: path, Watch: watch}
	case proto.OpGetData:
		return &proto.GetDataRequest{Path: path, Watch: watch}
	case proto.OpGetChildren, proto.OpGetChildren2:
		return &proto.GetChildrenRequest{Type: typ, Path: path, Watch: watch}
	case proto.OpGetACL:
		return &proto.GetACLRequest{Path: path}
	case proto.OpGetAllChildrenNumber:
		return &proto.GetAllChildrenNumberRequest{Path: path}
	case proto.OpGetEphemerals:
		return &proto.GetEphemeralsRequest{Prefix: path}
	case proto.OpSync:
		return &proto.SyncRequest{Path: path}
	case proto.OpAddWatch:
		return &proto.AddWatchRequest{Path: path, Mode: int32(number("mode", 0))}
	case proto.OpCheckWatches, proto.OpRemoveWatches:
		return &proto.WatchesRequest{Type: typ, Path: path, Watcher: int32(number("type", 3))}
	case proto.OpSetWatches, proto.OpSetWatches2:
		return &proto.SetWatchesRequest{Type: typ, RelativeZxid: number("since", 0), Data: list("data"), Exist: list("exist"),
			Child: list("child"), Persistent: list("persistent"), PersistentRecursive: list("recursive")}
	case proto.OpWhoAmI:
		return &proto.WhoAmIRequest{}
	case proto.OpPing:
		return &proto.PingRequest{}
	case proto.OpDeleteContainer:
		return &proto.DeleteContainerRequest{Path: path}
	case proto.OpReconfig:
		return &proto.ReconfigRequest{NewMembers: path}
	}
	s.t.Fatalf("no request %q", op)
	return nil
}

func parseACL(v string) []proto.ACL {
	var acl []proto.ACL
	for _, one := range strings.Split(v, ",") {
		if one == "" {
			continue
		}
		scheme, rest, _ := strings.Cut(one, ":")
		i := strings.LastIndexByte(rest, ':')
		a := proto.ACL{ID: proto.ID{Scheme: scheme, ID: rest[:i]}}
		for _, c := range rest[i+1:] {
			a.Perms |= 1 << strings.IndexRune("rwcda", c)
		}
		acl = append(acl, a)
	}
	return acl
}

// dump is everything that the tree holds at and under a path, for the eye and to compare two trees.
func dump(t *Tree, under string) string {
	var b strings.Builder
	for s := t.Snapshot(); s.Next(1, func(n NodeImage) {
		if n.Path != under && !strings.HasPrefix(n.Path, under+"/") {
			return
		}
		at := t.find(n.Path)
		data := strconv.Quote(string(n.Data))
		if n.Data == nil {
			data = "null"
		}
		fmt.Fprintf(&b, "%s %s %s %s", at.path(), data, showStat(at.stat()), showACL(at.acl.list))
		if o := at.owner; ownerKind(o) == container || ownerKind(o) == ttl {
			fmt.Fprintf(&b, " (0x%x)", uint64(o))
		}
		b.WriteByte('\n')
	}); {
	}
	return b.String()
}
