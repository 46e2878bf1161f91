package cli

import (
	"fmt"
	"maps"
	"strings"

	"github.com/magiconair/properties"
)

// LoadProperties reads a properties file as Java does (escapes, continued lines), without expanding ${...}.
func LoadProperties(path string) (map[string]string, error) {
	loader := properties.Loader{Encoding: properties.UTF8, DisableExpansion: true}
	p, err := loader.LoadFile(path)
	if err != nil {
		return nil, fmt.Errorf("the properties file %s cannot be read: %w", path, err)
	}
	return p.Map(), nil
}

// KeyValues reads key=value words, as of --property and --producer-property. A word without = gives "".
func KeyValues(words []string) map[string]string {
	m := make(map[string]string, len(words))
	for _, w := range words {
		key, value, _ := strings.Cut(w, "=")
		m[key] = value
	}
	return m
}

// merge lays the later maps over the earlier ones.
func merge(ms ...map[string]string) map[string]string {
	all := map[string]string{}
	for _, m := range ms {
		maps.Copy(all, m)
	}
	return all
}
