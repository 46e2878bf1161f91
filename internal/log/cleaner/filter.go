package cleaner

import (
	"fmt"

	"gregor/internal/record"
)

// Producer is what the log knows of a producer that may still write: its last batch is kept.
type Producer struct {
	Epoch      int16
	LastOffset int64 // of its last batch of data; -1 if there is none, then its last marker is kept
}

// Filter decides what is left of each batch of a log, which come in their order from the log's beginning on.
type Filter struct {
	Map          *OffsetMap
	Transactions *Transactions
	Producers    map[int64]Producer // by id

	NowMs             int64
	DeleteRetentionMs int64 // delete.retention.ms: how long tombstones and markers stay once they could go
	Level             int   // of compression; 0: the codec's default

	Stats Stats

	builder *record.Builder
	keep    []bool // of the records of the batch at hand
}

// Stats counts what a cleaning did.
type Stats struct {
	ReadRecords, KeptRecords int64
	InvalidRecords           int64 // without a key
}

// Batch gives what is left of a batch: itself, a new one at the same offsets, which is valid until the next call, or nil. Error: what Batch.Records gives of a
// damaged one.
func (f *Filter) Batch(b record.Batch) (record.Batch, error) {
	discard, emptyMarker := false, false
	if b.IsControl() {
		ended, err := f.Transactions.Ended(b)
		if err != nil {
			return nil, err
		}
		// The marker of a transaction of which nothing is left gets a horizon first, like a tombstone: a reader that has seen
		// the records must be able to see what became of them.
		emptyMarker = ended
		discard = ended && b.HasDeleteHorizon() && b.BaseTimestamp() <= f.NowMs
	} else {
		discard = f.Transactions.RolledBack(b)
	}
	keepEmpty := b.HasProducerID() && f.lastOfProducer(b)
	if discard {
		f.Stats.ReadRecords += int64(max(b.NumRecords(), 0))
		if keepEmpty {
			return b.Emptied(), nil
		}
		return nil, nil
	}
	return f.rest(b, emptyMarker, keepEmpty)
}

// lastOfProducer tells of the batch that carries a producer's last sequence number, or its epoch.
func (f *Filter) lastOfProducer(b record.Batch) bool {
	p, known := f.Producers[b.ProducerID()]
	switch {
	case !known:
		return false
	case p.LastOffset >= 0:
		return b.LastOffset() == p.LastOffset
	}
	return b.IsControl() && b.ProducerEpoch() == p.Epoch
}

// rest looks at the records of a batch.
func (f *Filter) rest(b record.Batch, emptyMarker, keepEmpty bool) (record.Batch, error) {
	kept, tombstones, last := 0, false, b.BaseOffset()-1
	f.keep = f.keep[:0]
	for r, err := range b.Records() {
		if err != nil {
			return nil, err
		}
		if r.Offset <= last || r.Offset > b.LastOffset() {
			return nil, fmt.Errorf("%w: batch at offset %d: a record at %d after one at %d", record.ErrCorrupt, b.BaseOffset(), r.Offset, last)
		}
		last = r.Offset
		keep := b.IsControl() || f.keeps(b, &r)
		if keep {
			kept++
			tombstones = tombstones || r.Value == nil
		}
		f.keep = append(f.keep, keep)
	}
	read := len(f.keep)
	f.Stats.ReadRecords += int64(read)
	f.Stats.KeptRecords += int64(kept)
	newHorizon := (tombstones || emptyMarker) && !b.HasDeleteHorizon()
	switch {
	case kept == 0 && keepEmpty && read == 0:
		return b, nil
	case kept == 0 && keepEmpty:
		return b.Emptied(), nil
	case kept == 0:
		return nil, nil
	case kept == read && !newHorizon:
		return b, nil
	}
	return f.rebuild(b, newHorizon)
}

// keeps is the rule of compaction.
func (f *Filter) keeps(b record.Batch, r *record.Record) bool {
	if r.Offset > f.Map.LastOffset() {
		return true
	}
	if r.Key == nil {
		f.Stats.InvalidRecords++
		return false
	}
	if r.Offset < f.Map.Get(r.Key) {
		return false
	}
	return r.Value != nil || !b.HasDeleteHorizon() || f.NowMs < b.BaseTimestamp()
}

// rebuild makes a batch of the records that stay, with all else as it was. Its last offset stays too, for the sequence
// number of the last record follows from it.
func (f *Filter) rebuild(b record.Batch, newHorizon bool) (record.Batch, error) {
	o := record.BuilderOptions{BaseOffset: b.BaseOffset(), LeaderEpoch: b.LeaderEpoch(), Codec: b.Codec(), Level: f.Level,
		Transactional: b.IsTransactional(), Control: b.IsControl(), LogAppendTime: b.HasLogAppendTime(), LogAppendTimeMs: b.MaxTimestamp()}
	if b.HasProducerID() {
		o.Producer = &record.Producer{ID: b.ProducerID(), Epoch: b.ProducerEpoch(), BaseSequence: b.BaseSequence()}
	}
	switch {
	case newHorizon:
		o.DeleteHorizon, o.DeleteHorizonMs = true, f.NowMs+f.DeleteRetentionMs
	case b.HasDeleteHorizon():
		o.DeleteHorizon, o.DeleteHorizonMs = true, b.BaseTimestamp()
	}
	if f.builder == nil {
		f.builder = record.NewBuilder(o)
	} else {
		f.builder.Reset(o)
	}
	i := 0
	for r, err := range b.Records() {
		if err != nil {
			return nil, err
		}
		if f.keep[i] {
			f.builder.AppendRecord(r)
		}
		i++
	}
	f.builder.ReachTo(b.LastOffset())
	return f.builder.BuildShared(), nil
}
