//go:build !linux

package load

import (
	"context"
	"time"
)

// loop is for Linux: see loop_linux.go.
type loop struct {
	start        time.Time
	measure, end int64
	producers    []*producer
	every        int64
	spin         bool
	undelivered  func() int
	open         int  // connections that have not ended, of those that end by themselves
	counted      bool // there are such
}

func newLoop(schedule) (*loop, error) { return nil, ErrOtherSystem }

func (l *loop) add(context.Context, string, role) (*stream, error) { return nil, ErrOtherSystem }
func (l *loop) run(context.Context) error                          { return ErrOtherSystem }
func (l *loop) begin()                                             {}
func (l *loop) now() int64                                         { return 0 }
func (l *loop) close()                                             {}

func (s *stream) push() error { return ErrOtherSystem }

type sendFile struct{}

func newSendFile([]byte) (*sendFile, error) { return nil, ErrOtherSystem }
func (s *sendFile) close() error            { return nil }
