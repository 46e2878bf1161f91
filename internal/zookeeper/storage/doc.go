// Package storage keeps a ZooKeeper server's transactions and snapshots on disk in ZooKeeper's own files, so that Apache
// ZooKeeper 3.8 opens our directories and we open its.
//
//	dataDir/version-2/snapshot.HEX      the tree while transaction HEX was the last; it may hold effects of later ones
//	dataLogDir/version-2/log.HEX        transactions from HEX on
//
// A log (class FileTxnLog) is a header of 16 bytes, "ZKLG", version 2 and a database id, and then of each transaction its
// Adler-32 as 8 bytes, its length as 4, its bytes, and a 'B'. The file grows by many megabytes ahead of what is written;
// what is zero behind the last transaction is its end.
//
// A snapshot (classes FileSnap, SnapStream) is "ZKSN", version 2 and a database id; the sessions with their timeouts; the
// lists of ACLs by number; the nodes, parents first, and "/" in the place of a path at their end; the Adler-32 of all that
// as 8 bytes, and "/"; and since 3.6 a digest of the tree, with another Adler-32 and "/". All numbers are big-endian.
//
// What is acknowledged was synced, and one sync does for all that wait. Storage that fails stays failed: after an fsync
// that failed nobody knows what is on disk, so the server has to end and read it again.
package storage
