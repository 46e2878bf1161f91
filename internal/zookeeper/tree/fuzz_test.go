package tree

import (
	"encoding/binary"
	"testing"

	"gregor/internal/zookeeper/proto"
)

// FuzzTree sends a client's bytes through the whole machine: requests as sessions 1 and 2 send them, each as its type,
// its length and its body. Nothing panics, every write takes one zxid, and the log makes the same tree.
func FuzzTree(f *testing.F) {
	acl := proto.OpenACL()
	stories := [][]proto.Request{
		{
			&proto.CreateRequest{Type: proto.OpCreate, Path: "/a", Data: []byte("x"), ACL: acl, Flags: 1},
			&proto.GetChildrenRequest{Type: proto.OpGetChildren, Path: "/", Watch: true},
			&proto.CreateRequest{Type: proto.OpCreateTTL, Path: "/t", ACL: acl, Flags: 6, TTLMs: 5},
			&proto.SetACLRequest{Path: "/a", ACL: []proto.ACL{{Perms: 31, ID: proto.ID{Scheme: "auth"}}}, Version: -1},
			&proto.GetACLRequest{Path: "/a"}, &proto.WhoAmIRequest{}, &proto.GetEphemeralsRequest{Prefix: "/"}, &proto.CloseSessionRequest{},
		},
		{
			&proto.MultiRequest{Type: proto.OpMulti, Ops: []proto.Request{
				&proto.CreateRequest{Type: proto.OpCreate2, Path: "/a", ACL: acl, Flags: 2}, &proto.DeleteRequest{Path: "/a0000000001", Version: -1},
				&proto.SetDataRequest{Path: "/", Version: -1}, &proto.CheckRequest{Path: "/zookeeper", Version: 0},
			}},
			&proto.MultiRequest{Type: proto.OpMultiRead, Ops: []proto.Request{&proto.GetDataRequest{Path: "/"}}},
			&proto.SetWatchesRequest{Type: proto.OpSetWatches2, Data: []string{"/"}, Exist: []string{"/x"}, Child: []string{"/"}, Persistent: []string{"/"}, PersistentRecursive: []string{"/"}},
			&proto.AddWatchRequest{Path: "/", Mode: 1}, &proto.WatchesRequest{Type: proto.OpRemoveWatches, Path: "/", Watcher: 3},
			&proto.CreateRequest{Type: proto.OpCreateContainer, Path: "/c", ACL: acl, Flags: 4}, &proto.GetAllChildrenNumberRequest{Path: "/"},
		},
	}
	for _, story := range stories {
		var b []byte
		for i, req := range story {
			body := req.Append(nil)
			b = append(b, byte(req.Op()), byte(i%2))
			b = append(binary.BigEndian.AppendUint16(b, uint16(len(body))), body...)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		w, ws := newWorld(), NewWatches()
		w.write(&proto.CreateSessionRequest{}, 2)
		for len(b) >= 4 {
			op, session := proto.Op(int8(b[0])), int64(1+b[1]%2)
			n := min(int(binary.BigEndian.Uint16(b[2:])), len(b)-4)
			body := b[4 : 4+n]
			b = b[4+n:]
			req, err := proto.DecodeRequest(op, body)
			if err != nil {
				continue
			}
			switch {
			case op.Writes():
				before := w.tree.Zxid()
				r, _ := w.write(req, session)
				if w.tree.Zxid() != before+1 {
					t.Fatal(before, w.tree.Zxid())
				}
				ws.Fire(r.Events, func(w Watcher, e Event) {
					if w != 1 && w != 2 {
						t.Fatal(w, e)
					}
				})
			case op == proto.OpAuth, op == proto.OpSASL:
			default:
				reply, _, code := w.tree.Read(ws, req, Reader{Session: session, Watcher: Watcher(session)})
				if code == proto.OK && reply != nil {
					if _, err := proto.DecodeReply(op, reply.Append(nil)); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
		checkCounts(t, w.tree)
		again := New(Options{})
		replay(t, again, w.log, true)
		same(t, again, w.tree)
		ws.Remove(1)
		ws.Remove(2)
		if ws.Len() != 0 || len(ws.paths) != 0 {
			t.Fatalf("watches stay: %+v", ws)
		}
	})
}

// FuzzReplay is a log whose checksums are right and whose transactions are not: they change what they can.
func FuzzReplay(f *testing.F) {
	f.Add([]byte("\x01\x00\x05/a\x00/b"))
	for _, txn := range []proto.Txn{
		&proto.DeleteTxn{Path: "/"}, &proto.DeleteTxn{Path: "/zookeeper"}, &proto.CloseSessionTxn{Paths: []string{"a", "/zookeeper/config"}},
		&proto.CreateTxn{Path: "/a/", Ephemeral: true, ParentCversion: -1}, &proto.SetDataTxn{}, &proto.SetACLTxn{Path: "/"},
	} {
		op := proto.OpDelete
		switch txn.(type) {
		case *proto.CloseSessionTxn:
			op = proto.OpCloseSession
		case *proto.CreateTxn:
			op = proto.OpCreate
		case *proto.SetDataTxn:
			op = proto.OpSetData
		case *proto.SetACLTxn:
			op = proto.OpSetACL
		}
		entry := proto.AppendTxn(nil, proto.TxnHeader{Session: 1, Zxid: 5, Type: op}, txn, nil)
		f.Add(append(binary.BigEndian.AppendUint16(nil, uint16(len(entry))), entry...))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		tree := New(Options{})
		for len(b) >= 2 {
			n := min(int(binary.BigEndian.Uint16(b)), len(b)-2)
			entry := b[2 : 2+n]
			b = b[2+n:]
			if h, txn, _, err := proto.DecodeTxn(entry); err == nil {
				tree.Replay(h, txn)
			}
		}
		checkCounts(t, tree)
	})
}
