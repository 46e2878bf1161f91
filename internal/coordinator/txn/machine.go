package txn

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"maps"
	"slices"

	"gregor/internal/coordinator"
)

// Machine is the transaction coordinator of one partition of __transaction_state: a [coordinator.Machine].
//
// Its hard state, rebuilt from the log, is the stored part of each transaction; lastEpoch is soft. Which transactions are
// open or being ended follows from the stored states. Markers that are on their way are not its business: it sends all of a
// transaction's once, when the decision to end it is committed, and again when it is elected.
type Machine struct {
	config func() Config
	logger *slog.Logger

	txns    map[string]*transaction
	ongoing map[string]*transaction // those of txns in state Ongoing
	abortAt int64                   // when to look next for transactions that take too long; 0: not elected yet
	expire  expiry

	// Set while a decision is made.
	now int64
	out *coordinator.Effects[Reply]
}

// NewMachine makes the machine of an empty partition. config gives the current configuration; logger may be nil.
func NewMachine(config func() Config, logger *slog.Logger) *Machine {
	if logger == nil {
		logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	return &Machine{config: config, logger: logger, txns: map[string]*transaction{}, ongoing: map[string]*transaction{}}
}

// Apply takes a record of the log. One that cannot be read is skipped: refusing to load would take away every
// transactional id of the partition for the sake of one.
func (m *Machine) Apply(_ int64, r coordinator.Record) {
	id, s, err := decode(r.Key, r.Value)
	if err != nil {
		level := slog.LevelError
		if errors.Is(err, errUnknownKey) {
			level = slog.LevelWarn
		}
		m.logger.Log(context.Background(), level, "skipping a record of "+Topic, "error", err)
		return
	}
	if s == nil {
		delete(m.txns, id)
		delete(m.ongoing, id)
		return
	}
	t := m.txns[id]
	if t == nil {
		t = &transaction{id: id, lastEpoch: noProducerEpoch}
		m.txns[id] = t
	}
	t.stored = *s
	if s.state == Ongoing {
		m.ongoing[id] = t
	} else {
		delete(m.ongoing, id)
	}
}

// Mark does nothing: nobody writes to this log in transactions.
func (m *Machine) Mark(int64, coordinator.Marker) {}

// Committed does nothing: what waits for it is the shell's.
func (m *Machine) Committed(int64) {}

// Elected sends the markers of the transactions whose end was decided and not completed.
func (m *Machine) Elected(now int64, out *coordinator.Effects[Reply]) {
	c := m.config()
	m.abortAt, m.expire.at = now+c.AbortIntervalMs, now+c.ExpireIntervalMs
	for _, id := range slices.Sorted(maps.Keys(m.txns)) {
		if t := m.txns[id]; t.state.preparing() {
			t.sent = t.markers(id)
			out.Send(t.sent)
		}
	}
}

// Deadline is when the next look at all transactions is due.
func (m *Machine) Deadline() (int64, bool) { return min(m.abortAt, m.expire.at), m.abortAt != 0 }

// Tick looks for transactions that take too long, or for ids that are not used any more.
func (m *Machine) Tick(now int64, out *coordinator.Effects[Reply]) {
	m.now, m.out = now, out
	if m.abortAt <= now {
		m.abortTimedOut()
	} else {
		m.forgetUnused()
	}
	m.out = nil
}

// Decide answers a request.
func (m *Machine) Decide(t coordinator.Token, e Event, now int64, out *coordinator.Effects[Reply]) {
	m.now, m.out = now, out
	switch e := e.(type) {
	case *initProducer:
		m.initProducer(t, e)
	case *addPartitions:
		m.addPartitions(t, e)
	case *endTxn:
		m.endTxn(t, e)
	case *markersWritten:
		m.complete(t, e)
	case *describe:
		m.describe(t, e)
	case *list:
		m.list(t, e)
	default:
		panic("txn: unexpected event")
	}
	m.out = nil
}

// store appends the record of t's next state.
func (m *Machine) store(id string, s *stored) {
	m.out.Append(recordOf(id, s, m.config().TransactionVersion))
}
