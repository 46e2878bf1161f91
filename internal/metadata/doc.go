// Package metadata holds what a cluster knows about itself: the records of the metadata log, the immutable Image that
// they add up to, and the Delta between two images.
//
// The records are generated from records.txt by the program in gen. Image and everything reachable from it is
// immutable: a reader may keep it for as long as it likes, and nobody may change a slice or map that it got from it.
package metadata

//go:generate go run ./gen -facts records.txt -out records_gen.go
