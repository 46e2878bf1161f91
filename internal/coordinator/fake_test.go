package coordinator

import (
	"errors"
	"strconv"
	"sync"

	"gregor/internal/record"
)

// memoryLog is a Log in memory. Its high watermark follows its end unless held.
type memoryLog struct {
	mu        sync.Mutex
	batches   [][]byte
	start     int64
	end       int64
	committed int64
	held      bool
	failures  int // how many appends fail from now on
	appends   int
	listener  func(int64)
	reading   chan struct{} // if not nil, reads wait until it is closed
}

var (
	errDisk   = errors.New("disk on fire")
	errFenced = errors.New("producer fenced")
)

func (l *memoryLog) Append(epoch int32, batch []byte) (int64, error) {
	l.mu.Lock()
	l.appends++
	if l.failures > 0 {
		l.failures--
		l.mu.Unlock()
		return 0, errDisk
	}
	b := record.Batch(append([]byte(nil), batch...))
	b.SetBaseOffset(l.end)
	b.SetLeaderEpoch(epoch)
	l.batches = append(l.batches, b)
	l.end = b.NextOffset()
	last := l.end - 1
	held := l.held
	l.mu.Unlock()
	if !held {
		l.release()
	}
	return last, nil
}

// lastProducer is the id of a producer that memoryLog has no quarrel with; it refuses others.
const lastProducer = 99

func (l *memoryLog) AppendTransactional(epoch int32, batch []byte, guard uint64) (int64, error) {
	if record.Batch(batch).ProducerID() > lastProducer || guard == 0 {
		return 0, Refused{errFenced}
	}
	return l.Append(epoch, batch)
}

func (l *memoryLog) AppendMarker(epoch int32, m Marker) (int64, error) {
	if m.ProducerID > lastProducer {
		return 0, Refused{errFenced}
	}
	return l.Append(epoch, record.EndTxnBatch(m.ProducerID, m.ProducerEpoch, m.Commit, m.CoordinatorEpoch, 0))
}

// release commits what is there, and from now on all that comes.
func (l *memoryLog) release() {
	l.mu.Lock()
	l.held = false
	l.committed = l.end
	f, at := l.listener, l.committed
	l.mu.Unlock()
	if f != nil {
		f(at)
	}
}

func (l *memoryLog) hold() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.held = true
}

func (l *memoryLog) fail(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failures = n
}

func (l *memoryLog) OnCommitted(f func(int64)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.listener = f
}

func (l *memoryLog) Read(from int64, maxBytes int) ([]byte, error) {
	l.mu.Lock()
	wait := l.reading
	l.mu.Unlock()
	if wait != nil {
		<-wait
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []byte
	for _, b := range l.batches {
		if record.Batch(b).NextOffset() > from {
			if len(out) > 0 && len(out)+len(b) > maxBytes {
				break
			}
			out = append(out, b...)
		}
	}
	return out, nil
}

func (l *memoryLog) Committed() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.committed
}

func (l *memoryLog) StartOffset() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.start
}

func (l *memoryLog) EndOffset() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.end
}

func (l *memoryLog) appendCount() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.appends
}

// sum is a machine that adds numbers. Its log holds them; its soft state is who waits for a total.
type sum struct {
	total     int
	committed int   // the total as far as it is committed
	history   []int // total after each position
	waiting   map[Token]int
	timer     int64
	elected   bool
	txn       map[int64]int
}

// ask is an event of sum.
type ask struct {
	add       int // write a number and answer with the total, once committed
	read      bool
	wait      int // answer when the total has reached this
	after     int64
	many      int   // write that many ones, all or nothing
	divisible bool  // ... or in several batches
	txn       int64 // add in the transaction of this producer
	guard     uint64
	send      int // hand it to the outbox
}

func newSum(int32) Machine[ask, int] { return &sum{waiting: map[Token]int{}, txn: map[int64]int{}} }

func number(n int) Record {
	return Record{Key: []byte("n"), Value: []byte(strconv.Itoa(n)), ProducerID: NoProducer}
}

func (m *sum) Apply(position int64, r Record) {
	n, err := strconv.Atoi(string(r.Value))
	if err != nil {
		panic(err)
	}
	if r.ProducerID != NoProducer {
		m.txn[r.ProducerID] += n
		n = 0
	}
	m.step(position, n)
}

func (m *sum) step(position int64, n int) {
	if int(position) != len(m.history)+1 {
		panic("positions do not count")
	}
	m.total += n
	m.history = append(m.history, m.total)
}

func (m *sum) Mark(position int64, mark Marker) {
	n := 0
	if mark.Commit {
		n = m.txn[mark.ProducerID]
	}
	delete(m.txn, mark.ProducerID)
	m.step(position, n)
}

func (m *sum) Committed(position int64) { m.committed = m.history[position-1] }

func (m *sum) Elected(int64, *Effects[int]) { m.elected = true }

func (m *sum) Decide(t Token, e ask, now int64, out *Effects[int]) {
	if !m.elected {
		panic("asked before it was elected")
	}
	switch {
	case e.read:
		out.ReplyNow(t, m.committed)
	case e.wait > 0:
		m.waiting[t] = e.wait
	case e.after > 0:
		m.timer = now + e.after
		m.waiting[t] = 1 << 40
	case e.txn > 0:
		r := number(e.add)
		r.ProducerID, r.ProducerEpoch = e.txn, 3
		out.Append(r)
		out.Guard = e.guard
		out.Reply(t, e.add)
	case e.send > 0:
		out.Append(number(e.add))
		out.Send(e.send)
		out.Reply(t, m.total+e.add)
	case e.many > 0:
		for range e.many {
			out.Append(number(1))
		}
		out.Divisible = e.divisible
		out.Reply(t, m.total+e.many)
	default:
		out.Append(number(e.add))
		out.Reply(t, m.total+e.add)
		for w, at := range m.waiting {
			if m.total+e.add >= at {
				delete(m.waiting, w)
				out.Reply(w, m.total+e.add)
			}
		}
	}
}

func (m *sum) Deadline() (int64, bool) { return m.timer, m.timer != 0 }

func (m *sum) Tick(_ int64, out *Effects[int]) {
	m.timer = 0
	for w := range m.waiting {
		delete(m.waiting, w)
		out.Append(number(1000))
		out.Reply(w, m.total+1000)
	}
}
