// Package zk keeps the metadata log in ZooKeeper: any ZooKeeper of version 3.5 or later, alone or an ensemble. Every
// broker is a member of the log, and any of them may lead.
//
// The log is a sequence of znodes below /gregor/log, and one znode, /gregor/head, says which of them count. Who writes
// moves the head in the same multi that checks its version and that of /controller_epoch, so what a deposed leader has
// still on its way fails as a whole. See docs/decisions/0015-metadata-in-zookeeper.md for the layout, the fencing and the
// limits.
//
// A Client is a connection that outlives sessions; an Engine is the journal over it. The znodes that people and tools
// look at, with the names and the JSON of Apache Kafka 3.9, are written by Client (cluster id, brokers), by Engine
// (controller and its epoch) and by Mirror (topics, configurations). Nothing but registrations and elections is read
// back from those.
package zk
