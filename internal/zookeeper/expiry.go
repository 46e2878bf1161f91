package zookeeper

// expiry says when sessions end, at multiples of a tick (class ExpiryQueue): a session that is heard of within the same
// tick again costs nothing. Times are milliseconds of any clock that does not go back.
type expiry struct {
	tickMs  int64
	next    int64 // the tick that is due next
	buckets map[int64]map[int64]struct{}
	at      map[int64]int64 // by session
}

func newExpiry(tickMs, nowMs int64) *expiry {
	e := &expiry{tickMs: tickMs, buckets: map[int64]map[int64]struct{}{}, at: map[int64]int64{}}
	e.next = e.round(nowMs)
	return e
}

// round gives the first tick after a time.
func (e *expiry) round(ms int64) int64 { return (ms/e.tickMs + 1) * e.tickMs }

// touch lets a session live for its timeout from now on.
func (e *expiry) touch(session, nowMs, timeoutMs int64) {
	due := e.round(nowMs + timeoutMs)
	old, known := e.at[session]
	if known && old == due {
		return
	}
	if known {
		e.take(session, old)
	}
	b := e.buckets[due]
	if b == nil {
		b = map[int64]struct{}{}
		e.buckets[due] = b
	}
	b[session] = struct{}{}
	e.at[session] = due
}

func (e *expiry) take(session, due int64) {
	b := e.buckets[due]
	delete(b, session)
	if len(b) == 0 {
		delete(e.buckets, due)
	}
}

// forget takes out a session that was closed.
func (e *expiry) forget(session int64) {
	if due, ok := e.at[session]; ok {
		e.take(session, due)
		delete(e.at, session)
	}
}

// due takes out the sessions whose time is over, and moves next on. If the caller comes more than a tick late, the
// process did not run: what clients sent meanwhile has not been read yet, so everybody gets the time back.
func (e *expiry) due(nowMs int64) (over []int64) {
	if late := nowMs - e.next; late > e.tickMs {
		e.shift(e.round(late))
	}
	for ; e.next <= nowMs; e.next += e.tickMs {
		for session := range e.buckets[e.next] {
			over = append(over, session)
			delete(e.at, session)
		}
		delete(e.buckets, e.next)
	}
	return over
}

func (e *expiry) shift(ms int64) {
	moved := make(map[int64]map[int64]struct{}, len(e.buckets))
	for due, b := range e.buckets {
		moved[due+ms] = b
	}
	for session := range e.at {
		e.at[session] += ms
	}
	e.buckets = moved
	e.next += ms
}
