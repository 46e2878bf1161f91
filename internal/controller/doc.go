// Package controller is the single writer of the metadata log: the machine that decides what a request or the passing
// of time means for brokers, topics, leaders, ISRs and configurations, and the shell that runs it over a journal.
//
// machine (machine.go and one file per API) is pure: it is given state, an event and the time, and returns records and
// a reply. It holds no clock, file, goroutine or randomness. State is in two structs: hard, an image that the records
// of the log add up to, and soft, the brokers' heartbeats, which a failover loses: the new leader grants every broker a
// full session from the moment it takes over.
//
// What a partition's leader, ISR and eligible leader replicas become follows in one place, partitionChange, from what is
// wanted: who leaves, who comes in, which replicas there are to be, and from where a leader may come. Whoever wants a
// change (a fenced broker, AlterPartition, a reassignment, an election) says only that. See docs/decisions/0008.
//
// The shell (controller.go) is one goroutine. It appends what the machine decides, and lets the reply go when the
// records are committed and this node's parts have been told of them, so that a client that was told of its new topic
// finds it on this broker. The loader (loader.go) turns what is committed into images for the parts of the process.
package controller
