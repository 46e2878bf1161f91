package rabbitmq

import (
	"context"
	"strconv"
)

// Queues are the quorum queues that stand for a topic's partitions.
type Queues struct {
	Addr       string
	Topic      string
	Partitions int
	MaxBytes   int64 // of each queue; what is older is dropped
}

func (q Queues) name(partition int) string { return q.Topic + "-" + strconv.Itoa(partition) }

// Create declares the queues.
func (q Queues) Create(ctx context.Context) error {
	arguments := append(short(nil, "x-queue-type"), 'S')
	arguments = long(arguments, "quorum")
	arguments = append(short(arguments, "x-max-length-bytes"), 'l')
	arguments = u64(arguments, int(q.MaxBytes))
	declare := func(c *amqp, name string) error {
		const durable = 1 << 1
		_, err := c.call(queueDeclare, long(append(short(u16(nil, 0), name), durable), string(arguments)), queueDeclareOk)
		return err
	}
	// On a machine that is busy a new queue's process may not be up in the time that the server gives it (INTERNAL_ERROR).
	err := q.each(ctx, declare)
	for range 2 {
		if err == nil {
			break
		}
		err = q.each(ctx, declare)
	}
	return err
}

// Delete deletes the queues.
func (q Queues) Delete(ctx context.Context) error {
	return q.each(ctx, func(c *amqp, name string) error {
		_, err := c.call(queueDelete, append(short(u16(nil, 0), name), 0), queueDeleteOk)
		return err
	})
}

func (q Queues) each(ctx context.Context, do func(c *amqp, name string) error) error {
	c, err := dialAMQP(ctx, q.Addr)
	if err != nil {
		return err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	for p := range q.Partitions {
		if err := do(c, q.name(p)); err != nil {
			return err
		}
	}
	return nil
}
