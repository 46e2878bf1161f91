package txn

import (
	"maps"
	"slices"
)

// atOnce bounds how much one decision of a round writes.
const atOnce = 500

// abortTimedOut aborts the transactions that have taken longer than their clients announced, in steps.
func (m *Machine) abortTimedOut() {
	m.out.Divisible = true
	for _, id := range slices.Sorted(maps.Keys(m.ongoing)) {
		t := m.ongoing[id]
		if t.startMs+int64(t.timeoutMs) >= m.now {
			continue
		}
		if len(m.out.Records) >= atOnce {
			return // and come back at once
		}
		m.logger.Info("a transaction takes too long and is aborted", "transactionalId", id, "producerId", t.producerID, "epoch", t.epoch,
			"timeoutMs", t.timeoutMs, "partitions", len(t.partitions))
		m.fence(t)
	}
	m.abortAt = m.now + m.config().AbortIntervalMs
}

// expiry is a round over all ids in search of those that nobody uses any more.
type expiry struct {
	at   int64
	rest []string // that the present round has still to look at
}

// forgetUnused removes ids that no producer has used for transactional.id.expiration.ms, in steps.
func (m *Machine) forgetUnused() {
	m.out.Divisible = true
	if len(m.expire.rest) == 0 {
		m.expire.rest = slices.Sorted(maps.Keys(m.txns))
	}
	oldest := m.now - m.config().IDExpirationMs
	for len(m.expire.rest) > 0 && len(m.out.Records) < atOnce {
		id := m.expire.rest[0]
		m.expire.rest = m.expire.rest[1:]
		if t := m.txns[id]; t != nil && t.state.mayExpire() && t.updateMs <= oldest {
			m.logger.Debug("a transactional id expires", "transactionalId", id)
			m.out.Append(tombstone(id))
		}
	}
	if len(m.expire.rest) == 0 {
		m.expire.at = m.now + m.config().ExpireIntervalMs
	}
}
