package cli

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
)

// formatter prints one record as the console consumer does.
type formatter interface {
	Write(w io.Writer, r *kgo.Record) error
}

// newFormatter finds Kafka's formatter of this class name and gives it its properties.
func newFormatter(class string, props map[string]string, log io.Writer) (formatter, error) {
	name := class
	for _, p := range []string{"org.apache.kafka.tools.consumer.", "kafka.tools.", "kafka.coordinator.group.GroupMetadataManager$"} {
		name = strings.TrimPrefix(name, p)
	}
	switch name {
	case "DefaultMessageFormatter":
		return newDefaultFormatter(props)
	case "LoggingMessageFormatter":
		f, err := newDefaultFormatter(props)
		return loggingFormatter{f, log}, err
	case "NoOpMessageFormatter":
		return noFormatter{}, nil
	case "OffsetsMessageFormatter":
		return offsetsFormatter{}, nil
	case "GroupMetadataMessageFormatter":
		return groupFormatter{}, nil
	}
	return nil, Usagef("--formatter %s is a Java class that cannot be loaded here: use org.apache.kafka.tools.consumer.DefaultMessageFormatter, LoggingMessageFormatter, NoOpMessageFormatter, OffsetsMessageFormatter or GroupMetadataMessageFormatter", class)
}

type noFormatter struct{}

func (noFormatter) Write(io.Writer, *kgo.Record) error { return nil }

// defaultFormatter prints the columns that print.* choose, in Kafka's order.
type defaultFormatter struct {
	timestamp, partition, offset, delivery, epoch, headers, key, value bool
	keySeparator, lineSeparator, headersSeparator, null                string
	keyFrom, valueFrom, headerFrom                                     deserializer
}

func newDefaultFormatter(props map[string]string) (*defaultFormatter, error) {
	isTrue := func(key string, fallback bool) bool {
		v, ok := props[key]
		if !ok {
			return fallback
		}
		return strings.EqualFold(strings.TrimSpace(v), "true")
	}
	text := func(key, fallback string) string {
		if v, ok := props[key]; ok {
			return v
		}
		return fallback
	}
	f := &defaultFormatter{
		timestamp: isTrue("print.timestamp", false), partition: isTrue("print.partition", false),
		offset: isTrue("print.offset", false), delivery: isTrue("print.delivery", false),
		epoch: isTrue("print.epoch", false), headers: isTrue("print.headers", false),
		key: isTrue("print.key", false), value: isTrue("print.value", true),
		keySeparator: text("key.separator", "\t"), lineSeparator: text("line.separator", "\n"),
		headersSeparator: text("headers.separator", ","), null: text("null.literal", "null"),
	}
	for _, d := range []struct {
		key  string
		into *deserializer
	}{{"key.deserializer", &f.keyFrom}, {"value.deserializer", &f.valueFrom}, {"headers.deserializer", &f.headerFrom}} {
		var err error
		if *d.into, err = findDeserializer(props[d.key]); err != nil {
			return nil, fmt.Errorf("%s: %w", d.key, err)
		}
	}
	return f, nil
}

func (f *defaultFormatter) Write(w io.Writer, r *kgo.Record) error {
	line := make([]byte, 0, 64+len(r.Key)+len(r.Value))
	columns := 0
	next := func() {
		if columns++; columns > 1 {
			line = append(line, f.keySeparator...)
		}
	}
	if f.timestamp {
		next()
		line = append(line, timestampText(r)...)
	}
	if f.partition {
		next()
		line = strconv.AppendInt(append(line, "Partition:"...), int64(r.Partition), 10)
	}
	if f.offset {
		next()
		line = strconv.AppendInt(append(line, "Offset:"...), r.Offset, 10)
	}
	if f.delivery {
		next()
		line = append(line, "Delivery:NOT_PRESENT"...)
	}
	if f.epoch {
		next()
		line = append(line, "Epoch:NOT_PRESENT"...) // Kafka's tool does not pass it on
	}
	if f.headers {
		next()
		if len(r.Headers) == 0 {
			line = append(line, "NO_HEADERS"...)
		}
		for i, h := range r.Headers {
			if i > 0 {
				line = append(line, f.headersSeparator...)
			}
			text, err := f.field(f.headerFrom, h.Value)
			if err != nil {
				return err
			}
			line = append(append(append(line, h.Key...), ':'), text...)
		}
	}
	for _, column := range []struct {
		print bool
		from  deserializer
		bytes []byte
	}{{f.key, f.keyFrom, r.Key}, {f.value, f.valueFrom, r.Value}} {
		if !column.print {
			continue
		}
		next()
		text, err := f.field(column.from, column.bytes)
		if err != nil {
			return err
		}
		line = append(line, text...)
	}
	if columns > 0 {
		line = append(line, f.lineSeparator...)
	}
	_, err := w.Write(line)
	return err
}

func (f *defaultFormatter) field(from deserializer, b []byte) ([]byte, error) {
	if b == nil {
		return []byte(f.null), nil
	}
	return from(b)
}

func timestampText(r *kgo.Record) string {
	kind := "CreateTime"
	switch r.Attrs.TimestampType() {
	case -1:
		return "NO_TIMESTAMP"
	case 1:
		kind = "LogAppendTime"
	}
	return kind + ":" + strconv.FormatInt(r.Timestamp.UnixMilli(), 10)
}

// loggingFormatter prints a record and logs it too.
type loggingFormatter struct {
	*defaultFormatter
	log io.Writer
}

func (f loggingFormatter) Write(w io.Writer, r *kgo.Record) error {
	if err := f.defaultFormatter.Write(w, r); err != nil {
		return err
	}
	null := func(b []byte) string {
		if b == nil {
			return "null"
		}
		return string(b)
	}
	_, err := fmt.Fprintf(f.log, "INFO %s, key:%s, value:%s\n", timestampText(r), null(r.Key), null(r.Value))
	return err
}
