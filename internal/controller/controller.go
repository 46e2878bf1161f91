package controller

import (
	"context"
	"log/slog"
	"time"

	"gregor/internal/config"
	"gregor/internal/journal"
	"gregor/internal/metadata"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Caller is on whose behalf a request is made.
type Caller struct {
	Principal  string
	ClientID   string
	ClientHost string
	Listener   string
}

// Options is what a Controller is put together from. All fields but Bootstrap, Logger and Now are required.
type Options struct {
	NodeID    int32
	ClusterID string
	Journal   journal.Journal // belongs to the controller from now on, which closes it
	Config    *config.Live
	// Bootstrap is what the first leader writes into an empty log; nil is BootstrapRecords().
	Bootstrap []metadata.Versioned
	Logger    *slog.Logger
	Now       func() time.Time
}

// Controller follows the metadata log and, while its journal leads, decides what is written to it.
type Controller struct {
	options Options
}

// Open starts the journal and returns when the state on disk was replayed. The controller is not active until its
// journal leads: see WaitActive.
func Open(ctx context.Context, o Options) (*Controller, error) { panic("not there yet") }

// WaitActive returns when this node is the active controller and the first records are in the log.
func (c *Controller) WaitActive(ctx context.Context) error { panic("not there yet") }

// Do asks the active controller. done is called exactly once, on any goroutine, when the outcome is durable and the
// publishers of this node know of it; it must not block. While this node is not the active controller every request is
// answered with NOT_CONTROLLER.
func (c *Controller) Do(ctx context.Context, from Caller, req kmsg.Request, done func(kmsg.Response)) {
	panic("not there yet")
}

// Image is the newest image that all publishers have been told of.
func (c *Controller) Image() *metadata.Image { panic("not there yet") }

// AddPublisher lets p follow the metadata: it gets one delta from the empty image to the newest before AddPublisher
// returns, and then every step. A publisher must not wait for a reply of Do.
func (c *Controller) AddPublisher(ctx context.Context, p metadata.Publisher) error {
	panic("not there yet")
}

// Leader is the id of the active controller, -1 when there is none.
func (c *Controller) Leader() int32 { panic("not there yet") }

// Close ends the controller and its journal. Requests that wait are answered with NOT_CONTROLLER.
func (c *Controller) Close() error { panic("not there yet") }

// BootstrapRecords are the records that a new cluster begins with: the feature levels that we support (KIP-584).
func BootstrapRecords() []metadata.Versioned { panic("not there yet") }
