package proto

// ConnectRequest is the first frame of a connection, without a header. SessionID 0 asks for a new session.
type ConnectRequest struct {
	ProtocolVersion int32
	LastZxidSeen    int64
	TimeoutMs       int32
	SessionID       int64
	Password        []byte
	ReadOnly        bool
	// HasReadOnly says that the client sent the flag: clients before 3.4 do not, and expect none in the reply.
	HasReadOnly bool
}

// DecodeConnectRequest reads a frame.
func DecodeConnectRequest(b []byte) (ConnectRequest, error) {
	d := NewDecoder(b)
	r := ConnectRequest{
		ProtocolVersion: d.Int32(), LastZxidSeen: d.Int64(), TimeoutMs: d.Int32(), SessionID: d.Int64(),
		Password: d.Buffer(),
	}
	if d.Err() == nil && d.Left() > 0 {
		r.HasReadOnly, r.ReadOnly = true, d.Bool()
	}
	return r, d.Err()
}

// Append appends the request.
func (r *ConnectRequest) Append(b []byte) []byte {
	b = AppendInt64(AppendInt32(b, r.ProtocolVersion), r.LastZxidSeen)
	b = AppendBuffer(AppendInt64(AppendInt32(b, r.TimeoutMs), r.SessionID), r.Password)
	if r.HasReadOnly {
		b = AppendBool(b, r.ReadOnly)
	}
	return b
}

// ConnectResponse answers it. SessionID 0 says that the session is gone: the client must begin a new one.
type ConnectResponse struct {
	ProtocolVersion int32
	TimeoutMs       int32
	SessionID       int64
	Password        []byte
	ReadOnly        bool
	HasReadOnly     bool // see ConnectRequest
}

// DecodeConnectResponse reads a frame.
func DecodeConnectResponse(b []byte) (ConnectResponse, error) {
	d := NewDecoder(b)
	r := ConnectResponse{ProtocolVersion: d.Int32(), TimeoutMs: d.Int32(), SessionID: d.Int64(), Password: d.Buffer()}
	if d.Err() == nil && d.Left() > 0 {
		r.HasReadOnly, r.ReadOnly = true, d.Bool()
	}
	return r, d.Err()
}

// Append appends the response.
func (r *ConnectResponse) Append(b []byte) []byte {
	b = AppendInt64(AppendInt32(AppendInt32(b, r.ProtocolVersion), r.TimeoutMs), r.SessionID)
	b = AppendBuffer(b, r.Password)
	if r.HasReadOnly {
		b = AppendBool(b, r.ReadOnly)
	}
	return b
}
