package zk

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"

	"gregor/internal/metadata"

	gozk "github.com/go-zookeeper/zk"
)

const (
	mirrorOps     = 500       // operations in a multi, and about
	mirrorBytes   = 256 << 10 // up to how many bytes
	mirrorReaders = 4         // requests on their way at a time; the journal's come between
)

// mirrorWrite is one step of a Mirror: operations that are gathered into multis.
type mirrorWrite struct {
	m     *Mirror
	f     *fence
	s     *session
	ctx   context.Context
	ops   ops
	bytes int
}

func (w *mirrorWrite) add(op any, size int) error {
	w.ops = append(w.ops, op)
	w.bytes += size + 100
	if len(w.ops) < mirrorOps && w.bytes < mirrorBytes {
		return nil
	}
	return w.flush()
}

// flush writes what was gathered. After an unknown outcome it asks no more: the next step reads what is there.
func (w *mirrorWrite) flush() error {
	if len(w.ops) == 0 {
		return nil
	}
	_, err := w.s.try(w.ctx, append(ops{w.f.check()}, w.ops...))
	w.ops, w.bytes = nil, 0
	if errors.Is(err, gozk.ErrBadVersion) {
		return errLost
	}
	return err
}

func (w *mirrorWrite) create(p string, data []byte) error {
	return w.add(w.s.create(p, data, 0), len(p)+len(data))
}

func (w *mirrorWrite) set(p string, data []byte) error {
	return w.add(w.s.set(p, data, -1), len(p)+len(data))
}

func (w *mirrorWrite) delete(p string) error { return w.add(w.s.delete(p, -1), len(p)) }

func topicPath(name string) string      { return topicsPath + "/" + name }
func partitionsPath(name string) string { return topicPath(name) + "/partitions" }
func partitionPath(name string, id int) string {
	return partitionsPath(name) + "/" + strconv.Itoa(id)
}
func statePath(name string, id int) string { return partitionPath(name, id) + "/state" }

// configPath is the znode of a resource's configuration; ok is false for kinds that Kafka 3.9 does not keep there.
func configPath(r metadata.ConfigResource) (p string, ok bool) {
	switch {
	case r.Kind == metadata.TopicConfig && r.Name != "":
		return "/config/topics/" + r.Name, true
	case r.Kind == metadata.BrokerConfig && r.Name == "":
		return "/config/brokers/<default>", true
	case r.Kind == metadata.BrokerConfig:
		return "/config/brokers/" + r.Name, true
	}
	return "", false
}

// topic is the data of a topic's znode. What does not fit is left out: the states of its partitions are there all the
// same.
func (w *mirrorWrite) topic(t *metadata.Topic) []byte {
	data := topicJSON(t)
	if len(data) <= maxZnodeBytes {
		return data
	}
	if _, ok := w.m.warned[t.Name]; !ok {
		w.m.warned[t.Name] = struct{}{}
		w.m.log.Warn("the assignment of a topic does not fit into a znode and is left out there", "znode", topicPath(t.Name), "partitions", len(t.Partitions), "bytes", len(data))
	}
	return topicJSON(&metadata.Topic{Name: t.Name, ID: t.ID})
}

// changes writes what differs between two images in some topics and configurations.
func (w *mirrorWrite) changes(old, image *metadata.Image, topics map[string]struct{}, configs map[metadata.ConfigResource]struct{}) error {
	for name := range topics {
		if err := w.changeTopic(old, image, name); err != nil {
			return err
		}
	}
	for r := range configs {
		p, ok := configPath(r)
		if !ok || r.Kind == metadata.TopicConfig && (image.Topic(r.Name) == nil || old.Topic(r.Name) == nil) {
			continue // it comes and goes with its topic
		}
		is, was := image.Config(r.Kind, r.Name), old.Config(r.Kind, r.Name)
		var err error
		switch {
		case r.Kind == metadata.TopicConfig || was != nil && is != nil:
			err = w.set(p, configJSON(is))
		case is != nil:
			err = w.create(p, configJSON(is))
		case was != nil:
			err = w.delete(p)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (w *mirrorWrite) changeTopic(old, image *metadata.Image, name string) error {
	was, is := old.Topic(name), image.Topic(name)
	switch {
	case was == nil && is == nil:
		return nil
	case was == nil:
		return w.createTopic(image, is)
	case is == nil:
		return w.deleteTopic(name, len(was.Partitions))
	}
	if !sameAssignment(was, is) {
		if err := w.set(topicPath(name), w.topic(is)); err != nil {
			return err
		}
	}
	if was.ID != is.ID { // deleted and made again
		if err := w.set("/config/topics/"+name, configJSON(image.Config(metadata.TopicConfig, name))); err != nil {
			return err
		}
	}
	for i, p := range is.Partitions {
		switch {
		case i >= len(was.Partitions):
			if err := w.createPartition(name, i, p); err != nil {
				return err
			}
		case p != was.Partitions[i] && !sameState(p, was.Partitions[i]):
			if err := w.set(statePath(name, i), stateJSON(p, w.f.epoch)); err != nil {
				return err
			}
		}
	}
	for i := len(is.Partitions); i < len(was.Partitions); i++ {
		if err := errors.Join(w.delete(statePath(name, i)), w.delete(partitionPath(name, i))); err != nil {
			return err
		}
	}
	return nil
}

func sameAssignment(a, b *metadata.Topic) bool {
	return a.ID == b.ID && slices.EqualFunc(a.Partitions, b.Partitions, func(p, q *metadata.Partition) bool {
		return p == q || slices.Equal(p.Replicas, q.Replicas) && slices.Equal(p.Adding, q.Adding) && slices.Equal(p.Removing, q.Removing)
	})
}

func sameState(a, b *metadata.Partition) bool {
	return a.Leader == b.Leader && a.LeaderEpoch == b.LeaderEpoch && a.RecoveryState == b.RecoveryState && slices.Equal(a.ISR, b.ISR)
}

func (w *mirrorWrite) createTopic(image *metadata.Image, t *metadata.Topic) error {
	err := errors.Join(
		w.create("/config/topics/"+t.Name, configJSON(image.Config(metadata.TopicConfig, t.Name))),
		w.create(topicPath(t.Name), w.topic(t)),
		w.create(partitionsPath(t.Name), nil))
	for i, p := range t.Partitions {
		if err != nil {
			return err
		}
		err = w.createPartition(t.Name, i, p)
	}
	return err
}

func (w *mirrorWrite) createPartition(name string, i int, p *metadata.Partition) error {
	if err := w.create(partitionPath(name, i), nil); err != nil {
		return err
	}
	return w.create(statePath(name, i), stateJSON(p, w.f.epoch))
}

func (w *mirrorWrite) deleteTopic(name string, partitions int) error {
	for i := range partitions {
		if err := w.delete(statePath(name, i)); err != nil {
			return err
		}
		if err := w.delete(partitionPath(name, i)); err != nil {
			return err
		}
	}
	return errors.Join(w.delete(partitionsPath(name)), w.delete(topicPath(name)), w.delete("/config/topics/"+name))
}

// reconcile makes the znodes those of an image, whatever is there.
func (w *mirrorWrite) reconcile(image *metadata.Image) error {
	for _, p := range kafkaPaths {
		if err := w.s.ensure(w.ctx, p, nil); err != nil {
			return err
		}
	}
	names, err := w.s.children(w.ctx, topicsPath)
	if err != nil {
		return err
	}
	there := make(map[string]struct{}, len(names))
	for _, name := range names {
		there[name] = struct{}{}
		if image.Topic(name) == nil {
			if err := w.deleteTree(topicPath(name)); err != nil {
				return err
			}
		}
	}
	if err := w.reconcileConfigs(image); err != nil {
		return err
	}
	for t := range image.Topics() {
		if _, ok := there[t.Name]; !ok {
			if err := w.create(topicPath(t.Name), w.topic(t)); err != nil {
				return err
			}
			if err := w.create(partitionsPath(t.Name), nil); err != nil {
				return err
			}
			for i, p := range t.Partitions {
				if err := w.createPartition(t.Name, i, p); err != nil {
					return err
				}
			}
		} else if err := w.reconcileTopic(t); err != nil {
			return err
		}
	}
	return nil
}

// reconcileTopic compares the znodes of a topic with what they should be.
func (w *mirrorWrite) reconcileTopic(t *metadata.Topic) error {
	n, err := w.s.get(w.ctx, topicPath(t.Name))
	if err != nil {
		return err
	}
	if want := w.topic(t); !sameJSON(n.data, want) {
		if err := w.set(topicPath(t.Name), want); err != nil {
			return err
		}
	}
	names, err := w.s.children(w.ctx, partitionsPath(t.Name))
	if errors.Is(err, gozk.ErrNoNode) {
		err = w.create(partitionsPath(t.Name), nil)
	}
	if err != nil {
		return err
	}
	there := make([]bool, len(t.Partitions))
	for _, name := range names {
		if i, err := strconv.Atoi(name); err == nil && i >= 0 && i < len(there) {
			there[i] = true
		} else if err := w.deleteTree(path.Join(partitionsPath(t.Name), name)); err != nil {
			return err
		}
	}
	states := make([][]byte, len(there)) // nil: there is none
	if err := parallel(len(there), mirrorReaders, func(i int) error {
		if !there[i] {
			return nil
		}
		n, err := w.s.get(w.ctx, statePath(t.Name, i))
		if errors.Is(err, gozk.ErrNoNode) {
			return nil
		}
		states[i] = append([]byte{}, n.data...)
		return err
	}); err != nil {
		return err
	}
	for i, p := range t.Partitions {
		var err error
		switch {
		case !there[i]:
			err = w.createPartition(t.Name, i, p)
		case states[i] == nil:
			err = w.create(statePath(t.Name, i), stateJSON(p, w.f.epoch))
		case !bytes.Equal(states[i], stateJSON(p, epochOf(states[i]))):
			err = w.set(statePath(t.Name, i), stateJSON(p, w.f.epoch))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// epochOf is the epoch of the controller that wrote a state: it is not a difference.
func epochOf(state []byte) int32 {
	v := struct {
		Epoch int32 `json:"controller_epoch"`
	}{-1}
	_ = json.Unmarshal(state, &v) // what is no state differs from any
	return v.Epoch
}

// sameJSON reports whether two texts are the same value.
func sameJSON(a, b []byte) bool {
	if bytes.Equal(a, b) {
		return true
	}
	var x, y any
	if json.Unmarshal(a, &x) != nil || json.Unmarshal(b, &y) != nil {
		return false
	}
	p, _ := json.Marshal(x)
	q, _ := json.Marshal(y)
	return bytes.Equal(p, q)
}

func (w *mirrorWrite) reconcileConfigs(image *metadata.Image) error {
	want := map[string][]byte{}
	for t := range image.Topics() {
		want["/config/topics/"+t.Name] = configJSON(nil)
	}
	for r, values := range image.Configs() {
		if p, ok := configPath(r); ok {
			want[p] = configJSON(values)
		}
	}
	for _, parent := range []string{"/config/topics", "/config/brokers"} {
		names, err := w.s.children(w.ctx, parent)
		if err != nil {
			return err
		}
		found := make([][]byte, len(names))
		if err := parallel(len(names), mirrorReaders, func(i int) error {
			n, err := w.s.get(w.ctx, parent+"/"+names[i])
			found[i] = n.data
			return err
		}); err != nil {
			return err
		}
		for i, name := range names {
			p := parent + "/" + name
			data, ok := want[p]
			var err error
			if !ok {
				err = w.deleteTree(p)
			} else if !sameJSON(found[i], data) {
				err = w.set(p, data)
			}
			if err != nil {
				return err
			}
			delete(want, p)
		}
	}
	for p, data := range want {
		if err := w.create(p, data); err != nil {
			return err
		}
	}
	return nil
}

// deleteTree deletes a znode and everything below it.
func (w *mirrorWrite) deleteTree(p string) error {
	names, err := w.s.children(w.ctx, p)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := w.deleteTree(path.Join(p, name)); err != nil {
			return fmt.Errorf("znode %s: %w", p, err)
		}
	}
	return w.delete(p)
}
