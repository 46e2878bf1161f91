package config

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/magiconair/properties"
)

// ReadProperties reads a Java properties file. The text is taken as UTF-8, in which every file that Java reads
// without escapes in ASCII is written too. There are no ${...} expansions, as in Kafka.
func ReadProperties(path string) (map[string]string, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	props, err := ParseProperties(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return props, nil
}

// ParseProperties reads the text of a Java properties file. Of a key that is there twice the last one counts.
func ParseProperties(data []byte) (map[string]string, error) {
	loader := properties.Loader{Encoding: properties.UTF8, DisableExpansion: true}
	p, err := loader.LoadBytes(data)
	if err != nil {
		return nil, err
	}
	props := p.Map()
	delete(props, "")
	// Blanks at the end of a line are never meant: Kafka's typed keys ignore them, its string keys fail on them.
	for k, v := range props {
		props[k] = strings.TrimRight(v, " \t")
	}
	return props, nil
}

// ErrOverride is a command-line setting that is not key=value.
var ErrOverride = errors.New("expected key=value")

// Override sets key=value pairs from a command line in props.
func Override(props map[string]string, pairs []string) error {
	for _, pair := range pairs {
		key, value, ok := strings.Cut(pair, "=")
		if !ok || strings.TrimSpace(key) == "" {
			return fmt.Errorf("--override %s: %w", pair, ErrOverride)
		}
		props[strings.TrimSpace(key)] = value
	}
	return nil
}
