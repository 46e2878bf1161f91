package proto

import "fmt"

// Request is the body of a request.
type Request interface {
	// Op is the type that its header tells.
	Op() Op
	// Append appends the encoded body.
	Append(b []byte) []byte
}

// Flags of a create request (CreateMode).
const (
	ModePersistent              int32 = 0
	ModeEphemeral               int32 = 1
	ModePersistentSequential    int32 = 2
	ModeEphemeralSequential     int32 = 3
	ModeContainer               int32 = 4
	ModePersistentTTL           int32 = 5
	ModePersistentSequentialTTL int32 = 6
)

// Modes of addWatch (ZooDefs.AddWatchModes).
const (
	WatchPersistent          int32 = 0
	WatchPersistentRecursive int32 = 1
)

// Types of watches in checkWatches and removeWatches (Watcher.WatcherType).
const (
	WatcherChildren int32 = 1
	WatcherData     int32 = 2
	WatcherAny      int32 = 3
)

type (
	// CreateRequest is create, create2, createContainer or createTTL, as Type says.
	CreateRequest struct {
		Type  Op
		Path  string
		Data  []byte
		ACL   []ACL
		Flags int32
		TTLMs int64 // of createTTL
	}
	DeleteRequest struct {
		Path    string
		Version int32 // -1: any
	}
	ExistsRequest struct {
		Path  string
		Watch bool
	}
	GetDataRequest struct {
		Path  string
		Watch bool
	}
	SetDataRequest struct {
		Path    string
		Data    []byte
		Version int32 // -1: any
	}
	GetACLRequest struct{ Path string }
	SetACLRequest struct {
		Path    string
		ACL     []ACL
		Version int32 // of the ACL; -1: any
	}
	// GetChildrenRequest is getChildren or getChildren2, whose reply has a stat.
	GetChildrenRequest struct {
		Type  Op
		Path  string
		Watch bool
	}
	GetAllChildrenNumberRequest struct{ Path string }
	GetEphemeralsRequest        struct{ Prefix string }
	SyncRequest                 struct{ Path string }
	CheckRequest                struct {
		Path    string
		Version int32 // -1: any
	}
	// MultiRequest is multi, of writes and checks, or multiRead, of getData and getChildren.
	MultiRequest struct {
		Type Op
		Ops  []Request
	}
	AddWatchRequest struct {
		Path string
		Mode int32
	}
	// WatchesRequest is checkWatches or removeWatches.
	WatchesRequest struct {
		Type    Op
		Path    string
		Watcher int32 // WatcherChildren, WatcherData or WatcherAny
	}
	// SetWatchesRequest is setWatches or setWatches2, which also has persistent ones: what a client that comes back
	// still watches, and the last zxid that it has seen.
	SetWatchesRequest struct {
		Type                            Op
		RelativeZxid                    int64
		Data, Exist, Child              []string
		Persistent, PersistentRecursive []string
	}
	AuthRequest struct {
		Type   int32 // ignored
		Scheme string
		Auth   []byte
	}
	SASLRequest     struct{ Token []byte }
	WhoAmIRequest   struct{}
	PingRequest     struct{}
	ReconfigRequest struct {
		Joining, Leaving, NewMembers string
		CurConfigID                  int64
	}
	// CloseSessionRequest comes from a client, or from the server when a session expires.
	CloseSessionRequest struct{}
	// CreateSessionRequest is the server's own: it comes of a handshake.
	CreateSessionRequest struct{ TimeoutMs int32 }
	// DeleteContainerRequest is the server's own: an empty container, or a node past its TTL, is deleted.
	DeleteContainerRequest struct{ Path string }
)

func (r *CreateRequest) Op() Op                  { return r.Type }
func (*DeleteRequest) Op() Op                    { return OpDelete }
func (*ExistsRequest) Op() Op                    { return OpExists }
func (*GetDataRequest) Op() Op                   { return OpGetData }
func (*SetDataRequest) Op() Op                   { return OpSetData }
func (*GetACLRequest) Op() Op                    { return OpGetACL }
func (*SetACLRequest) Op() Op                    { return OpSetACL }
func (r *GetChildrenRequest) Op() Op             { return r.Type }
func (*GetAllChildrenNumberRequest) Op() Op      { return OpGetAllChildrenNumber }
func (*GetEphemeralsRequest) Op() Op             { return OpGetEphemerals }
func (*SyncRequest) Op() Op                      { return OpSync }
func (*CheckRequest) Op() Op                     { return OpCheck }
func (r *MultiRequest) Op() Op                   { return r.Type }
func (*AddWatchRequest) Op() Op                  { return OpAddWatch }
func (r *WatchesRequest) Op() Op                 { return r.Type }
func (r *SetWatchesRequest) Op() Op              { return r.Type }
func (*AuthRequest) Op() Op                      { return OpAuth }
func (*SASLRequest) Op() Op                      { return OpSASL }
func (*WhoAmIRequest) Op() Op                    { return OpWhoAmI }
func (*PingRequest) Op() Op                      { return OpPing }
func (*ReconfigRequest) Op() Op                  { return OpReconfig }
func (*CloseSessionRequest) Op() Op              { return OpCloseSession }
func (*CreateSessionRequest) Op() Op             { return OpCreateSession }
func (*DeleteContainerRequest) Op() Op           { return OpDeleteContainer }
func (r *ExistsRequest) Append(b []byte) []byte  { return AppendBool(AppendString(b, r.Path), r.Watch) }
func (r *GetDataRequest) Append(b []byte) []byte { return AppendBool(AppendString(b, r.Path), r.Watch) }
func (r *DeleteRequest) Append(b []byte) []byte {
	return AppendInt32(AppendString(b, r.Path), r.Version)
}

func (r *CreateRequest) Append(b []byte) []byte {
	b = AppendACLs(AppendBuffer(AppendString(b, r.Path), r.Data), r.ACL)
	b = AppendInt32(b, r.Flags)
	if r.Type == OpCreateTTL {
		b = AppendInt64(b, r.TTLMs)
	}
	return b
}

func (r *SetDataRequest) Append(b []byte) []byte {
	return AppendInt32(AppendBuffer(AppendString(b, r.Path), r.Data), r.Version)
}
func (r *GetACLRequest) Append(b []byte) []byte { return AppendString(b, r.Path) }

func (r *SetACLRequest) Append(b []byte) []byte {
	return AppendInt32(AppendACLs(AppendString(b, r.Path), r.ACL), r.Version)
}

func (r *GetChildrenRequest) Append(b []byte) []byte {
	return AppendBool(AppendString(b, r.Path), r.Watch)
}
func (r *GetAllChildrenNumberRequest) Append(b []byte) []byte { return AppendString(b, r.Path) }
func (r *GetEphemeralsRequest) Append(b []byte) []byte        { return AppendString(b, r.Prefix) }
func (r *SyncRequest) Append(b []byte) []byte                 { return AppendString(b, r.Path) }
func (r *CheckRequest) Append(b []byte) []byte {
	return AppendInt32(AppendString(b, r.Path), r.Version)
}
func (r *AddWatchRequest) Append(b []byte) []byte {
	return AppendInt32(AppendString(b, r.Path), r.Mode)
}
func (r *WatchesRequest) Append(b []byte) []byte {
	return AppendInt32(AppendString(b, r.Path), r.Watcher)
}

func (r *SetWatchesRequest) Append(b []byte) []byte {
	b = AppendStrings(AppendStrings(AppendStrings(AppendInt64(b, r.RelativeZxid), r.Data), r.Exist), r.Child)
	if r.Type == OpSetWatches2 {
		b = AppendStrings(AppendStrings(b, r.Persistent), r.PersistentRecursive)
	}
	return b
}

func (r *AuthRequest) Append(b []byte) []byte {
	return AppendBuffer(AppendString(AppendInt32(b, r.Type), r.Scheme), r.Auth)
}
func (r *SASLRequest) Append(b []byte) []byte            { return AppendBuffer(b, r.Token) }
func (*WhoAmIRequest) Append(b []byte) []byte            { return b }
func (*PingRequest) Append(b []byte) []byte              { return b }
func (*CloseSessionRequest) Append(b []byte) []byte      { return b }
func (r *CreateSessionRequest) Append(b []byte) []byte   { return AppendInt32(b, r.TimeoutMs) }
func (r *DeleteContainerRequest) Append(b []byte) []byte { return append(b, r.Path...) }

func (r *ReconfigRequest) Append(b []byte) []byte {
	b = AppendString(AppendString(AppendString(b, r.Joining), r.Leaving), r.NewMembers)
	return AppendInt64(b, r.CurConfigID)
}

// DecodeRequest reads the body of a client's request. An operation that a client may not ask for, or that nobody knows,
// is answered with Unimplemented (ZooKeeper then closes the connection); other errors wrap ErrMalformed, and their code
// is MarshallingError. Bytes after the request are ignored, as ZooKeeper ignores them.
func DecodeRequest(op Op, body []byte) (Request, error) {
	d := NewDecoder(body)
	var r Request
	switch op {
	case OpMulti, OpMultiRead:
		r = d.multi(op)
	case OpCreate, OpCreate2, OpCreateContainer, OpCreateTTL, OpDelete, OpSetData, OpCheck, OpGetData, OpGetChildren:
		r = d.part(op)
	case OpExists:
		r = &ExistsRequest{Path: d.Path(), Watch: d.Bool()}
	case OpGetACL:
		r = &GetACLRequest{Path: d.Path()}
	case OpSetACL:
		r = &SetACLRequest{Path: d.Path(), ACL: d.ACLs(), Version: d.Int32()}
	case OpGetChildren2:
		r = &GetChildrenRequest{Type: op, Path: d.Path(), Watch: d.Bool()}
	case OpGetAllChildrenNumber:
		r = &GetAllChildrenNumberRequest{Path: d.Path()}
	case OpGetEphemerals:
		r = &GetEphemeralsRequest{Prefix: d.String()}
	case OpSync:
		r = &SyncRequest{Path: d.String()}
	case OpAddWatch:
		r = &AddWatchRequest{Path: d.Path(), Mode: d.Int32()}
	case OpCheckWatches, OpRemoveWatches:
		r = &WatchesRequest{Type: op, Path: d.Path(), Watcher: d.Int32()}
	case OpSetWatches:
		r = &SetWatchesRequest{Type: op, RelativeZxid: d.Int64(), Data: d.Strings(), Exist: d.Strings(), Child: d.Strings()}
	case OpSetWatches2:
		r = &SetWatchesRequest{Type: op, RelativeZxid: d.Int64(), Data: d.Strings(), Exist: d.Strings(), Child: d.Strings(),
			Persistent: d.Strings(), PersistentRecursive: d.Strings()}
	case OpAuth:
		r = &AuthRequest{Type: d.Int32(), Scheme: d.String(), Auth: d.Buffer()}
	case OpSASL:
		r = &SASLRequest{Token: d.Buffer()}
	case OpReconfig:
		r = &ReconfigRequest{Joining: d.String(), Leaving: d.String(), NewMembers: d.String(), CurConfigID: d.Int64()}
	case OpDeleteContainer: // ZooKeeper takes the path from the wrong bytes, and so refuses every one: so does an empty path
		r = &DeleteContainerRequest{}
	case OpWhoAmI:
		r = &WhoAmIRequest{}
	case OpPing:
		r = &PingRequest{}
	case OpCloseSession:
		r = &CloseSessionRequest{}
	default:
		return nil, fmt.Errorf("zookeeper: a request of the unknown type %d: %w", op, Unimplemented)
	}
	if err := d.Err(); err != nil {
		return nil, fmt.Errorf("%s: %w", op, err)
	}
	return r, nil
}

// part reads the body of a request that may stand in a multi or a multiRead.
func (d *Decoder) part(op Op) Request {
	switch op {
	case OpCreate, OpCreate2, OpCreateContainer:
		return &CreateRequest{Type: op, Path: d.Path(), Data: d.Buffer(), ACL: d.ACLs(), Flags: d.Int32()}
	case OpCreateTTL:
		return &CreateRequest{Type: op, Path: d.Path(), Data: d.Buffer(), ACL: d.ACLs(), Flags: d.Int32(), TTLMs: d.Int64()}
	case OpDelete:
		return &DeleteRequest{Path: d.Path(), Version: d.Int32()}
	case OpSetData:
		return &SetDataRequest{Path: d.Path(), Data: d.Buffer(), Version: d.Int32()}
	case OpCheck:
		return &CheckRequest{Path: d.Path(), Version: d.Int32()}
	case OpGetData:
		return &GetDataRequest{Path: d.Path(), Watch: d.Bool()}
	case OpGetChildren:
		return &GetChildrenRequest{Type: op, Path: d.Path(), Watch: d.Bool()}
	}
	d.fail("the operation %s in a multi", op)
	return nil
}
