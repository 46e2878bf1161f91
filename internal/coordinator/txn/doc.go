// Package txn coordinates transactions: it gives transactional ids their producer ids and epochs, keeps which partitions a
// transaction has written to, and sees to it that each of them gets the marker that ends it. All of that is stored in
// __transaction_state in Kafka's record format.
//
// [Machine] is the pure machine over one partition; [Service] runs one for each partition that this broker leads, finds
// the partition of a transactional id, and sends the markers.
//
// A transaction that is to end is written down first (PrepareCommit, PrepareAbort). Once that is committed nothing can
// change its outcome: the client is answered, and the markers go out until every partition has its own or is deleted,
// from whichever broker is the coordinator by then. What is written last (CompleteCommit, CompleteAbort) lets the next
// transaction begin.
//
// With transactions version 2 (KIP-890) every end of a transaction raises the producer's epoch, so that nothing late of one
// transaction can get into the next.
package txn
