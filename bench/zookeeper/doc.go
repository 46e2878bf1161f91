// Package zookeeper measures our ZooKeeper server beside Apache's in one run: each case on each server in turn, several
// times over, since a machine that others use too is not the same from one minute to the next. What is to be read are the
// ratios. Both servers sync every write before they answer it.
//
//	make bench-zookeeper
//
// It needs Java and Maven for Apache ZooKeeper.
package zookeeper
