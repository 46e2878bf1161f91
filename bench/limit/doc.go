// Package limit is the physical limit as a server: it speaks as much of Kafka's protocol as the load generator does
// (ApiVersions 0-3, Metadata 0-8, Produce 8, Fetch 11), and does only what cannot be avoided: of a produce request it
// checks the batch's checksum, puts the offset in and writes the bytes once; a fetch is one sendfile. It has no index, no
// recovery, no retention but by size, no groups, and trusts its clients. What a broker needs beyond it is what the broker
// could save.
package limit
