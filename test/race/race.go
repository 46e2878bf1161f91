//go:build race

// Package race tells tests whether the race detector watches.
package race

// Detector tells it. It makes a test some seven times slower.
const Detector = true
