// Package rabbitmq starts RabbitMQ and makes loads for it: for quorum queues in AMQP 0-9-1 with publisher confirms, and for
// streams in the stream protocol. A queue, or a stream, stands for a partition.
//
// What a quorum queue confirms is in its log with fsync (many messages have one in common); what a stream confirms has been
// written to the file, without fsync, as Kafka has.
package rabbitmq
