package replica

import (
	"sync/atomic"

	"gregor/internal/log"
)

// ledLog is the log of a leader. It changes within a leader epoch when the replica moves to another log directory, with no
// append under way; a read of the old one gets log.ErrClosed.
type ledLog struct{ current atomic.Pointer[log.Log] }

func (l *ledLog) load() *log.Log     { return l.current.Load() }
func (l *ledLog) store(to *log.Log)  { l.current.Store(to) }
func (l *ledLog) StartOffset() int64 { return l.load().StartOffset() }
func (l *ledLog) EndOffset() int64   { return l.load().EndOffset() }

func (l *ledLog) HighWatermark() int64                     { return l.load().HighWatermark() }
func (l *ledLog) LastStableOffset() int64                  { return l.load().LastStableOffset() }
func (l *ledLog) SetHighWatermark(offset int64) bool       { return l.load().SetHighWatermark(offset) }
func (l *ledLog) EpochForOffset(offset int64) int32        { return l.load().EpochForOffset(offset) }
func (l *ledLog) Producers() []log.ProducerState           { return l.load().Producers() }
func (l *ledLog) BytesFrom(offset, limit int64) int64      { return l.load().BytesFrom(offset, limit) }
func (l *ledLog) EndOffsetForEpoch(e int32) (int32, int64) { return l.load().EndOffsetForEpoch(e) }

func (l *ledLog) AppendGuarded(records []byte, epoch int32, origin log.Origin, guard log.Guard) (log.AppendInfo, error) {
	return l.load().AppendGuarded(records, epoch, origin, guard)
}

func (l *ledLog) AppendMarker(m log.Marker, epoch int32) (log.AppendInfo, error) {
	return l.load().AppendMarker(m, epoch)
}

func (l *ledLog) StartVerification(id int64, epoch int16, sequence int32, adds bool) (log.Guard, error) {
	return l.load().StartVerification(id, epoch, sequence, adds)
}

func (l *ledLog) DeleteRecordsBefore(offset int64) (int64, error) {
	return l.load().DeleteRecordsBefore(offset)
}

func (l *ledLog) Read(offset, limit int64, maxBytes int, atLeastOne bool) (log.Slice, error) {
	return l.load().Read(offset, limit, maxBytes, atLeastOne)
}

func (l *ledLog) ReadCommitted(offset, limit int64, maxBytes int, atLeastOne bool) (log.Slice, []log.AbortedTxn, error) {
	return l.load().ReadCommitted(offset, limit, maxBytes, atLeastOne)
}
