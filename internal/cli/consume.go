package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// consoleConsumer prints records until it is interrupted, has printed enough, or has waited long enough.
type consoleConsumer struct {
	client     *kgo.Client
	started    chan struct{} // closed when client is set: its own goroutines may call back before NewClient returns
	io         IO
	formatter  formatter
	topic      string // "" with --include
	partition  int    // with --partition, else -1
	max        int    // -1: no limit
	timeout    time.Duration
	hasTimeout bool
	skipErrors bool
	events     bool

	createTopic bool
	autoCommit  bool
	commitEvery time.Duration
	positions   *positions

	count int
}

// closeTimeout is how long the last commit and the leave may take.
const closeTimeout = 5 * time.Second

func (c *consoleConsumer) run(ctx context.Context) error {
	// `... | head -1` ends the reader of the pipe: the offsets are still to be committed and the group to be left.
	defer survivePipe()()
	out := bufio.NewWriterSize(c.io.Out, 64<<10)
	err := c.consume(ctx, out)
	if flushErr := out.Flush(); flushErr != nil && err == nil {
		err = errStdoutGone
	}
	c.close()
	fmt.Fprintf(c.io.Err, "Processed a total of %d messages\n", c.count)
	if c.events {
		fmt.Fprintln(c.io.Out, "shutdown_complete")
	}
	switch {
	case errors.Is(err, errStdoutGone):
		return nil
	case errors.Is(err, context.Canceled) && ctx.Err() != nil:
		return Exit(interrupted)
	case errors.Is(err, errIdle):
		return nil
	}
	return err
}

var (
	errStdoutGone = errors.New("standard output is closed")
	errIdle       = errors.New("no record within --timeout-ms")
)

// consume returns nil when enough is printed, errIdle, errStdoutGone, the context's error, or what went wrong.
func (c *consoleConsumer) consume(ctx context.Context, out *bufio.Writer) error {
	if c.max == 0 {
		return nil
	}
	idle := c.idleFrom(time.Now())
	if err := c.awaitTopic(ctx, idle); err != nil {
		return err
	}
	nextCommit := time.Now().Add(c.commitEvery)
	for {
		wake := idle
		if c.autoCommit && nextCommit.Before(wake) {
			wake = nextCommit
		}
		limit := 500
		if c.max > 0 {
			limit = min(limit, c.max-c.count)
		}
		poll, cancel := context.WithDeadline(ctx, wake)
		fetches := c.client.PollRecords(poll, limit)
		cancel()
		if err := c.printAll(fetches, out); err != nil {
			return err
		}
		c.client.AllowRebalance()
		if fetches.NumRecords() > 0 {
			idle = c.idleFrom(time.Now())
		}
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case c.max > 0 && c.count >= c.max:
			return nil
		case fetches.NumRecords() == 0 && !time.Now().Before(idle):
			return errIdle
		}
		if c.autoCommit && !time.Now().Before(nextCommit) {
			c.commit(ctx, c.client)
			nextCommit = time.Now().Add(c.commitEvery)
		}
	}
}

// idleFrom is when --timeout-ms has passed; far away without it.
func (c *consoleConsumer) idleFrom(now time.Time) time.Time {
	if !c.hasTimeout {
		return now.Add(24 * 365 * time.Hour)
	}
	return now.Add(c.timeout)
}

// printAll prints what a poll brought and makes sure that it is seen at once.
func (c *consoleConsumer) printAll(fetches kgo.Fetches, out *bufio.Writer) error {
	var failed error
	fetches.EachError(func(topic string, partition int32, err error) {
		switch {
		case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded), errors.Is(err, kgo.ErrClientClosed):
		case fatalFetch(err):
			if failed == nil {
				failed = fetchError(topic, partition, err)
			}
		default:
			fmt.Fprintf(c.io.Err, "WARN %v. Trying again.\n", fetchError(topic, partition, err))
		}
	})
	if failed != nil {
		return failed
	}
	for iter := fetches.RecordIter(); !iter.Done(); {
		r := iter.Next()
		c.count++
		if err := c.formatter.Write(out, r); err != nil {
			if !c.skipErrors {
				return fmt.Errorf("%s-%d offset %d: %w", r.Topic, r.Partition, r.Offset, err)
			}
			fmt.Fprintf(c.io.Err, "ERROR Error processing message, skipping this message: %s-%d offset %d: %v\n", r.Topic, r.Partition, r.Offset, err)
		}
		c.positions.printed(r)
	}
	if err := out.Flush(); err != nil {
		fmt.Fprintln(c.io.Err, "Unable to write to standard out, closing consumer.")
		return errStdoutGone
	}
	return nil
}

// fatalFetch tells whether trying again cannot help: the broker said so.
func fatalFetch(err error) bool {
	var code *kerr.Error
	return errors.As(err, &code) && !code.Retriable && !errors.Is(err, kerr.UnknownMemberID) &&
		!errors.Is(err, kerr.IllegalGeneration) && !errors.Is(err, kerr.OffsetOutOfRange)
}

func fetchError(topic string, partition int32, err error) error {
	if topic == "" {
		return err
	}
	return fmt.Errorf("%s-%d: %w", topic, partition, err)
}

// awaitTopic waits until the topic is there. As a Java consumer does, it lets the brokers create it.
func (c *consoleConsumer) awaitTopic(ctx context.Context, until time.Time) error {
	if c.topic == "" {
		return nil
	}
	ctx, cancel := context.WithDeadline(ctx, until)
	defer cancel()
	partitions, err := awaitTopic(ctx, c.client, c.topic, c.createTopic, c.io)
	if err == nil && c.partition >= partitions {
		fmt.Fprintf(c.io.Err, "WARN Topic %s has no partition %d yet: it has %d, counted from 0. Waiting for it.\n", c.topic, c.partition, partitions)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return errIdle
	}
	return err
}

// awaitTopic asks for a topic's metadata until the topic exists or the context ends; then the error is the
// context's. It says once on standard error what it waits for, and returns the number of partitions.
func awaitTopic(ctx context.Context, client *kgo.Client, topic string, create bool, io IO) (partitions int, err error) {
	for warned := false; ; {
		req := kmsg.NewPtrMetadataRequest()
		req.AllowAutoTopicCreation = create
		req.Topics = []kmsg.MetadataRequestTopic{{Topic: kmsg.StringPtr(topic)}}
		resp, err := req.RequestWith(ctx, client)
		if ctx.Err() != nil {
			return 0, ctx.Err()
		}
		if err == nil && len(resp.Topics) > 0 {
			partitions = len(resp.Topics[0].Partitions)
			err = kerr.ErrorForCode(resp.Topics[0].ErrorCode)
		}
		var code *kerr.Error
		var unreachable *UnreachableError
		switch {
		case err == nil:
			return partitions, nil
		case errors.As(err, &code) && !code.Retriable, errors.As(err, &unreachable):
			return 0, err
		}
		if !warned {
			warned = true
			fmt.Fprintf(io.Err, "WARN Topic %s is not there yet: %s Trying again.\n", topic, KafkaMessage(err, nil))
		}
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func (c *consoleConsumer) commit(ctx context.Context, client *kgo.Client) {
	if !c.autoCommit {
		return
	}
	if err := c.positions.commit(ctx, client); err != nil && ctx.Err() == nil {
		fmt.Fprintf(c.io.Err, "WARN Offsets could not be committed: %s\n", KafkaMessage(err, nil))
	}
}

// close commits what has been printed, leaves the group and ends the client.
func (c *consoleConsumer) close() {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	if c.autoCommit {
		c.commit(ctx, c.client)
		c.positions = newPositions()
	}
	c.client.AllowRebalance()
	if id, _ := c.client.GroupMetadata(); id != "" {
		_ = c.client.LeaveGroupContext(ctx)
	}
	c.client.CloseAllowingRebalance()
}
