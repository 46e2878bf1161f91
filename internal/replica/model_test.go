package replica

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"gregor/internal/log"
	"gregor/internal/metadata"
	"gregor/internal/record"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// model is a world in which everything happens by chance, and what must hold is looked at after every step: what is below
// any replica's high watermark never changes, high watermarks do not go back while a process runs, whoever is in the
// ISR has all that is committed, and in the end all logs are the same and hold what was acknowledged.
type model struct {
	*world
	rnd   *rand.Rand
	power bool // machines lose power, too; then flush.messages is 1

	links     map[[2]int32][]*exchange
	ghosts    []ghost // requests of connections that broke, still under way
	cutOff    map[[2]int32]bool
	isolated  map[int32]bool // from the controller
	next      int            // value
	committed []string       // by offset: what was below a high watermark
	acked     map[int64]string
	highest   map[int32]int64 // high watermark of each process
}

// exchange is a request and its response on a link.
type exchange struct {
	req  kmsg.Request
	resp kmsg.Response
}

type ghost struct {
	to  int32
	req kmsg.Request
}

func newModel(t *testing.T, seed uint64, power bool) *model {
	m := &model{
		world: newWorld(t, 1, 2, 3), rnd: rand.New(rand.NewPCG(seed, 0)), power: power,
		links: make(map[[2]int32][]*exchange), cutOff: make(map[[2]int32]bool), isolated: make(map[int32]bool),
		acked: make(map[int64]string), highest: make(map[int32]int64),
	}
	m.alterBy = func(id int32) (fail, lost bool) {
		return m.isolated[id] || m.rnd.IntN(5) == 0, m.rnd.IntN(8) == 0
	}
	m.lag = 4 * time.Second
	m.partitionMax = 100 // a batch at a time, so that a follower that lags catches up in many steps
	minISR, flush := fmt.Sprint(1+m.rnd.IntN(2)), "1"
	records := []metadata.Record{&metadata.ConfigRecord{ResourceType: int8(metadata.TopicConfig), ResourceName: "t", Name: "min.insync.replicas", Value: &minISR}}
	if power {
		records = append(records, &metadata.ConfigRecord{ResourceType: int8(metadata.TopicConfig), ResourceName: "t", Name: "flush.messages", Value: &flush})
	}
	m.publish(records...)
	m.topic("t", 1, 2, 3)
	return m
}

func (m *model) any() int32 { return int32(1 + m.rnd.IntN(3)) }

func (m *model) step() {
	switch n := m.rnd.IntN(1000); {
	case n < 120:
		m.append()
	case n < 350:
		m.send()
	case n < 550:
		m.serve()
	case n < 750:
		m.take()
	case n < 880:
		if b := m.brokers[m.any()]; b.up && b.seen < len(m.steps) && !m.isolated[b.id] {
			b.step()
		}
	case n < 930:
		m.clock = m.clock.Add(time.Duration(m.rnd.IntN(1500)) * time.Millisecond)
		if b := m.brokers[m.any()]; b.up {
			b.m.Tick()
		}
	case n < 936:
		m.breakLink(m.any(), m.any())
	case n < 944:
		link := [2]int32{m.any(), m.any()}
		m.cutOff[link] = !m.cutOff[link] && m.rnd.IntN(2) == 0
	case n < 952:
		id := m.any()
		m.isolated[id] = !m.isolated[id] && m.rnd.IntN(2) == 0
	case n < 957:
		m.down(m.any())
	case n < 980:
		m.comeBack(m.any())
	case n < 984:
		m.fenceOne(m.any())
	case n < 990:
		m.moveLeader()
	default:
		if len(m.ghosts) > 0 {
			g := m.ghosts[0]
			m.ghosts = m.ghosts[1:]
			if b := m.brokers[g.to]; b.up {
				b.m.Serve(g.req)
			}
		}
	}
}

// busy picks a link whose queue wants something.
func (m *model) busy(wants func(q []*exchange) bool) (link [2]int32, ok bool) {
	var all [][2]int32
	for _, from := range m.ids() {
		for _, to := range m.ids() {
			if l := [2]int32{from, to}; wants(m.links[l]) && !m.cutOff[l] {
				all = append(all, l)
			}
		}
	}
	if len(all) == 0 {
		return link, false
	}
	return all[m.rnd.IntN(len(all))], true
}

// append produces to a broker that believes to lead.
func (m *model) append() {
	b := m.brokers[m.any()]
	if !b.up {
		return
	}
	p, err := b.m.Partition("t", 0)
	if err != nil {
		return
	}
	build := record.NewBuilder(record.BuilderOptions{})
	first := m.next
	for range 1 + m.rnd.IntN(3) {
		build.Append(m.clock.UnixMilli(), nil, []byte(fmt.Sprint(m.next)))
		m.next++
	}
	info, err := p.Append(build.Build(), AcksAll, NoEpoch, log.Client)
	if err != nil {
		return
	}
	p.AwaitCommit(info.LastOffset, info.LeaderEpoch, func(err error) {
		if err != nil {
			return
		}
		for o := info.FirstOffset; o <= info.LastOffset; o++ {
			m.acked[o] = fmt.Sprintf("%d@%d", first+int(o-info.FirstOffset), info.LeaderEpoch)
		}
	})
}

func (m *model) send() {
	for range 4 {
		from, to := m.any(), m.any()
		link := [2]int32{from, to}
		if a := m.brokers[from]; from != to && a.up && !m.cutOff[link] {
			if req := a.m.NextFetch(to); req != nil {
				m.links[link] = append(m.links[link], &exchange{req: serialized(m.t, req)})
				return
			}
		}
	}
}

func unserved(q []*exchange) int {
	return slices.IndexFunc(q, func(e *exchange) bool { return e.resp == nil })
}

func (m *model) serve() {
	link, ok := m.busy(func(q []*exchange) bool { return unserved(q) >= 0 })
	if ok && m.brokers[link[1]].up {
		e := m.links[link][unserved(m.links[link])]
		e.resp = m.brokers[link[1]].m.Serve(e.req)
	}
}

func (m *model) take() {
	link, ok := m.busy(func(q []*exchange) bool { return len(q) > 0 && q[0].resp != nil })
	if !ok {
		return
	}
	e := m.links[link][0]
	m.links[link] = m.links[link][1:]
	if err := m.brokers[link[0]].m.TakeFetched(link[1], e.resp); err != nil {
		m.t.Fatal(err)
	}
}

// breakLink ends a connection; what was sent may still arrive.
func (m *model) breakLink(from, to int32) {
	link := [2]int32{from, to}
	for _, e := range m.links[link] {
		if e.resp == nil && m.rnd.IntN(2) == 0 {
			m.ghosts = append(m.ghosts, ghost{to, e.req})
		}
	}
	delete(m.links, link)
	if b := m.brokers[from]; b.up {
		b.m.FetchBroken(to)
	}
}

func (m *model) down(id int32) {
	b := m.brokers[id]
	if !b.up {
		return
	}
	for _, o := range m.ids() {
		m.breakLink(id, o)
		m.breakLink(o, id)
	}
	if m.power && m.rnd.IntN(2) == 0 {
		b.cut(m.rnd)
	} else {
		if m.rnd.IntN(2) == 0 {
			_ = b.dirs.Checkpoint()
		}
		b.kill()
	}
	delete(m.highest, id)
}

// comeBack starts a broker that is down, or has one that is fenced unfenced.
func (m *model) comeBack(id int32) {
	b := m.brokers[id]
	if !b.up {
		if !m.truth.Broker(id).Fenced {
			m.fence(id) // a new process registers: the one before is gone
		}
		b.start()
	} else if m.truth.Broker(id).Fenced {
		m.change(&metadata.BrokerRegistrationChangeRecord{BrokerID: id, BrokerEpoch: b.epoch, Fenced: -1})
	}
	m.revive()
}

// fenceOne fences a broker, dead or alive.
func (m *model) fenceOne(id int32) {
	if !m.truth.Broker(id).Fenced {
		m.fence(id)
	}
}

func (m *model) moveLeader() {
	p := m.truth.Topic("t").Partitions[0]
	id := p.ISR[m.rnd.IntN(len(p.ISR))]
	if p.Leader != metadata.NoLeader && !m.truth.Broker(id).Fenced {
		m.change(elect("t", id))
	}
}

// check looks at what must hold at any time.
func (m *model) check() {
	m.t.Helper()
	for _, id := range m.ids() {
		b := m.brokers[id]
		l := b.dirs.Get("t", 0)
		if !b.up || l == nil {
			continue
		}
		hw := l.HighWatermark()
		if hw < m.highest[id] {
			m.t.Fatalf("the high watermark of broker %d went from %d back to %d", id, m.highest[id], hw)
		}
		m.highest[id] = hw
		values := b.values("t")
		if int64(len(values)) != l.EndOffset() {
			m.t.Fatalf("broker %d has %d records up to offset %d", id, len(values), l.EndOffset())
		}
		for o, v := range values {
			switch {
			case o < len(m.committed) && int64(o) < hw && v != m.committed[o]:
				m.t.Fatalf("offset %d of broker %d is %s, below its high watermark %d; %s was committed", o, id, v, hw, m.committed[o])
			case o >= len(m.committed) && int64(o) < hw:
				m.committed = append(m.committed, v)
			}
		}
	}
	for o, v := range m.acked {
		if int64(len(m.committed)) <= o || m.committed[o] != v {
			m.t.Fatalf("%s was acknowledged at offset %d and is not what is committed", v, o)
		}
	}
	for _, id := range m.truth.Topic("t").Partitions[0].ISR {
		b := m.brokers[id]
		if !b.up {
			continue
		}
		values := b.values("t")
		if len(values) < len(m.committed) || !slices.Equal(values[:len(m.committed)], m.committed) {
			m.t.Fatalf("broker %d is in the ISR and has %v; committed is %v", id, values, m.committed)
		}
	}
}

// heal ends all faults, and looks whether everybody comes to the same.
func (m *model) heal() {
	m.t.Helper()
	m.cutOff, m.isolated, m.ghosts = make(map[[2]int32]bool), make(map[int32]bool), nil
	m.alterBy = nil
	for _, id := range m.ids() {
		for _, o := range m.ids() {
			m.breakLink(id, o)
		}
	}
	for _, id := range m.ids() {
		m.comeBack(id)
		m.comeBack(id)
	}
	m.partitionMax = 1 << 20
	m.settle()
	m.settle()
	m.check()
	p := m.truth.Topic("t").Partitions[0]
	if len(p.ISR) != 3 || p.Leader == metadata.NoLeader {
		m.t.Fatalf("in the end ISR %v, leader %d", p.ISR, p.Leader)
	}
	want := m.brokers[p.Leader].values("t")
	m.same("t", want, 1, 2, 3)
	if len(m.committed) != len(want) {
		m.t.Fatalf("%d of %d records are committed in the end", len(m.committed), len(want))
	}
}

func TestRandomHistories(t *testing.T) {
	seeds := 150
	if testing.Short() {
		seeds = 30
	}
	var acked, total int
	for seed := range seeds {
		for _, power := range []bool{false, true} {
			ok := t.Run(fmt.Sprintf("seed=%d,power=%v", seed, power), func(t *testing.T) {
				m := newModel(t, uint64(seed), power)
				for range 400 {
					m.step()
					m.check()
				}
				m.heal()
				acked += len(m.acked)
				total += m.next
			})
			if !ok {
				return
			}
		}
	}
	if acked < total/20 {
		t.Errorf("only %d of %d records were acknowledged: the histories test little", acked, total)
	}
	t.Logf("%d of %d records were acknowledged", acked, total)
}
