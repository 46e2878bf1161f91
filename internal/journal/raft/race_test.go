//go:build race

package raft

// raceDetector tells whether the race detector watches, which makes a test some seven times slower.
const raceDetector = true
