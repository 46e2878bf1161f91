// Package nats starts a NATS server with JetStream and makes loads for it, in its text protocol. A stream with file storage
// stands for a partition. What a server acknowledges it has written to the file, without fsync, as Kafka has; with
// sync_interval: always it has called fsync.
package nats
