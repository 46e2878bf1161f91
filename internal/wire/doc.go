// Package wire is Kafka's framing around kmsg's message bodies: size-delimited frames with limits, request and response
// headers, a check of a request's shape before it is decoded, and the Fetch response whose records stay in their files.
//
// Nothing here trusts the peer: every length is compared with what has arrived before memory is taken for it.
package wire
