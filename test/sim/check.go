package sim

import (
	"hash/fnv"
	"slices"

	"gregor/internal/journal"
	"gregor/internal/log"
	"gregor/internal/metadata"
	"gregor/internal/record"
)

// checker knows everything that was promised so far, and compares it with what the nodes do, after every step.
//
//   - A batch of the metadata log that one node was handed is the one that every node is handed at that offset.
//   - An epoch of the metadata log has one leader, which knows all that was committed before.
//   - A leader epoch of a partition is led by one process, whose log has everything that was committed before.
//   - The high watermark of a replica never goes back, and below it all replicas have the same batches.
//   - Each member of the ISR, as the newest metadata says it, has what its leader calls committed.
//   - What was acknowledged with acks=all is committed, and on at least min.insync.replicas nodes.
//   - Two logs that have the same epoch at an offset have the same batches up to it.
//   - At the end, what was acknowledged is there once, in the order of its producer.
type checker struct {
	c *cluster

	metadata map[int64]metadataBatch // by offset
	frontier int64                   // next offset that nobody was handed yet
	leaders  map[int32]int32         // of the metadata log, by epoch
	image    *metadata.Image         // all that was committed

	partitions map[partitionKey]*partitionState
	order      []*partitionState // those of image, by name
	led        map[leadership]processKey
	acks       []ack // given in this step
}

type metadataBatch struct {
	last  int64
	epoch int32
	hash  uint64
}

type processKey struct {
	node int32
	run  int
}

type partitionKey struct {
	topic metadata.UUID
	index int32
}

type leadership struct {
	partitionKey
	epoch int32
}

// partitionState is what is known of one partition.
type partitionState struct {
	key       partitionKey
	topic     string
	committed []batchInfo
	acked     []ack
	deleted   int64           // below it nobody cares any more
	ends      map[int32]int64 // log ends of nodes that are down
}

// batchInfo is a batch as all replicas must have it.
type batchInfo struct {
	base, last int64
	epoch      int32
	crc        uint32
	producer   int64
	sequence   int32
}

func (p *partitionState) end() int64 {
	if len(p.committed) == 0 {
		return 0
	}
	return p.committed[len(p.committed)-1].last + 1
}

// owns tells whether a log is of this partition. One whose id was lost with the power belongs to who has its name.
func (p *partitionState) owns(l *log.Log) bool {
	id := metadata.UUID(l.TopicID())
	return id == p.key.topic || id.IsZero()
}

// find gives the committed batch that holds an offset.
func (p *partitionState) find(offset int64) (batchInfo, bool) {
	i, _ := slices.BinarySearchFunc(p.committed, offset, func(b batchInfo, offset int64) int {
		if b.last < offset {
			return -1
		}
		return 1
	})
	if i == len(p.committed) || p.committed[i].base > offset {
		return batchInfo{}, false
	}
	return p.committed[i], true
}

// ack is a batch that was acknowledged with acks=all.
type ack struct {
	key      partitionKey
	leader   int32
	base     int64
	last     int64
	epoch    int32 // of the leader that took it
	crc      uint32
	producer int64
	sequence int32
}

// view is what was seen of one process.
type view struct {
	metadata   int64 // last offset that its journal handed over
	partitions map[partitionKey]*replicaView
}

type replicaView struct {
	log           *log.Log
	highWatermark int64
	checked       int64 // everything below was compared
	leads         bool
	epoch         int32
}

func newChecker(c *cluster) *checker {
	return &checker{
		c: c, metadata: map[int64]metadataBatch{}, leaders: map[int32]int32{}, image: metadata.NewImage(clusterID),
		partitions: map[partitionKey]*partitionState{}, led: map[leadership]processKey{},
	}
}

func (k *checker) newView() *view {
	return &view{metadata: -1, partitions: map[partitionKey]*replicaView{}}
}

// metadataCommitted is told of each batch that a journal hands to its controller.
func (k *checker) metadataCommitted(p *process, b journal.Batch) {
	w := k.c.w
	h := fnv.New64a()
	for _, v := range b.Values {
		h.Write(v)
	}
	got := metadataBatch{b.LastOffset, b.Epoch, h.Sum64()}
	if w.log != nil {
		for i, v := range b.Values {
			if r, err := metadata.Parse(v); err == nil {
				w.tracef("node %d: %d: %s", p.n.id, b.Offset+int64(i), r.JSON())
			}
		}
	}
	w.note(p.n.id, "metadata", b.Offset, b.LastOffset, int64(b.Epoch), int64(got.hash))
	if b.Offset != p.view.metadata+1 {
		w.failf("node %d is handed offset %d of the metadata log after %d", p.n.id, b.Offset, p.view.metadata)
	}
	p.view.metadata = b.LastOffset
	want, known := k.metadata[b.Offset]
	switch {
	case known && got != want:
		w.failf("node %d is handed another batch at offset %d of the metadata log: %+v, others %+v", p.n.id, b.Offset, got, want)
	case !known && b.Offset != k.frontier:
		w.failf("node %d is handed offset %d of the metadata log, where others had none: they are at %d", p.n.id, b.Offset, k.frontier)
	case !known:
		k.metadata[b.Offset] = got
		k.frontier = b.LastOffset + 1
		k.apply(b)
	}
}

// apply brings the image of all that was committed up to date.
func (k *checker) apply(b journal.Batch) {
	delta := metadata.NewDelta(k.image)
	for _, v := range b.Values {
		r, err := metadata.Parse(v)
		if err == nil {
			switch r.Record.(type) {
			case *metadata.BeginTransactionRecord, *metadata.EndTransactionRecord:
			default:
				err = delta.Apply(r.Record)
			}
		}
		if err != nil {
			k.c.w.failf("metadata at offset %d: %v", b.Offset, err)
			return
		}
	}
	k.image = delta.Image(b.LastOffset, b.Epoch)
	if delta.IsEmpty() {
		return
	}
	k.order = k.order[:0]
	for t := range k.image.Topics() {
		for i := range t.Partitions {
			key := partitionKey{t.ID, int32(i)}
			s := k.partitions[key]
			if s == nil {
				s = &partitionState{key: key, topic: t.Name, ends: map[int32]int64{}}
				k.partitions[key] = s
			}
			k.order = append(k.order, s)
		}
	}
	for _, s := range k.order {
		k.isr(s)
	}
}

func (k *checker) controllerLeads(p *process, epoch int32, next int64) {
	w := k.c.w
	w.note(p.n.id, "leads the metadata", int64(epoch), next)
	if other, ok := k.leaders[epoch]; ok && other != p.n.id {
		w.failf("nodes %d and %d both lead the metadata log in epoch %d", other, p.n.id, epoch)
	}
	k.leaders[epoch] = p.n.id
	// It may have been deposed without knowing, so there may be more, but of later epochs.
	for at := next; at < k.frontier; at = k.metadata[at].last + 1 {
		if b := k.metadata[at]; b.epoch <= epoch {
			w.failf("node %d leads the metadata log in epoch %d from offset %d, but offset %d of epoch %d is committed", p.n.id, epoch, next, at, b.epoch)
			return
		}
	}
}

// after looks at a process that has just done something.
func (k *checker) after(p *process) {
	if p.dirs == nil {
		return
	}
	p.n.disk.quiet = true
	defer func() { p.n.disk.quiet = false }()
	for _, s := range k.order {
		k.look(p, s)
	}
	acks := k.acks
	k.acks = nil
	for _, a := range acks {
		k.ackedNow(a)
	}
}

func (k *checker) look(p *process, s *partitionState) {
	w := k.c.w
	part, err := p.repl.PartitionByID(s.key.topic, s.key.index)
	if err != nil || part.Log() == nil {
		return
	}
	l := part.Log()
	v := p.view.partitions[s.key]
	if v == nil || v.log != l {
		v = &replicaView{log: l, epoch: -1, highWatermark: l.StartOffset()}
		v.checked = v.highWatermark
		p.view.partitions[s.key] = v
	}
	leads := part.ISR() != nil
	if _, epoch := part.Leader(); leads && (!v.leads || epoch != v.epoch) {
		v.epoch = epoch
		k.leadsNow(p, s, l, epoch)
	}
	v.leads = leads
	hw := l.HighWatermark()
	if hw == v.highWatermark {
		return
	}
	w.note(p.n.id, "high watermark "+s.topic, int64(s.key.index), hw)
	regaining := p.lossy && !k.inSync(s, p.n.id)
	if hw < v.highWatermark && !regaining {
		w.failf("the high watermark of %s-%d on node %d went back from %d to %d", s.topic, s.key.index, p.n.id, v.highWatermark, hw)
		return
	}
	v.highWatermark = hw
	if regaining {
		// The high watermark's file was on disk, the records were not: what is there may be a mixture of old and new ones,
		// and is until a leader has cut it off. It is looked at once the node is in sync.
		return
	}
	k.compare(p, s, v, hw, leads)
	if leads {
		k.isr(s)
	}
}

// inSync reports whether a node is in the ISR, by the newest metadata.
func (k *checker) inSync(s *partitionState, id int32) bool {
	t := k.image.TopicByID(s.key.topic)
	return t != nil && slices.Contains(t.Partitions[s.key.index].ISR, id)
}

// leadsNow checks a new leadership.
func (k *checker) leadsNow(p *process, s *partitionState, l *log.Log, epoch int32) {
	w := k.c.w
	w.note(p.n.id, "leads "+s.topic, int64(s.key.index), int64(epoch), l.EndOffset())
	me, at := processKey{p.n.id, p.run}, leadership{s.key, epoch}
	if other, ok := k.led[at]; ok && other != me {
		w.failf("%s-%d is led in epoch %d by node %d (run %d) and by node %d (run %d)", s.topic, s.key.index, epoch, other.node, other.run, me.node, me.run)
	}
	k.led[at] = me
	// One that learns late of its leadership may lack what was committed by a later leader. Nobody follows it.
	if t := k.image.TopicByID(s.key.topic); t == nil || t.Partitions[s.key.index].LeaderEpoch > epoch {
		return
	}
	if end := l.EndOffset(); end < s.end() {
		w.failf("node %d leads %s-%d in epoch %d with a log up to %d, but it was committed up to %d", p.n.id, s.topic, s.key.index, epoch, end, s.end())
		return
	}
	list, err := batches(l, l.StartOffset(), s.end())
	if err != nil {
		w.failf("node %d: %v", p.n.id, err)
		return
	}
	k.same(p, s, list, l.StartOffset())
}

// compare checks what came below a replica's high watermark, and notes it as committed if that is news.
func (k *checker) compare(p *process, s *partitionState, v *replicaView, hw int64, leads bool) {
	w := k.c.w
	from := max(v.checked, v.log.StartOffset())
	list, err := batches(v.log, from, hw)
	if err != nil {
		w.failf("node %d: %v", p.n.id, err)
		return
	}
	if n := len(list); n > 0 {
		v.checked = list[n-1].last + 1
	}
	for len(list) > 0 && leads && list[len(list)-1].base >= s.end() {
		news := slices.IndexFunc(list, func(b batchInfo) bool { return b.base >= s.end() })
		if list[news].base != s.end() {
			w.failf("%s-%d on node %d: a batch begins at %d, it is committed up to %d", s.topic, s.key.index, p.n.id, list[news].base, s.end())
			return
		}
		s.committed = append(s.committed, list[news:]...)
		list = list[:news]
	}
	k.same(p, s, list, from)
	if hw > s.end() {
		w.failf("node %d has %d as the high watermark of %s-%d, but no leader had more than %d", p.n.id, hw, s.topic, s.key.index, s.end())
	}
}

// same compares batches with the committed ones.
func (k *checker) same(p *process, s *partitionState, list []batchInfo, from int64) {
	for _, b := range list {
		// A leader that has deleted where an epoch ends cannot tell a follower more than where its log starts. What the
		// follower has below that is deleted there, too, but comes back if it loses its log start in a crash.
		if b.last < s.deleted {
			from = max(from, b.last+1)
			continue
		}
		want, ok := s.find(b.base)
		if !ok || want != b {
			k.c.w.failf("%s-%d on node %d has %+v, committed is %+v", s.topic, s.key.index, p.n.id, b, want)
			return
		}
		if from < b.base {
			k.c.w.failf("%s-%d on node %d has nothing at %d", s.topic, s.key.index, p.n.id, from)
			return
		}
		from = b.last + 1
	}
}

// isr checks that who is in the ISR, by the newest metadata, has what the leader of that epoch calls committed.
func (k *checker) isr(s *partitionState) {
	t := k.image.TopicByID(s.key.topic)
	if t == nil || int(s.key.index) >= len(t.Partitions) {
		return
	}
	mp := t.Partitions[s.key.index]
	if mp.Leader < 1 {
		return
	}
	leader := k.c.nodes[mp.Leader-1].proc
	if leader == nil {
		return
	}
	v := leader.view.partitions[s.key]
	if v == nil || !v.leads || v.epoch != mp.LeaderEpoch {
		return
	}
	hw := v.log.HighWatermark()
	for _, id := range mp.ISR {
		if n := k.c.nodes[id-1]; n.lossy {
			if n.proc == nil || n.proc.reg == nil || !n.proc.reg.known(k.image) {
				continue
			}
			n.lossy = false // who keeps it in an ISR from now on is wrong
		}
		if end, ok := k.logEnd(s, id); ok && end < hw {
			k.c.w.failf("node %d is in the ISR of %s-%d with a log up to %d, but node %d, the leader, has committed up to %d", id, s.topic, s.key.index, end, mp.Leader, hw)
		}
	}
}

// logEnd is where a node's copy of a partition ends, up or down.
func (k *checker) logEnd(s *partitionState, id int32) (int64, bool) {
	p := k.c.nodes[id-1].proc
	if p == nil || p.dirs == nil {
		end, ok := s.ends[id]
		return end, ok
	}
	l := p.dirs.Get(s.topic, s.key.index)
	if l == nil || !s.owns(l) {
		return 0, false
	}
	return l.EndOffset(), true
}

// gone notes where the logs of a process end.
func (k *checker) gone(p *process) {
	for _, s := range k.order {
		if p.dirs == nil {
			continue // it died while it read its logs: they are as they were
		}
		delete(s.ends, p.n.id)
		if end, ok := k.logEnd(s, p.n.id); ok {
			s.ends[p.n.id] = end
		}
	}
}

// acked is called at the moment when a leader answers a produce request with acks=all.
func (k *checker) acked(a ack) { k.acks = append(k.acks, a) }

func (k *checker) ackedNow(a ack) {
	w, s := k.c.w, k.partitions[a.key]
	w.note(a.leader, "acks "+s.topic, int64(s.key.index), a.base, a.producer, int64(a.sequence))
	b, ok := s.find(a.base)
	if !ok || b.base != a.base || b.crc != a.crc || b.last != a.last {
		w.failf("node %d acknowledges %+v of %s-%d; committed there is %+v", a.leader, a, s.topic, s.key.index, b)
		return
	}
	s.acked = append(s.acked, a)
	copies := 0
	for _, n := range k.c.nodes {
		if end, ok := k.logEnd(s, n.id); ok && end > a.last {
			copies++
		}
	}
	least := k.c.o.MinISR
	if k.c.o.Power == powerLost {
		least = min(least, 1) // one may have lost it since it told the leader
	}
	if copies < least {
		w.failf("node %d acknowledges offset %d of %s-%d, which %d nodes have", a.leader, a.base, s.topic, s.key.index, copies)
	}
}

// prefixes compares all logs of each partition with each other.
func (k *checker) prefixes() {
	for _, s := range k.order {
		var logs [][]batchInfo
		var of []int32
		for _, n := range k.c.nodes {
			if n.proc == nil || n.proc.dirs == nil {
				continue
			}
			l := n.proc.dirs.Get(s.topic, s.key.index)
			if l == nil || !s.owns(l) {
				continue
			}
			n.disk.quiet = true
			defer func() { n.disk.quiet = false }()
			list, err := batches(l, l.StartOffset(), l.EndOffset())
			if err != nil {
				k.c.w.failf("node %d: %v", n.id, err)
				return
			}
			list = slices.DeleteFunc(list, func(b batchInfo) bool { return b.last < s.deleted }) // see same
			logs, of = append(logs, list), append(of, n.id)
		}
		for i := range logs {
			for j := range i {
				if a, b, ok := matches(logs[i], logs[j]); !ok {
					k.c.w.failf("the logs of %s-%d on nodes %d and %d differ before a batch that both have: %+v, %+v", s.topic, s.key.index, of[i], of[j], a, b)
				}
			}
		}
	}
}

// matches checks that two logs which have the same offset in the same epoch are the same up to there.
func matches(a, b []batchInfo) (x, y batchInfo, ok bool) {
	at := map[int64]int{}
	for j := range b {
		at[b[j].base] = j
	}
	for i := len(a) - 1; i >= 0; i-- {
		j, found := at[a[i].base]
		if !found || a[i].epoch != b[j].epoch {
			continue
		}
		for i >= 0 && j >= 0 {
			if a[i] != b[j] {
				return a[i], b[j], false
			}
			i, j = i-1, j-1
		}
		return x, y, true
	}
	return x, y, true
}

// batches reads the batches that hold offsets in [from, to).
func batches(l *log.Log, from, to int64) ([]batchInfo, error) {
	var list []batchInfo
	for from < to {
		s, err := l.Read(from, to, 1<<20, true)
		if err != nil {
			return nil, err
		}
		if s.Len() == 0 {
			return list, nil
		}
		raw, err := s.Bytes()
		s.Close()
		if err != nil {
			return nil, err
		}
		for len(raw) > 0 {
			b, rest, err := record.Next(raw)
			if err != nil {
				return nil, err
			}
			list = append(list, infoOf(b))
			from, raw = b.NextOffset(), rest
		}
	}
	return list, nil
}

func infoOf(b record.Batch) batchInfo {
	return batchInfo{b.BaseOffset(), b.LastOffset(), b.LeaderEpoch(), b.CRC(), b.ProducerID(), b.BaseSequence()}
}

// final looks at a cluster that had time to recover from everything.
func (k *checker) final() {
	k.prefixes()
	for _, s := range k.order {
		k.finalPartition(s)
		if k.c.w.err != nil {
			return
		}
	}
}

func (k *checker) finalPartition(s *partitionState) {
	w := k.c.w
	mp := k.image.TopicByID(s.key.topic).Partitions[s.key.index]
	if mp.Leader < 1 || len(mp.ISR) != len(mp.Replicas) {
		for _, id := range mp.Replicas {
			part, err := k.c.nodes[id-1].proc.repl.PartitionByID(s.key.topic, s.key.index)
			if err != nil || part.Log() == nil {
				w.tracef("node %d: %v, no log", id, err)
				continue
			}
			leader, epoch := part.Leader()
			w.tracef("node %d: leader %d, epoch %d, log %d to %d, high watermark %d, ISR %v", id, leader, epoch, part.Log().StartOffset(), part.Log().EndOffset(), part.Log().HighWatermark(), part.ISR())
		}
		w.failf("%s-%d has not recovered: %+v", s.topic, s.key.index, mp)
		return
	}
	for _, id := range mp.Replicas {
		part, err := k.c.nodes[id-1].proc.repl.PartitionByID(s.key.topic, s.key.index)
		if err != nil {
			w.failf("node %d has no replica of %s-%d: %v", id, s.topic, s.key.index, err)
			return
		}
		l := part.Log()
		if l.EndOffset() != s.end() || l.HighWatermark() != s.end() {
			w.failf("%s-%d is committed up to %d; node %d has it up to %d, high watermark %d", s.topic, s.key.index, s.end(), id, l.EndOffset(), l.HighWatermark())
			return
		}
	}
	for _, id := range mp.Replicas {
		p := k.c.nodes[id-1].proc
		l := p.dirs.Get(s.topic, s.key.index)
		list, err := batches(l, l.StartOffset(), s.end())
		if err != nil {
			w.failf("node %d: %v", id, err)
			return
		}
		k.same(p, s, list, l.StartOffset())
	}
	for _, a := range s.acked {
		if b, ok := s.find(a.base); !ok || b.crc != a.crc || b.base != a.base {
			w.failf("%s-%d: what was acknowledged is gone: %+v", s.topic, s.key.index, a)
			return
		}
	}
	if s.deleted > 0 {
		// A replica that started behind what was deleted knows nothing of producers that wrote only before: it takes a
		// repetition, or what comes behind something that was lost, for the first they write (as with Apache Kafka).
		return
	}
	next := map[int64]int32{}
	for _, b := range s.committed {
		if b.producer < 0 {
			continue
		}
		if b.sequence != next[b.producer] {
			w.failf("%s-%d: producer %d has sequence %d at offset %d, expected %d", s.topic, s.key.index, b.producer, b.sequence, b.base, next[b.producer])
			return
		}
		next[b.producer] = b.sequence + int32(b.last-b.base) + 1
	}
}

// read checks what a consumer was given.
func (k *checker) read(s *partitionState, raw []byte, from int64) (next int64) {
	for len(raw) > 0 {
		b, rest, err := record.Next(raw)
		if err != nil {
			k.c.w.failf("a consumer of %s-%d got at %d: %v", s.topic, s.key.index, from, err)
			return from
		}
		got := infoOf(b)
		if want, ok := s.find(from); !ok || want != got {
			k.c.w.failf("a consumer of %s-%d got %+v at %d, committed is %+v", s.topic, s.key.index, got, from, want)
			return from
		}
		from, raw = b.NextOffset(), rest
	}
	return from
}
