package proto

// multiHeader precedes each part of a multi and of its reply; one that is done ends it.
type multiHeader struct {
	op   Op
	done bool
	err  int32
}

func (h multiHeader) append(b []byte) []byte {
	return AppendInt32(AppendBool(AppendInt32(b, int32(h.op)), h.done), h.err)
}

func (d *Decoder) multiHeader() multiHeader {
	return multiHeader{op: Op(d.Int32()), done: d.Bool(), err: d.Int32()}
}

var endOfMulti = multiHeader{op: -1, done: true, err: -1}

// reads says whether a part stands in a multiRead; a multi of both kinds is malformed (MultiOperationRecord).
func (o Op) reads() bool { return o == OpGetData || o == OpGetChildren }

func (d *Decoder) multi(op Op) *MultiRequest {
	m := &MultiRequest{Type: op}
	for d.err == nil {
		h := d.multiHeader()
		if d.err != nil || h.done {
			break
		}
		if h.op.reads() != (op == OpMultiRead) {
			d.fail("the operation %s in a %s", h.op, op)
			break
		}
		r := d.part(h.op)
		if c, ok := r.(*CreateRequest); ok && d.err == nil {
			c.settleType(d)
		}
		m.Ops = append(m.Ops, r)
	}
	return m
}

// settleType does what ZooKeeper does with a create in a multi: flags that nobody knows make the whole multi malformed,
// and a container or TTL mode makes the operation that of its mode whatever its header said (Op.Create).
func (r *CreateRequest) settleType(d *Decoder) {
	switch r.Flags {
	case ModePersistent, ModeEphemeral, ModePersistentSequential, ModeEphemeralSequential:
		if r.Type != OpCreate2 {
			r.Type = OpCreate
		}
	case ModeContainer:
		r.Type = OpCreateContainer
	case ModePersistentTTL, ModePersistentSequentialTTL:
		if r.Type != OpCreateTTL { // its TTL is missing
			d.fail("a create with the flags %d of a TTL node", r.Flags)
		}
	default:
		d.fail("a create with the unknown flags %d", r.Flags)
	}
}

// Append appends the multi.
func (r *MultiRequest) Append(b []byte) []byte {
	for _, op := range r.Ops {
		b = multiHeader{op: op.Op(), err: -1}.append(b)
		b = op.Append(b)
	}
	return endOfMulti.append(b)
}

// MultiReply answers a multi or a multiRead, part by part, in order.
type MultiReply struct{ Parts []MultiPart }

// MultiPart is the outcome of one part: its error, or its reply. In a multi that failed every part has an error: OK
// before the one that failed, RuntimeInconsistency after it.
type MultiPart struct {
	// Op is OpError for an error, OpCreate2 for every create that answers with a stat.
	Op    Op
	Err   Code
	Reply Reply // nil when there is nothing to say
}

// Append appends the reply.
func (r *MultiReply) Append(b []byte) []byte {
	for _, p := range r.Parts {
		b = multiHeader{op: p.Op, err: int32(p.Err)}.append(b)
		if p.Op == OpError {
			b = AppendInt32(b, int32(p.Err))
		} else if p.Reply != nil {
			b = p.Reply.Append(b)
		}
	}
	return endOfMulti.append(b)
}

func (d *Decoder) multiReply() *MultiReply {
	m := &MultiReply{}
	for d.err == nil {
		h := d.multiHeader()
		if d.err != nil || h.done {
			break
		}
		p := MultiPart{Op: h.op, Err: Code(h.err)}
		switch h.op {
		case OpError:
			p.Err = Code(d.Int32())
		case OpDelete, OpCheck:
		case OpCreate, OpCreate2, OpSetData, OpGetData, OpGetChildren:
			p.Reply = d.reply(h.op)
		default:
			d.fail("the operation %s in a multi's reply", h.op)
		}
		m.Parts = append(m.Parts, p)
	}
	return m
}
