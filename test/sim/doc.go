// Package sim runs whole clusters of real controllers, brokers and replicas on a simulated network, clock and disk, in one
// goroutine and from one seed.
//
// What runs is the code of production: the Raft engine and the controller in their stepped form, the replica manager with
// its leaders, followers and fetchers, and logs on a file system in memory that forgets, on a loss of power, what was not
// synced. What is simulated is what lies between them: time, messages, requests and disks. The clients are models.
//
// Everything that happens comes from the queue of [World], in the order of time; whatever could go one way or the other is
// drawn from the seed: delays, losses, the order in which the parts of a process take their steps, faults. So a seed that
// fails fails again. checker (check.go) lists what must hold.
package sim
