package load

import "time"

// producer is a connection that writes.
type producer struct {
	work   *work
	stream *stream
	first  int // where it begins in its block
	sent   int
	due    queue // of the requests under way
}

// start sends the first window.
func (p *producer) start(_ *loop, now int64) error {
	if p.work.p.PerSecond > 0 {
		return nil
	}
	for range p.work.p.InFlight {
		if p.more() {
			p.send(now)
		}
	}
	return p.stream.push()
}

// more says whether there is a request after those that were sent.
func (p *producer) more() bool { return p.work.p.Count == 0 || p.sent < p.work.p.Count }

// send puts one more request in line.
func (p *producer) send(due int64) {
	p.sent++
	p.due.push(due)
	p.stream.left += p.stream.block.frame
}

// reply counts one, and puts the next request in line.
func (p *producer) reply(l *loop, head []byte, _ int, now int64) error {
	partition, offset, err := produced(head)
	if err != nil {
		return err
	}
	w := p.work
	due := p.due.pop()
	if counts := due >= l.measure && due < l.end; counts && (w.p.PerSecond > 0 || now < l.end) {
		w.made.Requests++
		recordTime(w.made.Latency, now-due)
		if w.track != nil {
			w.track[partition].acknowledged(offset, due, w.delivered)
		}
	} else if w.track != nil {
		w.track[partition].acknowledged(offset, due, nil)
	}
	if w.p.PerSecond == 0 && now < l.end && p.more() {
		p.send(now)
	} else if !p.more() && p.due.len() == 0 {
		l.open--
		w.made.Elapsed = time.Duration(min(now, l.end) - l.measure)
	}
	return nil
}

// overdue says how many requests have no reply.
func (p *producer) overdue() int { return p.due.len() }

// queue is first in, first out.
type queue struct {
	items []int64
	head  int
}

func (q *queue) push(v int64) { q.items = append(q.items, v) }

func (q *queue) len() int { return len(q.items) - q.head }

func (q *queue) pop() int64 {
	v := q.items[q.head]
	if q.head++; q.head == len(q.items) {
		q.items, q.head = q.items[:0], 0
	} else if q.head >= 1024 && q.head*2 >= len(q.items) {
		q.items = q.items[:copy(q.items, q.items[q.head:])]
		q.head = 0
	}
	return v
}
