// Package drive makes the loads of bench/load for servers that do not speak Kafka's protocol: NATS JetStream and RabbitMQ.
// A protocol brings a Writer, which sends requests that were encoded before the load begins, and counts what comes back; this
// package decides when one is sent. As in bench/load the protocols are written raw, so that the server is what is measured:
// a client library takes more processor time for a message than some of these servers do, on the same machine.
package drive
