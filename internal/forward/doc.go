// Package forward is the way to the active controller, wherever it is. To who asks it looks like the controller itself.
//
// While this node is the active controller a request goes there directly. Otherwise it goes over one connection to the
// leader's controller listener: a client's request wrapped in an Envelope, which tells on whose behalf it comes (KIP-590),
// a broker's own requests (registration, heartbeat, AlterPartition and the like) as they are.
//
// A controller that is deposed, ends or stops answering is no error to who asks: the request waits for the next one and
// goes there, until its time is up. So a change may be made twice, by two controllers, of which the second refuses it (a
// topic that exists already); Apache Kafka's brokers do the same.
package forward
