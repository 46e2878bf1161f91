package coordinator

// replies are the requests of a shard that have no answer yet: those the machine still thinks about (a JoinGroup that
// waits for other members), and those whose answer waits for the high watermark.
type replies[R any] struct {
	last    Token
	waiting map[Token]func(R, error)
	held    []heldReply[R] // in the order of positions
	undue   int            // how many at the end of held have no deadline yet

	outgoing []outgoing[R] // in the order of positions
}

type outgoing[R any] struct {
	body     R
	position int64
}

// send has body go out once position is committed.
func (p *replies[R]) send(body R, position int64) {
	p.outgoing = append(p.outgoing, outgoing[R]{body, position})
}

type heldReply[R any] struct {
	done     func(R, error)
	body     R
	position int64
	dueMs    int64
}

// open names a request.
func (p *replies[R]) open(done func(R, error)) Token {
	if p.waiting == nil {
		p.waiting = make(map[Token]func(R, error))
	}
	p.last++
	p.waiting[p.last] = done
	return p.last
}

func (p *replies[R]) take(t Token) func(R, error) {
	done := p.waiting[t]
	if done == nil {
		panic("coordinator: a request was answered twice")
	}
	delete(p.waiting, t)
	return done
}

// settle answers now.
func (p *replies[R]) settle(t Token, body R) { p.take(t)(body, nil) }

// fail answers now, with an error.
func (p *replies[R]) fail(t Token, err error) {
	var none R
	p.take(t)(none, err)
}

// hold answers once position is committed.
func (p *replies[R]) hold(t Token, body R, position int64) {
	p.held = append(p.held, heldReply[R]{done: p.take(t), body: body, position: position})
	p.undue++
}

// due sets the deadline of the replies held since the last call.
func (p *replies[R]) due(dueMs int64) {
	for i := len(p.held) - p.undue; i < len(p.held); i++ {
		p.held[i].dueMs = dueMs
	}
	p.undue = 0
}

// release answers what waited for positions up to and including committed, and sends what did.
func (p *replies[R]) release(committed int64, send func(R)) {
	n := 0
	for n < len(p.outgoing) && p.outgoing[n].position <= committed {
		send(p.outgoing[n].body)
		n++
	}
	if n > 0 {
		rest := copy(p.outgoing, p.outgoing[n:])
		clear(p.outgoing[rest:])
		p.outgoing = p.outgoing[:rest]
	}
	n = 0
	for n < len(p.held) && p.held[n].position <= committed {
		p.held[n].done(p.held[n].body, nil)
		n++
	}
	p.drop(n)
}

// expire gives up on what is due.
func (p *replies[R]) expire(now int64) {
	var none R
	n := 0
	for n < len(p.held) && p.held[n].dueMs <= now {
		p.held[n].done(none, ErrTimeout)
		n++
	}
	p.drop(n)
}

func (p *replies[R]) drop(n int) {
	if n == 0 {
		return
	}
	rest := copy(p.held, p.held[n:])
	clear(p.held[rest:])
	p.held = p.held[:rest]
}

func (p *replies[R]) nextDue() (int64, bool) {
	if len(p.held) == 0 {
		return 0, false
	}
	return p.held[0].dueMs, true
}

func (p *replies[R]) dropAll(err error) {
	var none R
	for _, h := range p.held {
		h.done(none, err)
	}
	for _, done := range p.waiting {
		done(none, err)
	}
	*p = replies[R]{last: p.last}
}
