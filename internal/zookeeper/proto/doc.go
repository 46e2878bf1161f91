// Package proto is ZooKeeper's client protocol (3.8) and the transactions of its files: jute, ZooKeeper's encoding of
// records, with every request, reply, event and transaction as a plain struct.
//
// What is decoded is bounded by the bytes at hand: a length over what is left is an error before anything is
// allocated. Byte fields of what was decoded alias the bytes given; strings are copies.
//
// Source: zookeeper.jute, ZooDefs.java, KeeperException.java, MultiOperationRecord.java, SerializeUtils.java of Apache
// ZooKeeper 3.8.
package proto
