package broker

import "gregor/internal/coordinator/group"

// groupCaller is who the group coordinator answers.
func (r *Request) groupCaller() group.Caller {
	return group.Caller{ClientID: r.ClientID, ClientHost: r.Conn.ClientHost(), Version: r.Version}
}

// groupOperations is what a client may do with a group, as the bit field of KIP-430: read, delete, describe, and describe
// and alter its configuration.
const groupOperations = 1<<3 | 1<<6 | 1<<8 | 1<<10 | 1<<11
