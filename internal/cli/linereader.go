package cli

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"regexp"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
)

// lineReader makes one record of each line, as org.apache.kafka.tools.LineMessageReader does: headers, key and value
// separated by configurable words.
type lineReader struct {
	in      *bufio.Reader
	pending [][]byte // lines already read: a carriage return alone ends a line too
	prompt  func()   // called before a line is waited for
	number  int

	topic                                 string
	parseKey, parseHeaders, ignoreError   bool
	keySeparator                          string
	headersDelimiter, headersKeySeparator string
	headersSeparator                      *regexp.Regexp
	nullMarker                            string
	hasNullMarker                         bool
}

func newLineReader(in io.Reader, topic string, props map[string]string, prompt func()) (*lineReader, error) {
	get := func(key, fallback string) string {
		if v, ok := props[key]; ok {
			return v
		}
		return fallback
	}
	isTrue := func(key string) bool { return strings.EqualFold(strings.TrimSpace(props[key]), "true") }
	r := &lineReader{
		in: bufio.NewReaderSize(in, 64<<10), topic: topic, prompt: prompt,
		parseKey: isTrue("parse.key"), parseHeaders: isTrue("parse.headers"), ignoreError: isTrue("ignore.error"),
		keySeparator:        get("key.separator", "\t"),
		headersDelimiter:    get("headers.delimiter", "\t"),
		headersKeySeparator: get("headers.key.separator", ":"),
	}
	separator := get("headers.separator", ",")
	r.nullMarker, r.hasNullMarker = props["null.marker"]
	type pair struct{ a, aName, b, bName string }
	rules := []pair{
		{r.headersDelimiter, "headers.delimiter", separator, "headers.separator"},
		{r.headersDelimiter, "headers.delimiter", r.headersKeySeparator, "headers.key.separator"},
		{separator, "headers.separator", r.headersKeySeparator, "headers.key.separator"},
	}
	if r.hasNullMarker {
		rules = append(rules,
			pair{r.nullMarker, "null.marker", r.keySeparator, "key.separator"},
			pair{r.nullMarker, "null.marker", separator, "headers.separator"},
			pair{r.nullMarker, "null.marker", r.headersDelimiter, "headers.delimiter"},
			pair{r.nullMarker, "null.marker", r.headersKeySeparator, "headers.key.separator"},
		)
	}
	for _, rule := range rules {
		if rule.a == rule.b {
			return nil, fmt.Errorf("%s and %s may not be equal", rule.aName, rule.bName)
		}
	}
	var err error
	if r.headersSeparator, err = regexp.Compile(separator); err != nil {
		return nil, fmt.Errorf("headers.separator %q is no regular expression: %w", separator, err)
	}
	return r, nil
}

// Next returns the next record, or io.EOF.
func (r *lineReader) Next() (*kgo.Record, error) {
	line, err := r.line()
	if err != nil {
		return nil, err
	}
	return r.parse(line)
}

// line reads one line without its end, which is \n, \r or \r\n.
func (r *lineReader) line() ([]byte, error) {
	r.number++
	r.prompt()
	if len(r.pending) == 0 {
		text, err := r.in.ReadBytes('\n')
		if err != nil && (err != io.EOF || len(text) == 0) {
			return nil, err
		}
		text = bytes.TrimSuffix(text, []byte("\n"))
		text = bytes.TrimSuffix(text, []byte("\r"))
		r.pending = bytes.Split(text, []byte("\r"))
	}
	line := r.pending[0]
	r.pending = r.pending[1:]
	return line, nil
}

func (r *lineReader) parse(line []byte) (*kgo.Record, error) {
	record := &kgo.Record{Topic: r.topic}
	rest := string(line)
	if r.parseHeaders {
		headers, after, err := r.cut(line, rest, r.headersDelimiter, "headers delimiter")
		if err != nil {
			return nil, err
		}
		if headers != nil && !r.isNull(*headers) {
			if record.Headers, err = r.splitHeaders(*headers); err != nil {
				return nil, err
			}
		}
		rest = after
	}
	if r.parseKey {
		key, after, err := r.cut(line, rest, r.keySeparator, "key separator")
		if err != nil {
			return nil, err
		}
		if key != nil && !r.isNull(*key) {
			record.Key = []byte(*key)
		}
		rest = after
	}
	if !r.isNull(rest) {
		record.Value = []byte(rest)
	}
	return record, nil
}

func (r *lineReader) isNull(text string) bool { return r.hasNullMarker && text == r.nullMarker }

// cut takes what is before the separator; nil if there is none and that is no error.
func (r *lineReader) cut(line []byte, rest, separator, name string) (*string, string, error) {
	before, after, found := strings.Cut(rest, separator)
	if found {
		return &before, after, nil
	}
	if r.ignoreError {
		return nil, rest, nil
	}
	return nil, "", fmt.Errorf("No %s found on line number %d: '%s'", name, r.number, line) //nolint:staticcheck // Kafka's words
}

func (r *lineReader) splitHeaders(text string) ([]kgo.RecordHeader, error) {
	pairs := r.headersSeparator.Split(text, -1)
	for len(pairs) > 1 && pairs[len(pairs)-1] == "" { // as Java's split
		pairs = pairs[:len(pairs)-1]
	}
	headers := make([]kgo.RecordHeader, 0, len(pairs))
	for _, pair := range pairs {
		key, value, found := strings.Cut(pair, r.headersKeySeparator)
		switch {
		case !found && r.ignoreError:
			headers = append(headers, kgo.RecordHeader{Key: pair})
			continue
		case !found:
			return nil, fmt.Errorf("No header key separator found in pair '%s' on line number %d", pair, r.number) //nolint:staticcheck // Kafka's words
		case r.isNull(key):
			return nil, fmt.Errorf("Header keys should not be equal to the null marker '%s' as they can't be null", r.nullMarker) //nolint:staticcheck // Kafka's words
		}
		h := kgo.RecordHeader{Key: key}
		if !r.isNull(value) {
			h.Value = []byte(value)
		}
		headers = append(headers, h)
	}
	return headers, nil
}
