package cases

import h "gregor/bench/harness"

// Goals are what the figures are to reach, on two processors.
var Goals = []h.Goal{
	{Case: "large", What: "large batches", Figure: h.MBps, Against: h.ApacheName, Bound: 3, Says: "3x"},
	{Case: "large", What: "", Figure: h.CPUperGB, Against: h.ApacheName, Bound: 0.25, Says: "1/4"},
	{Case: "large", What: "", Figure: h.CPUperGB, Against: h.LimitName, Bound: 1.5, Says: "1.5x"},
	{Case: "small", What: "small requests", Figure: h.Requests, Against: h.ApacheName, Bound: 2, Says: "2x"},
	{Case: "fetch", What: "fetch", Figure: h.MBps, Against: h.LimitName, Bound: 0.95, Says: "0.95x"},
	{Case: "ack", What: "acknowledgement", Figure: h.P50, Against: h.ApacheName, Bound: 0.5, Says: "1/2"},
	{Case: "ack", What: "", Figure: h.P99, Against: h.ApacheName, Bound: 1.0 / 3, Says: "1/3"},
	{Case: "cluster-large", What: "three brokers, RF 3, acks=all", Figure: h.MBps, Against: h.ApacheName, Bound: 3, Says: "3x"},
	{Case: "flush", What: "flush before acknowledge", Figure: h.Requests, Against: h.ApacheName, Bound: 15, Says: "15x"},
	{Case: "flush", What: "", Figure: h.Requests, AgainstCase: "noflush", Bound: 0.8, Says: "0.8x"},
	{Case: "cluster-idle", What: "memory of a broker, idle", Figure: h.RSSMost, Bound: 40, Says: "40"},
	{Case: "cluster-large", What: "memory of a broker, under load", Figure: h.RSSMost, Bound: 100, Says: "100"},
	{Case: "start", What: "start to ready", Figure: h.Millis, Against: h.ApacheName, Bound: 0.05, Says: "1/20"},
	{Case: "partitions", What: "10,000 partitions: create", Figure: Create, Against: h.ApacheName, Bound: 0.5, Says: "1/2"},
	{Case: "partitions", What: "10,000 partitions: memory", Figure: h.RSS, Bound: 300, Says: "300"},
	{Case: "partitions-restart", What: "10,000 partitions: restart after kill -9", Figure: Serves, Bound: 3, Says: "3"},
	{Case: "list", What: "`kafka-topics.sh --list`", Figure: ScriptMs, Bound: 30, Says: "30"},
}
