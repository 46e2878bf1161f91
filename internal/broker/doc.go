// Package broker is the part of gregor that clients talk to: connections, the table of APIs, and one file for each API
// (NN_name.go, NN the API key).
//
// A connection has a reader and a writer goroutine. The reader decodes requests in order and calls their handlers in
// order; a handler answers at once or later, from any goroutine, by [Request.Reply]. The writer sends the replies in the
// order of the requests. So a handler must not block for long: what waits (acks=all, a long poll, a join) is a callback.
package broker
