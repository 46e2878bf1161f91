package nats

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"gregor/bench/load"
	"gregor/bench/peers/drive"
)

// Fetch is a load of readers, each of which reads one stream from its start on: a pull consumer that acknowledges nothing,
// which is how a Kafka consumer reads too.
type Fetch struct {
	Streams
	Readers int   // of each stream
	Records int64 // that each reads
	drive.Hooks
}

// Run reads until each reader has its records.
func (f Fetch) Run(ctx context.Context) (load.Result, error) {
	return drive.Read(ctx, f.Partitions*f.Readers, func(ctx context.Context, i int) (load.Result, error) {
		f := f
		if i >= f.Partitions {
			f.Each = nil
		}
		return f.read(ctx, i%f.Partitions, i/f.Partitions)
	})
}

// pull is how many records a request asks for; the next one goes out when half of them have come.
const pull = 8192

func (f Fetch) read(ctx context.Context, partition, reader int) (got load.Result, err error) {
	name := fmt.Sprintf("reader-%d-%d", partition, reader)
	_, err = request(ctx, f.Addr, "$JS.API.CONSUMER.CREATE."+f.name(partition)+"."+name, map[string]any{
		"stream_name": f.name(partition),
		"config": map[string]any{"name": name, "ack_policy": "none", "deliver_policy": "all", "replay_policy": "instant",
			"mem_storage": true, "num_replicas": 1, "inactive_threshold": int64(time.Minute)},
	})
	if err != nil {
		return got, err
	}
	defer func() { // a consumer of this name would go on where this one ended
		if _, errDelete := request(context.WithoutCancel(ctx), f.Addr, "$JS.API.CONSUMER.DELETE."+f.name(partition)+"."+name, nil); err == nil {
			err = errDelete
		}
	}()
	c, err := dial(ctx, f.Addr)
	if err != nil {
		return got, err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	body, err := json.Marshal(map[string]any{"batch": pull, "expires": int64(time.Minute)})
	if err != nil {
		return got, err
	}
	ask := fmt.Sprintf("PUB $JS.API.CONSUMER.MSG.NEXT.%s.%s in.%s %d\r\n%s\r\n", f.name(partition), name, name, len(body), body)
	if err := c.write("SUB in." + name + " 1\r\n" + ask); err != nil {
		return got, err
	}
	f.Began()
	got.Requests = 1
	for asked := int64(pull); got.Records < f.Records; {
		m, err := c.next()
		if err != nil {
			return got, err
		}
		if bytes.HasPrefix(m.head, []byte("NATS/1.0 ")) { // a status, not a record
			return got, errors.New(string(bytes.TrimSpace(m.head)))
		}
		got.Records++
		got.Bytes += int64(len(m.payload))
		if f.Each != nil {
			f.Each(m.payload)
		}
		if asked-got.Records < pull/2 {
			if err := c.write(ask); err != nil {
				return got, err
			}
			asked += pull
			got.Requests++
		}
	}
	return got, nil
}
