package replica

import (
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Remote is a connection to another broker's inter-broker listener. Requests go out in the order of the calls, and
// responses come in that order. Every done is called exactly once, on any goroutine, with an error once the connection is
// broken; it must return soon.
type Remote interface {
	// SendFetch sends a Fetch. The record bytes of the response are valid until release, which done's receiver calls once;
	// release is nil with an error.
	SendFetch(req *kmsg.FetchRequest, done func(resp *kmsg.FetchResponse, release func(), err error))
	// Send sends any other request.
	Send(req kmsg.Request, done func(kmsg.Response, error))
	Close()
}

// Fetching is how followers fetch: the replica.fetch.* keys.
type Fetching struct {
	Fetchers      int           // num.replica.fetchers: connections to one leader
	Wait          time.Duration // replica.fetch.wait.max.ms: a leader holds a fetch back so long
	MinBytes      int32         // replica.fetch.min.bytes
	MaxBytes      int32         // replica.fetch.response.max.bytes
	PartitionMax  int32         // replica.fetch.max.bytes, of one partition
	Backoff       time.Duration // replica.fetch.backoff.ms: the longest pause after a failure
	SocketTimeout time.Duration // replica.socket.timeout.ms: a leader that says nothing so long is given up
}

// DefaultFetching is Kafka's defaults.
func DefaultFetching() Fetching {
	return Fetching{Fetchers: 1, Wait: 500 * time.Millisecond, MinBytes: 1, MaxBytes: 10 << 20, PartitionMax: 1 << 20,
		Backoff: time.Second, SocketTimeout: 30 * time.Second}
}
