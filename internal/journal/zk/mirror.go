package zk

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"gregor/internal/metadata"
)

// Mirror has Kafka 3.9's znodes follow the metadata, for people and tools: /brokers/topics, the states of partitions and
// /config. The active controller's is at work, the others wait. It writes under the fence of the journal's leader, on a
// goroutine of its own, and only the newest state counts; when it fails it warns, and tries again. Nothing reads what it
// writes but itself, once, when its node becomes the controller.
type Mirror struct {
	e      *Engine
	log    *slog.Logger
	ctx    context.Context
	cancel context.CancelFunc
	wake   chan struct{}
	done   chan struct{}

	mu      sync.Mutex // before Engine.mu
	image   *metadata.Image
	topics  map[string]struct{} // that changed since the goroutine took the image
	configs map[metadata.ConfigResource]struct{}
	settled *metadata.Image // newest image whose znodes are all written

	// What follows belongs to the goroutine.
	written *metadata.Image // what is in ZooKeeper; nil when that must be read
	under   *fence          // under which it was written
	warned  map[string]struct{}
}

var _ metadata.Publisher = (*Mirror)(nil)

// NewMirror starts a mirror. It must be closed before its engine.
func NewMirror(e *Engine) *Mirror {
	m := &Mirror{e: e, log: e.log, wake: make(chan struct{}, 1), done: make(chan struct{}), warned: map[string]struct{}{}}
	m.forgetChanges()
	m.ctx, m.cancel = context.WithCancel(context.Background())
	e.mu.Lock()
	e.onLead = append(e.onLead, m.signal)
	e.mu.Unlock()
	go m.run()
	return m
}

// Publish implements metadata.Publisher.
func (m *Mirror) Publish(delta *metadata.Delta, image *metadata.Image) {
	m.mu.Lock()
	m.image = image
	// Who does not lead begins by reading what there is, so it need not know what changed. The goroutine finds out that
	// this node leads before it takes the image, so either it takes this one or this finds out too.
	if m.e.leading() != nil {
		for t := range delta.Topics() {
			m.topics[t.Name()] = struct{}{}
		}
		for r := range delta.Configs() {
			m.configs[r] = struct{}{}
		}
	}
	m.mu.Unlock()
	m.signal()
}

// Close ends it.
func (m *Mirror) Close() {
	m.cancel()
	<-m.done
}

func (m *Mirror) signal() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// forgetChanges begins to collect changes anew. m.mu is held, or nobody else knows of m.
func (m *Mirror) forgetChanges() {
	m.topics, m.configs = map[string]struct{}{}, map[metadata.ConfigResource]struct{}{}
}

const maxMirrorPause = time.Minute

func (m *Mirror) run() {
	defer close(m.done)
	pause := time.Second
	for {
		select {
		case <-m.wake:
		case <-m.ctx.Done():
			return
		}
		err := m.step()
		switch {
		case err == nil:
			pause = time.Second
			continue
		case ended(err) || errors.Is(err, errLost):
			m.written = nil // Lead comes when this node leads again
			continue
		}
		m.written = nil
		m.log.Warn("Kafka's znodes in ZooKeeper do not follow the metadata; nothing but people and tools that look at them is affected", "error", err, "again_in", pause)
		select {
		case <-time.After(pause):
		case <-m.ctx.Done():
			return
		}
		pause = min(2*pause, maxMirrorPause)
		m.signal()
	}
}

// step writes what has changed.
func (m *Mirror) step() error {
	f := m.e.leading()
	if f == nil {
		m.written = nil
		return nil
	}
	m.mu.Lock()
	image, topics, configs := m.image, m.topics, m.configs
	m.forgetChanges()
	m.mu.Unlock()
	if image == nil {
		return nil
	}
	w := &mirrorWrite{m: m, f: f, s: f.s, ctx: m.ctx}
	var err error
	if m.written == nil || m.under != f {
		m.written, m.under = nil, f
		err = w.reconcile(image)
	} else {
		err = w.changes(m.written, image, topics, configs)
	}
	if err == nil {
		err = w.flush()
	}
	if err != nil {
		return err
	}
	m.written = image
	m.mu.Lock()
	m.settled = image
	m.mu.Unlock()
	return nil
}
