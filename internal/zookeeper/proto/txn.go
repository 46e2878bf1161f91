package proto

import "fmt"

// TxnHeader precedes every transaction of the log. Type is OpError for a request that failed; a multi that failed
// keeps its type.
type TxnHeader struct {
	Session int64
	Cxid    int32
	Zxid    int64
	TimeMs  int64 // milliseconds since 1970
	Type    Op
}

// TxnHeaderSize is the encoded length of a TxnHeader.
const TxnHeaderSize = 32

// Txn is the body of a transaction. A nil one stands for a closeSession of ZooKeeper before 3.6, which names no paths.
type Txn interface {
	// Append appends the encoded body.
	Append(b []byte) []byte
}

type (
	// CreateTxn is create or create2.
	CreateTxn struct {
		Path      string
		Data      []byte
		ACL       []ACL
		Ephemeral bool
		// ParentCversion is what the parent's count of creations becomes, -1 if the transaction does not say
		// (ZooKeeper 3.3).
		ParentCversion int32
	}
	CreateTTLTxn struct {
		Path           string
		Data           []byte
		ACL            []ACL
		ParentCversion int32
		TTLMs          int64
	}
	CreateContainerTxn struct {
		Path           string
		Data           []byte
		ACL            []ACL
		ParentCversion int32
	}
	// DeleteTxn is delete or deleteContainer.
	DeleteTxn struct{ Path string }
	// SetDataTxn is setData or reconfig.
	SetDataTxn struct {
		Path    string
		Data    []byte
		Version int32 // what it becomes
	}
	SetACLTxn struct {
		Path    string
		ACL     []ACL
		Version int32 // what it becomes
	}
	// CheckTxn stands in a multi only.
	CheckTxn struct {
		Path    string
		Version int32
	}
	CreateSessionTxn struct{ TimeoutMs int32 }
	// CloseSessionTxn deletes the session's ephemeral nodes, the ones named.
	CloseSessionTxn struct{ Paths []string }
	// ErrorTxn is a request that failed: it took a zxid and changed nothing.
	ErrorTxn struct{ Err Code }
	// MultiTxn failed if one of its parts is an error: then none of them counts.
	MultiTxn struct{ Parts []TxnPart }
	// TxnPart is a transaction inside a multi.
	TxnPart struct {
		Type Op
		Txn  Txn
	}
	// TxnDigest is a sum over the tree after a transaction, by which two servers can compare theirs.
	TxnDigest struct {
		Version int32
		Tree    uint64
	}
)

func (t *CreateTxn) Append(b []byte) []byte {
	b = AppendACLs(AppendBuffer(AppendString(b, t.Path), t.Data), t.ACL)
	return AppendInt32(AppendBool(b, t.Ephemeral), t.ParentCversion)
}

func (t *CreateTTLTxn) Append(b []byte) []byte {
	b = AppendACLs(AppendBuffer(AppendString(b, t.Path), t.Data), t.ACL)
	return AppendInt64(AppendInt32(b, t.ParentCversion), t.TTLMs)
}

func (t *CreateContainerTxn) Append(b []byte) []byte {
	b = AppendACLs(AppendBuffer(AppendString(b, t.Path), t.Data), t.ACL)
	return AppendInt32(b, t.ParentCversion)
}
func (t *DeleteTxn) Append(b []byte) []byte { return AppendString(b, t.Path) }

func (t *SetDataTxn) Append(b []byte) []byte {
	return AppendInt32(AppendBuffer(AppendString(b, t.Path), t.Data), t.Version)
}

func (t *SetACLTxn) Append(b []byte) []byte {
	return AppendInt32(AppendACLs(AppendString(b, t.Path), t.ACL), t.Version)
}
func (t *CheckTxn) Append(b []byte) []byte         { return AppendInt32(AppendString(b, t.Path), t.Version) }
func (t *CreateSessionTxn) Append(b []byte) []byte { return AppendInt32(b, t.TimeoutMs) }
func (t *CloseSessionTxn) Append(b []byte) []byte  { return AppendStrings(b, t.Paths) }
func (t *ErrorTxn) Append(b []byte) []byte         { return AppendInt32(b, int32(t.Err)) }

func (t *MultiTxn) Append(b []byte) []byte {
	b = AppendInt32(b, int32(len(t.Parts)))
	for _, p := range t.Parts {
		b = AppendInt32(b, int32(p.Type))
		at := len(b)
		b = p.Txn.Append(AppendInt32(b, 0))
		AppendInt32(b[:at], int32(len(b)-at-4)) // in place
	}
	return b
}

// Append appends the digest.
func (t *TxnDigest) Append(b []byte) []byte {
	return AppendInt64(AppendInt32(b, t.Version), int64(t.Tree))
}

// Append appends the header.
func (h TxnHeader) Append(b []byte) []byte {
	b = AppendInt64(AppendInt32(AppendInt64(b, h.Session), h.Cxid), h.Zxid)
	return AppendInt32(AppendInt64(b, h.TimeMs), int32(h.Type))
}

// TxnHeader reads a header.
func (d *Decoder) TxnHeader() TxnHeader {
	return TxnHeader{Session: d.Int64(), Cxid: d.Int32(), Zxid: d.Int64(), TimeMs: d.Int64(), Type: Op(d.Int32())}
}

// AppendTxn appends a transaction as it stands in an entry of the log. Without a digest it is one as ZooKeeper before
// 3.6 wrote it, which ZooKeeper reads too.
func AppendTxn(b []byte, h TxnHeader, t Txn, digest *TxnDigest) []byte {
	b = h.Append(b)
	if t != nil {
		b = t.Append(b)
	}
	if digest != nil {
		b = digest.Append(b)
	}
	return b
}

// DecodeTxn reads an entry of a log. Its buffers alias b. The digest is nil if there is none; errors wrap ErrMalformed.
func DecodeTxn(b []byte) (TxnHeader, Txn, *TxnDigest, error) {
	d := NewDecoder(b)
	h := d.TxnHeader()
	if err := d.Err(); err != nil {
		return h, nil, nil, fmt.Errorf("transaction's header: %w", err)
	}
	body := d.Rest()
	t := d.txn(h.Type)
	if d.Err() != nil {
		switch {
		case h.Type == OpCreate: // of ZooKeeper 3.3: without the parent's version at the end
			v0 := NewDecoder(body)
			c := &CreateTxn{Path: v0.String(), Data: v0.Buffer(), ACL: v0.ACLs(), Ephemeral: v0.Bool(), ParentCversion: -1}
			if v0.Err() == nil && v0.Left() == 0 {
				return h, c, nil, nil
			}
		case h.Type == OpCloseSession && len(body) == 0:
			return h, nil, nil, nil
		}
		return h, nil, nil, fmt.Errorf("transaction 0x%x of type %s: %w", h.Zxid, h.Type, d.Err())
	}
	if d.Left() < 12 {
		return h, t, nil, nil
	}
	return h, t, &TxnDigest{Version: d.Int32(), Tree: uint64(d.Int64())}, nil
}

func (d *Decoder) txn(op Op) Txn {
	switch op {
	case OpCreateSession:
		return &CreateSessionTxn{TimeoutMs: d.Int32()}
	case OpCloseSession:
		return &CloseSessionTxn{Paths: d.Strings()}
	case OpMulti:
		m := &MultiTxn{}
		for range d.count(8) {
			op, body := Op(d.Int32()), d.Buffer()
			sub := NewDecoder(body)
			p := TxnPart{Type: op, Txn: sub.txnPart(op)}
			if sub.Err() != nil {
				d.fail("part %d: %v", len(m.Parts), sub.Err())
			}
			if d.err != nil {
				return nil
			}
			m.Parts = append(m.Parts, p)
		}
		return m
	case OpSetACL:
		return &SetACLTxn{Path: d.String(), ACL: d.ACLs(), Version: d.Int32()}
	case OpReconfig:
		return &SetDataTxn{Path: d.String(), Data: d.Buffer(), Version: d.Int32()}
	}
	return d.txnPart(op)
}

// txnPart reads a transaction that may stand in a multi.
func (d *Decoder) txnPart(op Op) Txn {
	switch op {
	case OpCreate, OpCreate2:
		return &CreateTxn{Path: d.String(), Data: d.Buffer(), ACL: d.ACLs(), Ephemeral: d.Bool(), ParentCversion: d.Int32()}
	case OpCreateTTL:
		return &CreateTTLTxn{Path: d.String(), Data: d.Buffer(), ACL: d.ACLs(), ParentCversion: d.Int32(), TTLMs: d.Int64()}
	case OpCreateContainer:
		return &CreateContainerTxn{Path: d.String(), Data: d.Buffer(), ACL: d.ACLs(), ParentCversion: d.Int32()}
	case OpDelete, OpDeleteContainer:
		return &DeleteTxn{Path: d.String()}
	case OpSetData:
		return &SetDataTxn{Path: d.String(), Data: d.Buffer(), Version: d.Int32()}
	case OpCheck:
		return &CheckTxn{Path: d.String(), Version: d.Int32()}
	case OpError:
		return &ErrorTxn{Err: Code(d.Int32())}
	}
	d.fail("a transaction of the unknown type %s", op)
	return nil
}
