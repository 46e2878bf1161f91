// Package zookeeper is a ZooKeeper server of its own, without an ensemble: ZooKeeper 3.8's client protocol over the pure
// tree of package tree, with ZooKeeper's files of package storage.
//
// One goroutine, the loop, decides and applies every request in the order in which the requests arrive, so that each
// sees what those before it did. What a client is told leaves in the same order, but not before the transactions that
// it could have seen are on disk: one fsync lets everything go that waited for it.
package zookeeper
