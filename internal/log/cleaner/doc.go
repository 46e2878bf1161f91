// Package cleaner is the part of compaction that knows records and no files: which offset each key has last, which
// transactions were aborted, and what is left of a batch. Package log reads the segments, writes the new ones and puts
// them in place.
//
// The rules are those of Apache Kafka's log cleaner: a record is kept if its key has no later one in the part of the log
// that the offset map was made of; a tombstone, and the marker of a transaction of which nothing else is left, stays until
// its delete horizon has passed (KIP-534); what an aborted transaction wrote goes; the last batch of a producer that may
// still write is kept without records, for its sequence number. Offsets never change.
package cleaner
