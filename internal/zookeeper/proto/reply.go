package proto

import "fmt"

// Reply is the body of a reply.
type Reply interface {
	// Append appends the encoded body.
	Append(b []byte) []byte
}

type (
	// CreateReply answers create.
	CreateReply struct{ Path string }
	// Create2Reply answers create2, createContainer and createTTL.
	Create2Reply struct {
		Path string
		Stat Stat
	}
	// StatReply answers exists, setData and setACL.
	StatReply struct{ Stat Stat }
	// GetDataReply answers getData.
	GetDataReply struct {
		Data []byte
		Stat Stat
	}
	// GetACLReply answers getACL.
	GetACLReply struct {
		ACL  []ACL
		Stat Stat
	}
	// ChildrenReply answers getChildren, and getEphemerals with paths.
	ChildrenReply struct{ Children []string }
	// Children2Reply answers getChildren2.
	Children2Reply struct {
		Children []string
		Stat     Stat
	}
	// NumberReply answers getAllChildrenNumber; it is also the error code in the body of addWatch's reply.
	NumberReply struct{ Number int32 }
	// SyncReply answers sync.
	SyncReply struct{ Path string }
	// WhoAmIReply answers whoAmI: schemes and users.
	WhoAmIReply struct{ IDs []ID }
)

func (r *CreateReply) Append(b []byte) []byte   { return AppendString(b, r.Path) }
func (r *Create2Reply) Append(b []byte) []byte  { return r.Stat.Append(AppendString(b, r.Path)) }
func (r *StatReply) Append(b []byte) []byte     { return r.Stat.Append(b) }
func (r *GetDataReply) Append(b []byte) []byte  { return r.Stat.Append(AppendBuffer(b, r.Data)) }
func (r *GetACLReply) Append(b []byte) []byte   { return r.Stat.Append(AppendACLs(b, r.ACL)) }
func (r *ChildrenReply) Append(b []byte) []byte { return AppendStrings(b, r.Children) }
func (r *Children2Reply) Append(b []byte) []byte {
	return r.Stat.Append(AppendStrings(b, r.Children))
}
func (r *NumberReply) Append(b []byte) []byte { return AppendInt32(b, r.Number) }
func (r *SyncReply) Append(b []byte) []byte   { return AppendString(b, r.Path) }

func (r *WhoAmIReply) Append(b []byte) []byte {
	b = AppendInt32(b, int32(len(r.IDs)))
	for _, id := range r.IDs {
		b = AppendString(AppendString(b, id.Scheme), id.ID)
	}
	return b
}

// DecodeReply reads the body of a reply to a request of the type given. Operations whose reply has no body give nil.
func DecodeReply(op Op, body []byte) (Reply, error) {
	d := NewDecoder(body)
	r := d.reply(op)
	if err := d.Err(); err != nil {
		return nil, fmt.Errorf("reply to %s: %w", op, err)
	}
	return r, nil
}

func (d *Decoder) reply(op Op) Reply {
	switch op {
	case OpCreate:
		return &CreateReply{Path: d.String()}
	case OpCreate2, OpCreateContainer, OpCreateTTL:
		return &Create2Reply{Path: d.String(), Stat: d.Stat()}
	case OpExists, OpSetData, OpSetACL:
		return &StatReply{Stat: d.Stat()}
	case OpGetData:
		return &GetDataReply{Data: d.Buffer(), Stat: d.Stat()}
	case OpGetACL:
		return &GetACLReply{ACL: d.ACLs(), Stat: d.Stat()}
	case OpGetChildren, OpGetEphemerals:
		return &ChildrenReply{Children: d.Strings()}
	case OpGetChildren2:
		return &Children2Reply{Children: d.Strings(), Stat: d.Stat()}
	case OpGetAllChildrenNumber, OpAddWatch:
		return &NumberReply{Number: d.Int32()}
	case OpSync:
		return &SyncReply{Path: d.String()}
	case OpWhoAmI:
		r := &WhoAmIReply{}
		for range d.count(8) {
			r.IDs = append(r.IDs, ID{Scheme: d.String(), ID: d.String()})
		}
		return r
	case OpMulti, OpMultiRead:
		return d.multiReply()
	}
	return nil
}
