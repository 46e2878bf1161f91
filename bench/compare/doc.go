// Package compare measures gregor beside Apache Kafka in one run: each case on each server in turn, several times over,
// since a machine that others use too is not the same from one minute to the next. What is to be read are the ratios.
//
//	make bench-compare CASES='flush|small'
//
// It needs Java and Maven for Apache Kafka.
package compare
