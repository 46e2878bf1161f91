package proto

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"
)

var (
	someACL  = []ACL{{Perms: PermAll, ID: ID{"world", "anyone"}}, {Perms: PermRead, ID: ID{"digest", "a:b"}}}
	someStat = Stat{Czxid: 1, Mzxid: 2, CtimeMs: 3, MtimeMs: 4, Version: 5, Cversion: 6, Aversion: 7, EphemeralOwner: 8, DataLength: 9, NumChildren: 10, Pzxid: 11}
)

// requests are one of each that a client may send.
func requests() []Request {
	return []Request{
		&CreateRequest{Type: OpCreate, Path: "/a", Data: []byte("x"), ACL: someACL, Flags: 3},
		&CreateRequest{Type: OpCreate2, Path: "/a", Data: []byte{}, ACL: someACL},
		&CreateRequest{Type: OpCreateContainer, Path: "/a", ACL: someACL, Flags: 4},
		&CreateRequest{Type: OpCreateTTL, Path: "/a", ACL: someACL, Flags: 5, TTLMs: 1 << 39},
		&DeleteRequest{Path: "/a", Version: -1},
		&ExistsRequest{Path: "/a", Watch: true},
		&GetDataRequest{Path: "/a", Watch: true},
		&SetDataRequest{Path: "/a", Data: []byte("x"), Version: 3},
		&GetACLRequest{Path: "/a"},
		&SetACLRequest{Path: "/a", ACL: someACL, Version: 3},
		&GetChildrenRequest{Type: OpGetChildren, Path: "/a", Watch: true},
		&GetChildrenRequest{Type: OpGetChildren2, Path: "/a"},
		&GetAllChildrenNumberRequest{Path: "/a"},
		&GetEphemeralsRequest{Prefix: "/a"},
		&SyncRequest{Path: "/a"},
		&CheckRequest{Path: "/a", Version: 3},
		&MultiRequest{Type: OpMulti},
		&MultiRequest{Type: OpMulti, Ops: []Request{
			&CreateRequest{Type: OpCreate, Path: "/a", Data: []byte("x"), ACL: someACL},
			&CreateRequest{Type: OpCreate2, Path: "/b", ACL: someACL, Flags: 1},
			&CreateRequest{Type: OpCreateContainer, Path: "/c", ACL: someACL, Flags: 4},
			&CreateRequest{Type: OpCreateTTL, Path: "/d", ACL: someACL, Flags: 6, TTLMs: 1},
			&DeleteRequest{Path: "/a"}, &SetDataRequest{Path: "/b"}, &CheckRequest{Path: "/c", Version: 1},
		}},
		&MultiRequest{Type: OpMultiRead, Ops: []Request{&GetDataRequest{Path: "/a"}, &GetChildrenRequest{Type: OpGetChildren, Path: "/"}}},
		&AddWatchRequest{Path: "/a", Mode: 1},
		&WatchesRequest{Type: OpCheckWatches, Path: "/a", Watcher: 1},
		&WatchesRequest{Type: OpRemoveWatches, Path: "/a", Watcher: 3},
		&SetWatchesRequest{Type: OpSetWatches, RelativeZxid: 9, Data: []string{"/a", "/b"}, Exist: []string{"/c"}},
		&SetWatchesRequest{Type: OpSetWatches2, RelativeZxid: 9, Child: []string{"/a", ""}, Persistent: []string{"/c"}, PersistentRecursive: []string{"/"}},
		&AuthRequest{Type: 1, Scheme: "digest", Auth: []byte("a:b")},
		&SASLRequest{Token: []byte("t")},
		&WhoAmIRequest{}, &PingRequest{}, &CloseSessionRequest{},
		&ReconfigRequest{Joining: "a", Leaving: "b", NewMembers: "c", CurConfigID: -1},
	}
}

func TestRequests(t *testing.T) {
	for _, r := range requests() {
		b := r.Append(nil)
		got, err := DecodeRequest(r.Op(), b)
		if err != nil || !reflect.DeepEqual(got, r) {
			t.Errorf("%s: %+v became %+v, %v", r.Op(), r, got, err)
		}
		if _, err := DecodeRequest(r.Op(), append(b, 1, 2, 3)); err != nil {
			t.Errorf("%s with bytes after it: %v", r.Op(), err)
		}
		for n := range b {
			if _, err := DecodeRequest(r.Op(), b[:n:n]); !errors.Is(err, ErrMalformed) {
				t.Errorf("%s cut to %d of %d bytes: %v", r.Op(), n, len(b), err)
			}
		}
	}
	for _, op := range []Op{OpNotification, 10, OpCreateSession, OpError, 23, 99, 1 << 30} {
		if r, err := DecodeRequest(op, make([]byte, 100)); !errors.Is(err, Unimplemented) || r != nil {
			t.Errorf("%s: %v, %v", op, r, err)
		}
	}
}

// TestHostileLengths holds that a length is believed only as far as bytes are there: nothing is allocated for it.
func TestHostileLengths(t *testing.T) {
	long := AppendInt32(nil, 1<<31-1)
	negative := AppendInt32(nil, -2)
	path := AppendString(nil, "/a")
	for name, c := range map[string]struct {
		op   Op
		body []byte
	}{
		"long path":        {OpGetData, long},
		"negative path":    {OpGetData, negative},
		"null path":        {OpGetData, append(AppendInt32(nil, -1), 0)},
		"long data":        {OpSetData, append(path, long...)},
		"negative data":    {OpSetData, append(path, negative...)},
		"many ACLs":        {OpSetACL, append(path, long...)},
		"many watches":     {OpSetWatches, append(make([]byte, 8), long...)},
		"endless multi":    {OpMulti, multiHeader{op: OpDelete}.append(nil)},
		"multi in a multi": {OpMulti, multiHeader{op: OpMulti}.append(nil)},
	} {
		allocated := testing.AllocsPerRun(1, func() {
			if _, err := DecodeRequest(c.op, c.body); !errors.Is(err, ErrMalformed) {
				t.Errorf("%s: %v", name, err)
			}
		})
		if allocated > 20 {
			t.Errorf("%s: %v allocations", name, allocated)
		}
	}
	// A null or negative vector is an empty one to Java, and so it is here.
	if r, err := DecodeRequest(OpSetACL, append(append(append([]byte{}, path...), negative...), 0, 0, 0, 1)); err != nil || len(r.(*SetACLRequest).ACL) != 0 {
		t.Errorf("%+v, %v", r, err)
	}
	_, err := DecodeRequest(OpSetData, append(path, long...))
	if want := "setData: zookeeper: malformed record: buffer of 2147483647 bytes with 0 left at byte 10 of 10"; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

// TestMultiCreate is Op.Create: the mode decides what a create in a multi is.
func TestMultiCreate(t *testing.T) {
	for _, c := range []struct {
		typ   Op
		flags int32
		want  Op // 0: malformed
	}{
		{OpCreate, 0, OpCreate}, {OpCreate2, 2, OpCreate2}, {OpCreate, 4, OpCreateContainer}, {OpCreate2, 4, OpCreateContainer},
		{OpCreateContainer, 0, OpCreate}, {OpCreateTTL, 0, OpCreate}, {OpCreateTTL, 5, OpCreateTTL}, {OpCreate, 5, 0}, {OpCreate2, 7, 0}, {OpCreate, -1, 0},
	} {
		m := &MultiRequest{Type: OpMulti, Ops: []Request{&CreateRequest{Type: c.typ, Path: "/a", Flags: c.flags}}}
		r, err := DecodeRequest(OpMulti, m.Append(nil))
		var got Op
		if err == nil {
			got = r.(*MultiRequest).Ops[0].Op()
		}
		if got != c.want {
			t.Errorf("%s with the flags %d: %s, %v, want %s", c.typ, c.flags, got, err, c.want)
		}
	}
}

func replies() map[Op][]Reply {
	return map[Op][]Reply{
		OpCreate:               {&CreateReply{Path: "/a"}},
		OpCreate2:              {&Create2Reply{Path: "/a", Stat: someStat}},
		OpSetACL:               {&StatReply{Stat: someStat}},
		OpGetData:              {&GetDataReply{Data: []byte("x"), Stat: someStat}, &GetDataReply{Stat: someStat}, &GetDataReply{Data: []byte{}}},
		OpGetACL:               {&GetACLReply{ACL: someACL, Stat: someStat}},
		OpGetChildren:          {&ChildrenReply{Children: []string{"a", "b"}}, &ChildrenReply{}},
		OpGetChildren2:         {&Children2Reply{Children: []string{"a"}, Stat: someStat}},
		OpGetAllChildrenNumber: {&NumberReply{Number: 7}},
		OpSync:                 {&SyncReply{Path: "/a"}},
		OpWhoAmI:               {&WhoAmIReply{IDs: []ID{{"ip", "::1"}}}},
		OpMulti: {&MultiReply{}, &MultiReply{Parts: []MultiPart{{Op: OpCreate, Reply: &CreateReply{Path: "/a"}}, {Op: OpDelete}, {Op: OpCheck},
			{Op: OpSetData, Reply: &StatReply{Stat: someStat}}, {Op: OpError, Err: NoNode}, {Op: OpError, Err: OK}}}},
		OpMultiRead: {&MultiReply{Parts: []MultiPart{{Op: OpGetData, Reply: &GetDataReply{Data: []byte("x"), Stat: someStat}}, {Op: OpGetChildren, Reply: &ChildrenReply{Children: []string{"a"}}}}}},
		OpDelete:    {nil},
	}
}

func TestReplies(t *testing.T) {
	for op, all := range replies() {
		for _, r := range all {
			var b []byte
			if r != nil {
				b = r.Append(nil)
			}
			got, err := DecodeReply(op, b)
			if err != nil || !reflect.DeepEqual(got, r) {
				t.Errorf("%s: %+v became %+v, %v", op, r, got, err)
			}
			for n := range b {
				if _, err := DecodeReply(op, b[:n:n]); !errors.Is(err, ErrMalformed) {
					t.Errorf("%s cut to %d of %d bytes: %v", op, n, len(b), err)
				}
			}
		}
	}
}

func txns() map[Op]Txn {
	return map[Op]Txn{
		OpCreate:          &CreateTxn{Path: "/a", Data: []byte("x"), ACL: someACL, Ephemeral: true, ParentCversion: 3},
		OpCreate2:         &CreateTxn{Path: "/a", ACL: someACL},
		OpCreateTTL:       &CreateTTLTxn{Path: "/a", Data: []byte{}, ACL: someACL, ParentCversion: 3, TTLMs: 4},
		OpCreateContainer: &CreateContainerTxn{Path: "/a", ACL: someACL, ParentCversion: 3},
		OpDelete:          &DeleteTxn{Path: "/a"},
		OpDeleteContainer: &DeleteTxn{Path: "/a"},
		OpSetData:         &SetDataTxn{Path: "/a", Data: []byte("x"), Version: 3},
		OpReconfig:        &SetDataTxn{Path: "/zookeeper/config", Data: []byte("x"), Version: -1},
		OpSetACL:          &SetACLTxn{Path: "/a", ACL: someACL, Version: 3},
		OpCheck:           &CheckTxn{Path: "/a", Version: 3},
		OpCreateSession:   &CreateSessionTxn{TimeoutMs: 3},
		OpCloseSession:    &CloseSessionTxn{Paths: []string{"/a", "/b"}},
		OpError:           &ErrorTxn{Err: NoNode},
		OpMulti: &MultiTxn{Parts: []TxnPart{{OpCreate, &CreateTxn{Path: "/a", ACL: someACL}}, {OpDelete, &DeleteTxn{Path: "/a"}},
			{OpCheck, &CheckTxn{Path: "/a"}}, {OpError, &ErrorTxn{Err: BadVersion}}}},
	}
}

func TestTxns(t *testing.T) {
	for op, txn := range txns() {
		h := TxnHeader{Session: 1, Cxid: 2, Zxid: 3, TimeMs: 4, Type: op}
		for _, digest := range []*TxnDigest{nil, {Version: 2, Tree: 1 << 63}} {
			b := AppendTxn(nil, h, txn, digest)
			gotH, got, gotDigest, err := DecodeTxn(b)
			if err != nil || gotH != h || !reflect.DeepEqual(got, txn) || !reflect.DeepEqual(gotDigest, digest) {
				t.Errorf("%s: %+v %+v became %+v %+v, %v", op, txn, digest, got, gotDigest, err)
			}
		}
		b := AppendTxn(nil, h, txn, nil)
		for n := range b {
			_, got, _, err := DecodeTxn(b[:n:n])
			whole := op == OpCreate && n == len(b)-4 || op == OpCloseSession && n == TxnHeaderSize // what older versions wrote
			if whole != (err == nil) || err != nil && !errors.Is(err, ErrMalformed) {
				t.Errorf("%s cut to %d of %d bytes: %+v, %v", op, n, len(b), got, err)
			}
		}
	}
	old := &CreateTxn{Path: "/a", Data: []byte("x"), ACL: someACL, Ephemeral: true, ParentCversion: -1}
	b := AppendTxn(nil, TxnHeader{Type: OpCreate}, old, nil)
	if _, got, _, err := DecodeTxn(b[:len(b)-4]); err != nil || !reflect.DeepEqual(got, old) {
		t.Errorf("a creation without the parent's version: %+v, %v", got, err)
	}
	if _, got, _, err := DecodeTxn(AppendTxn(nil, TxnHeader{Type: OpCloseSession}, nil, nil)); err != nil || got != nil {
		t.Errorf("the end of a session without paths: %+v, %v", got, err)
	}
}

func TestConnect(t *testing.T) {
	for _, has := range []bool{false, true} {
		req := ConnectRequest{LastZxidSeen: 1, TimeoutMs: 2, SessionID: 3, Password: []byte("0123456789abcdef"), ReadOnly: has, HasReadOnly: has}
		b := req.Append(nil)
		if got, err := DecodeConnectRequest(b); err != nil || !reflect.DeepEqual(got, req) {
			t.Errorf("%+v became %+v, %v", req, got, err)
		}
		if _, err := DecodeConnectRequest(b[:30]); !errors.Is(err, ErrMalformed) {
			t.Error(err)
		}
		resp := ConnectResponse{ProtocolVersion: 1, TimeoutMs: 2, SessionID: 3, Password: []byte("p"), ReadOnly: has, HasReadOnly: has}
		if got, err := DecodeConnectResponse(resp.Append(nil)); err != nil || !reflect.DeepEqual(got, resp) {
			t.Errorf("%+v became %+v, %v", resp, got, err)
		}
	}
}

func TestSmallRecords(t *testing.T) {
	rh, ph, th := RequestHeader{-2, OpPing}, ReplyHeader{-1, 1 << 40, NoNode}, TxnHeader{1, 2, 3, 4, OpMulti}
	ev := WatcherEvent{EventNodeDeleted, StateSyncConnected, "/a"}
	ps := StatPersisted{Czxid: 1, Mzxid: 2, CtimeMs: 3, MtimeMs: 4, Version: 5, Cversion: 6, Aversion: 7, EphemeralOwner: -8, Pzxid: 9}
	b := ps.Append(someStat.Append(ev.Append(th.Append(ph.Append(rh.Append(nil))))))
	if want := RequestHeaderSize + ReplyHeaderSize + TxnHeaderSize + 8 + 4 + 2 + StatSize + StatPersistedSize; len(b) != want {
		t.Errorf("%d bytes, want %d", len(b), want)
	}
	d := NewDecoder(b)
	if got := d.RequestHeader(); got != rh {
		t.Error(got)
	}
	if got := d.ReplyHeader(); got != ph {
		t.Error(got)
	}
	if got := d.TxnHeader(); got != th {
		t.Error(got)
	}
	if got := d.WatcherEvent(); got != ev {
		t.Error(got)
	}
	if got := d.Stat(); got != someStat {
		t.Error(got)
	}
	if got := d.StatPersisted(); got != ps || d.Left() != 0 || d.Err() != nil {
		t.Error(got, d.Left(), d.Err())
	}
}

func TestNames(t *testing.T) {
	if s := OpSetWatches2.String() + " " + Op(23).String() + " " + EventNodeCreated.String(); s != "setWatches2 op23 NodeCreated" {
		t.Error(s)
	}
	if OK.Err() != nil || NoNode.Err() != NoNode || NoNode.Error() != "KeeperErrorCode = NoNode" || !strings.HasSuffix(Code(-99).Error(), "-99") {
		t.Error(OK.Err(), NoNode, Code(-99))
	}
	for _, op := range []Op{OpCreate, OpMulti, OpCloseSession, OpReconfig} {
		if !op.Writes() {
			t.Error(op)
		}
	}
	for _, op := range []Op{OpGetData, OpMultiRead, OpPing, OpCheck, OpSync, OpAuth, OpSetWatches} {
		if op.Writes() {
			t.Error(op)
		}
	}
}

// TestDecodedDataAliases is what Decoder promises: no copy of data.
func TestDecodedDataAliases(t *testing.T) {
	b := (&SetDataRequest{Path: "/a", Data: []byte("xyz")}).Append(nil)
	r, _ := DecodeRequest(OpSetData, b)
	b[bytes.IndexByte(b, 'y')] = '!'
	if got := string(r.(*SetDataRequest).Data); got != "x!z" {
		t.Error(got)
	}
}
