// Package coordinator is the shell that runs a pure state machine over one partition of an internal topic.
//
// A machine decides (event, now) -> (records, replies) and applies records to its state; it holds no clock, goroutine,
// socket or randomness. A [Shard] owns one machine and one event loop: it takes events in order, appends the records they
// lead to, and lets a reply go once everything it could have seen is committed. A [Runtime] keeps the shards of all the
// partitions this broker leads, loads a machine from the log on election and drops it on resignation.
//
// If an append fails, the shard is dropped and loaded again from the log: nothing is patched back. Whoever waited gets an
// error, and what a machine keeps outside the log (its soft state) is lost as in a failover.
package coordinator

import "errors"

// Log is the partition that a shard is kept in. The shard is its only writer apart from transaction markers.
type Log interface {
	// Append writes one or more record batches as the leader of leaderEpoch and returns the offset of the last record.
	Append(leaderEpoch int32, batch []byte) (lastOffset int64, err error)
	// AppendTransactional is Append of a batch of a producer's transaction. guard is what the partition gave when the
	// transaction's coordinator had agreed (KIP-890). An error that is a [Refused] says that nothing was written because of
	// what the producer is.
	AppendTransactional(leaderEpoch int32, batch []byte, guard uint64) (lastOffset int64, err error)
	// AppendMarker writes the end of a transaction. Errors as those of AppendTransactional.
	AppendMarker(leaderEpoch int32, m Marker) (lastOffset int64, err error)
	// Committed is the high watermark: the first offset that is not committed.
	Committed() int64
	// OnCommitted has f called, from any goroutine and with locks held, with each new high watermark. f must not block.
	// A later call replaces f; nil removes it.
	OnCommitted(f func(offset int64))
	// Read returns whole batches from the one that holds from, up to the log's end (not only what is committed): about
	// maxBytes, or one batch if that is larger, and nothing at the end of the log.
	Read(from int64, maxBytes int) ([]byte, error)
	StartOffset() int64
	EndOffset() int64
}

// Record is one record of the log. A nil Value is a tombstone.
type Record struct {
	Key, Value []byte
	// ProducerID and ProducerEpoch name the transaction that the record belongs to. ProducerID is NoProducer for a
	// record outside a transaction.
	ProducerID    int64
	ProducerEpoch int16
}

// NoProducer is the producer id of a record that no transaction wrote.
const NoProducer = -1

// Marker is the end of a transaction: a control batch. The last two fields are for the log alone, and zero in a marker that
// was read back.
type Marker struct {
	ProducerID         int64
	ProducerEpoch      int16
	Commit             bool
	CoordinatorEpoch   int32 // of the transaction's coordinator
	TransactionVersion int8  // KIP-1228
}

// Refused is an error of the log about one producer: its epoch is over, or its transaction. The shard goes on.
type Refused struct{ Err error }

func (r Refused) Error() string { return r.Err.Error() }

// Unwrap is the log's error.
func (r Refused) Unwrap() error { return r.Err }

// Token names a request that waits for its reply. The zero Token names nobody.
type Token uint64

// Reply answers the request that Token names.
type Reply[R any] struct {
	To   Token
	Body R
	// Early lets the reply go at once. Otherwise it waits until all that was appended before it is committed, its own
	// records among them, so that nobody acts on what a failover can take back.
	Early bool
}

// Effects is what a decision leads to: records to append, in order and all or nothing, and replies.
type Effects[R any] struct {
	Records []Record
	Replies []Reply[R]
	// Outgoing goes to Options.Outbox when everything decided so far is committed. What is not yet sent when a shard is
	// dropped is forgotten: a machine sends it anew when it is elected.
	Outgoing []R
	// Guard is for records of a transaction: see Log.AppendTransactional. They must all be of one producer.
	Guard uint64
	// Divisible allows the records to be appended in several batches if they do not fit into one, so that a failure can
	// leave some of them. It is meant for long runs of tombstones.
	Divisible bool
}

func (e *Effects[R]) reset() {
	clear(e.Records)
	clear(e.Replies)
	clear(e.Outgoing)
	e.Records, e.Replies, e.Outgoing, e.Guard, e.Divisible = e.Records[:0], e.Replies[:0], e.Outgoing[:0], 0, false
}

// Send hands body to Options.Outbox when everything decided so far is committed.
func (e *Effects[R]) Send(body R) { e.Outgoing = append(e.Outgoing, body) }

// Append adds a record.
func (e *Effects[R]) Append(r Record) { e.Records = append(e.Records, r) }

// Reply answers to when everything decided so far is committed.
func (e *Effects[R]) Reply(to Token, body R) {
	if to != 0 {
		e.Replies = append(e.Replies, Reply[R]{To: to, Body: body})
	}
}

// ReplyNow answers to without waiting for what is not committed yet.
func (e *Effects[R]) ReplyNow(to Token, body R) {
	if to != 0 {
		e.Replies = append(e.Replies, Reply[R]{To: to, Body: body, Early: true})
	}
}

// Machine is a replicated state machine: E are its events (requests), R its replies. All calls come from one goroutine.
// Times are milliseconds since the Unix epoch.
//
// Positions number what was applied; they grow with every Apply and Mark. Committed(p) says that all positions up to
// and including p are committed.
type Machine[E, R any] interface {
	// Apply takes one record in log order: a record of the last decision, or one that is read back while loading. Its
	// bytes belong to the caller: what is kept must be copied.
	Apply(position int64, r Record)
	// Mark ends a transaction.
	Mark(position int64, m Marker)
	Committed(position int64)
	// Elected ends loading: from now on decisions are asked for.
	Elected(now int64, out *Effects[R])
	// Decide takes one event. The shell applies the records of out before it asks for another decision.
	Decide(token Token, event E, now int64, out *Effects[R])
	// Deadline is the time of the earliest timer; ok is false without one.
	Deadline() (at int64, ok bool)
	// Tick fires the timers that are due at now: one call, one decision. If more are due, Deadline stays in the past.
	Tick(now int64, out *Effects[R])
}

var (
	// ErrNotCoordinator: this broker does not lead the partition, or stopped leading it.
	ErrNotCoordinator = errors.New("coordinator: not the coordinator of this partition")
	// ErrLoading: the partition is being read back; ask again soon.
	ErrLoading = errors.New("coordinator: loading")
	// ErrAppend: the decision could not be written; the shard loads again.
	ErrAppend = errors.New("coordinator: append failed")
	// ErrTimeout: the records were appended but not committed in time; they may still be.
	ErrTimeout = errors.New("coordinator: not committed in time")
)
