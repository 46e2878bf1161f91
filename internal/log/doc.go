// Package log keeps one partition's records on disk, in Apache Kafka's directories and files: segments (.log) with their
// offset, time and transaction indexes, producer snapshots, leader epochs, partition metadata; and, for the log.dirs of
// a node, the lock, the checkpoints and the marker of a clean shutdown.
//
// Log is one partition. Its caller is the replica: it decides who may append, and moves the high watermark. Reads and
// appends may come from any goroutine; appends of one log exclude each other, reads wait for nobody. A Slice that Read
// returned keeps its file open, even a deleted one, until it is closed.
//
// Dirs is all the logs of one node, and the work in the background: flushing, retention, checkpoints, delayed deletion.
package log
