// Package node puts one process's parts together: it reads what the directories and the configuration say, starts the
// journal, the controller, the logs, the replicas, the coordinators and the broker, in this order, and ends them in the
// opposite one. It is the only place that knows which concrete parts there are. Nothing in it is process-wide: two nodes
// run in one process.
package node
