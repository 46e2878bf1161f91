// Package peer is a connection from this node to another: Kafka requests out, responses in, in order and pipelined. The
// Raft transport, observers of the metadata log, the forwarder, the fetchers of followers and the probes of dead brokers
// share it.
//
// A connection ends with its first error, and every request that waits is told; who uses one dials again. What a peer
// sends is not trusted: sizes are bounded, a response that does not fit its request ends the connection and nothing else.
package peer
