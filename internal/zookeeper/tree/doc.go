// Package tree is the heart of a ZooKeeper 3.8 server as a pure machine: nodes, sessions and ACLs, and the watches on
// them. It has no clock, socket, file, goroutine or randomness, and no locks: one goroutine at a time may use a Tree
// and its Watches.
//
// A request that writes is decided and applied in one go:
//
//	h, txn := t.Decide(req, origin)       // a transaction, an error's too: it takes a zxid either way
//	res := t.Apply(h, txn)                // the next request sees it
//	entry := proto.AppendTxn(nil, h, txn, t.Digest())
//	reply, code := res.Reply(req.Op())
//	ws.Fire(res.Events, yield)            // who is told of it
//
// The caller appends the entry to the log, and holds back the reply, the events and every reply after it until the
// entry is on disk. If the disk fails, the tree is thrown away and built again from the log: nothing is patched back.
// A request that only reads is answered by Read.
//
// A start reads the newest snapshot with a Loader and replays the transactions after it. A snapshot is fuzzy: it is
// taken in steps while transactions are applied, and what it holds of later ones is put right by replaying them, so
// the entries of everything applied until its end must be on disk before it counts.
package tree
