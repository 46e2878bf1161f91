package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
)

// The files of kafka-reassign-partitions and kafka-leader-election are read with Kafka's complaints about what is
// missing or of the wrong kind; where the text itself is broken, the place is named.

// jsonObject is a JSON object whose fields are looked at one by one.
type jsonObject map[string]any

// readJSON reads a file that holds one JSON object.
func readJSON(path string) (jsonObject, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("Unable to read file %s: %v", path, reason(err))
	}
	o, err := parseJSON(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return o, nil
}

func parseJSON(text []byte) (jsonObject, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	err := d.Decode(&v)
	if err == nil {
		if _, more := d.Token(); more != io.EOF {
			err = errors.New("there is more after the first value")
		}
	}
	if err != nil {
		at := int64(len(text))
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			at = min(at, syntax.Offset)
		}
		return nil, fmt.Errorf("The input string is not a valid JSON: line %d: %w", 1+bytes.Count(text[:at], []byte("\n")), err)
	}
	return asObject(v)
}

func asObject(v any) (jsonObject, error) {
	o, ok := v.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("Expected JSON object, received %s", jsonText(v))
	}
	return o, nil
}

// jsonText is a value as JSON on one line.
func jsonText(v any) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return fmt.Sprint(v)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func (o jsonObject) field(name string) (any, error) {
	v, ok := o[name]
	if !ok {
		return nil, fmt.Errorf("No such field exists: `%s`", name)
	}
	return v, nil
}

func (o jsonObject) text(name string) (string, error) {
	v, err := o.field(name)
	if err != nil {
		return "", err
	}
	return asText(v)
}

func asText(v any) (string, error) {
	s, ok := v.(string)
	if !ok {
		return "", fmt.Errorf("Expected `String` value, received %s", jsonText(v))
	}
	return s, nil
}

func (o jsonObject) int(name string) (int32, error) {
	v, err := o.field(name)
	if err != nil {
		return 0, err
	}
	return asInt(v)
}

func asInt(v any) (int32, error) {
	if n, ok := v.(json.Number); ok {
		if i, err := strconv.ParseInt(n.String(), 10, 32); err == nil {
			return int32(i), nil
		}
	}
	return 0, fmt.Errorf("Expected `Integer` value, received %s", jsonText(v))
}

// version is the field of that name, 1 if it is not there, and must be 1.
func (o jsonObject) version() error {
	if _, ok := o["version"]; !ok {
		return nil
	}
	n, err := o.int("version")
	if err == nil && n != 1 {
		err = fmt.Errorf("Not supported version field value %d", n)
	}
	return err
}

// objects are the elements of an array of objects; none if the field is not there.
func (o jsonObject) objects(name string) ([]jsonObject, error) {
	v, ok := o[name]
	if !ok {
		return nil, nil
	}
	list, err := asList(v)
	if err != nil {
		return nil, err
	}
	var objects []jsonObject
	for _, item := range list {
		object, err := asObject(item)
		if err != nil {
			return nil, err
		}
		objects = append(objects, object)
	}
	return objects, nil
}

func asList(v any) ([]any, error) {
	list, ok := v.([]any)
	if !ok {
		return nil, fmt.Errorf("Expected JSON array, received %s", jsonText(v))
	}
	return list, nil
}

// listOf reads an array whose elements are all of one kind.
func listOf[T any](v any, each func(any) (T, error)) ([]T, error) {
	list, err := asList(v)
	if err != nil {
		return nil, err
	}
	out := make([]T, len(list))
	for i, item := range list {
		if out[i], err = each(item); err != nil {
			return nil, err
		}
	}
	return out, nil
}
