// Package zookeeper starts ZooKeeper servers for tests, ours or Apache's, and speaks their protocol byte by byte: with a
// codec of its own, so that a mistake in the server's does not cancel itself out, and with a way to write down all that a
// server says, so that two servers can be compared.
package zookeeper
