// Package peers is other messaging systems as servers of the harness, for the workloads that they have too: NATS JetStream
// and RabbitMQ, with quorum queues and with streams. None of their client libraries is used: see package drive.
//
// What is compared, and with which settings, stands in docs/performance.md.
package peers
