// Package replica keeps the partitions that this broker has replicas of: who leads them, their in-sync replicas and high
// watermark, and the requests that wait for either.
//
// [Manager] follows the metadata: it makes and deletes logs and gives each [Partition] its role. A partition's role is an
// immutable value that is swapped as a whole, so that a read never waits for an append; what moves within a leadership
// (followers' ends, the ISR, the queue of the high watermark) has a lock of its own in [leader].
//
// What happens between brokers is in machines without goroutines: [fetcher] makes the requests of a follower and takes
// the responses, [leader] moves the high watermark and wants changes of the ISR, [proposals] asks the controller for them.
// Thin loops drive them (fetchers.go, tick.go); of an Inline manager the caller does (stepped.go). docs/replication.md tells
// the story.
//
// Lock order: Manager.mu, Partition.roleMu, leader.mu, then the log's. Callbacks of waiters and acknowledgements are
// called with no lock held.
package replica
