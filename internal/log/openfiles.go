package log

import (
	"fmt"
	"sync/atomic"
)

// openFiles counts the segment files that all logs of a node have open, so that idle ones are closed before the process
// runs out of descriptors: a node may have more replicas than it may open files. The methods work on nil, which counts
// nothing.
type openFiles struct {
	n     atomic.Int64
	limit int64
	over  func() // called when a file is opened beyond limit, with locks of its log held: must return at once
}

func (o *openFiles) opened() {
	if o != nil && o.n.Add(1) > o.limit {
		o.over()
	}
}

func (o *openFiles) closed() {
	if o != nil {
		o.n.Add(-1)
	}
}

// failed makes an error of opening a file one that can be tried again, if that was for want of descriptors.
func (o *openFiles) failed(err error) error {
	if !isTooManyFiles(err) {
		return err
	}
	if o != nil {
		o.over()
	}
	return fmt.Errorf("%w: %w", ErrTooManyFiles, err)
}
