package log

import (
	"fmt"

	"gregor/internal/record"
)

// prepare checks a leader's batches, stamps them, and compresses them again if the topic says so. It needs no lock.
func (l *Log) prepare(records []byte, cfg *Config, origin Origin, nowMs int64) ([]byte, error) {
	if origin == RaftLeader {
		return records, nil
	}
	rules := record.Rules{Compacted: cfg.CleanupCompact, LogAppendTime: cfg.LogAppendTime, NowMs: nowMs,
		BeforeMaxMs: cfg.TimestampBeforeMaxMs, AfterMaxMs: cfg.TimestampAfterMaxMs, MaxBytes: cfg.MaxMessageBytes,
		Topic: l.o.Topic, Partition: l.o.Partition}
	again := false
	n := 0
	for rest := records; len(rest) > 0; n++ {
		var b record.Batch
		var err error
		if b, rest, err = record.Next(rest); err != nil {
			return nil, err
		}
		if origin == Client {
			if err := record.ValidateProduced(b, rules); err != nil {
				return nil, err
			}
		} else {
			if len(b) > cfg.MaxMessageBytes {
				return nil, fmt.Errorf("%w: the batch has %d bytes, max.message.bytes is %d", ErrTooLarge, len(b), cfg.MaxMessageBytes)
			}
			if cfg.LogAppendTime && !b.IsControl() {
				b.SetLogAppendTime(nowMs)
			}
		}
		again = again || cfg.recompresses(b)
	}
	if n == 0 {
		return nil, fmt.Errorf("%w: no batch to append", ErrInvalidRecord)
	}
	if !again {
		return records, nil
	}
	return recompress(records, cfg)
}

// recompresses tells whether compression.type asks for another codec than the batch has.
func (c *Config) recompresses(b record.Batch) bool {
	return c.CompressionType != "producer" && c.CompressionType != "" && !b.IsControl() && c.codec() != b.Codec()
}

func (c *Config) codec() record.Codec {
	if c.CompressionType == "uncompressed" {
		return record.None
	}
	codec, err := record.ParseCodec(c.CompressionType)
	if err != nil {
		return record.None
	}
	return codec
}

func recompress(records []byte, cfg *Config) ([]byte, error) {
	out := make([]byte, 0, len(records))
	for rest := records; len(rest) > 0; {
		var b record.Batch
		b, rest, _ = record.Next(rest)
		if cfg.recompresses(b) {
			var err error
			if b, err = b.Recompress(cfg.codec(), cfg.CompressionLevel); err != nil {
				return nil, err
			}
			if len(b) > cfg.MaxMessageBytes {
				return nil, fmt.Errorf("%w: the batch has %d bytes as %s, max.message.bytes is %d", ErrTooLarge, len(b), cfg.CompressionType, cfg.MaxMessageBytes)
			}
		}
		out = append(out, b...)
	}
	return out, nil
}
