// Package load makes work for a Kafka broker at next to no cost of its own, so that the broker is what is measured. A
// record batch is encoded once and sent again and again over raw connections; of a reply only the error code is looked
// at. It speaks versions that every Kafka of the last years has: Produce 8 and Fetch 11, which name topics.
package load
