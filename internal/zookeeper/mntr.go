package zookeeper

import (
	"fmt"
	"strings"
	"time"
)

// wordMntr tells the figures that dashboards read, with ZooKeeper's names. What this server has nothing of (an ensemble,
// TLS, the stages of ZooKeeper's processing) is not listed, but for a few that are always asked for.
func (l *loop) wordMntr(_ *conn, b *strings.Builder) {
	s, counts := &l.s.counters, l.tree.Counts()
	open, most := descriptors()
	for _, m := range []struct {
		name  string
		value any
	}{
		{"version", fullVersion()},
		{"server_state", "standalone"},
		{"ephemerals_count", counts.Ephemerals},
		{"num_alive_connections", len(l.conns)},
		{"avg_latency", javaDouble(l.latency.average())},
		{"min_latency", l.latency.least()},
		{"max_latency", l.latency.max},
		{"outstanding_requests", l.s.gate.waiting()},
		{"znode_count", l.nodeCount()},
		{"watch_count", l.watches.Len()},
		{"global_sessions", counts.Sessions},
		{"local_sessions", 0},
		{"approximate_data_size", counts.DataBytes},
		{"packets_sent", s.sent.Load()},
		{"packets_received", s.received.Load()},
		{"last_client_response_size", l.sizes.last},
		{"min_client_response_size", l.sizes.min},
		{"max_client_response_size", l.sizes.max},
		{"connection_drop_probability", "0.0"},
		{"open_file_descriptor_count", open},
		{"max_file_descriptor_count", most},
		{"uptime", time.Since(l.s.started).Milliseconds()},
		{"auth_failed_count", s.authFailed.Load()},
		{"connection_rejected", s.rejected.Load()},
		{"connection_drop_count", s.dropped.Load()},
		{"connection_request_count", s.connects.Load()},
		{"connection_revalidate_count", s.revalidated.Load()},
		{"stale_sessions_expired", s.expired.Load()},
		{"bytes_received_count", s.receivedBytes.Load()},
		{"response_bytes", s.responseBytes.Load()},
		{"watch_bytes", s.watchBytes.Load()},
		{"digest_mismatches_count", s.digestMismatches.Load()},
		{"cnt_snapshottime", s.snapshots.Load()},
		{"unrecoverable_error_count", 0},
	} {
		fmt.Fprintf(b, "zk_%s\t%v\n", m.name, m.value)
	}
}
