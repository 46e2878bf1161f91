// Package faults runs a cluster of real processes under load, takes away processes and network links, heals them, and
// checks the whole history: every acknowledged record is there, none is there twice, the records of a producer are in
// order within a partition, and the consumer group has seen all of it.
//
// Another cluster is under transactions: records are copied from topic to topic, money is moved between accounts, some of
// it aborted on purpose. Whoever reads with read_committed sees every copy once and in order, and never half a transfer.
//
// Each process has a network namespace of its own. The links between them are TUN devices that all end in the test's own
// process, which carries the packets from one to the other, or late, or not at all (network.go). That needs Linux and
// the right to make namespaces: elsewhere the tests are skipped and say so.
package faults
