// Package harness measures servers beside each other: each case on each server in turn, several times over (A B A B),
// because a machine that others use too is not the same from one minute to the next. What is to be read are the ratios,
// to Apache Kafka and to the physical limit (package limit).
//
// A case says what is done, a server how it is started; a server that does not speak Kafka's protocol brings a driver of
// its own for the same workload. Only one server runs at a time: the others are stopped by SIGSTOP while one is measured.
// Before each run, memory is touched, because on a virtual machine the first write to a page that the host has not yet
// given costs many times what the next one does; after each run, what was written is deleted.
package harness
