package metadata

import (
	"fmt"
	"strings"
)

// MaxTopicNameLength is how long a topic's name may be.
const MaxTopicNameLength = 249

// ValidateTopicName returns an error in Kafka's words if a topic cannot have this name.
func ValidateTopicName(name string) error {
	switch {
	case name == "":
		return fmt.Errorf("Topic name is invalid: the empty string is not allowed")
	case name == "." || name == "..":
		return fmt.Errorf("Topic name is invalid: '%s' is not allowed", name)
	case len(name) > MaxTopicNameLength:
		return fmt.Errorf("Topic name is invalid: the length of '%s' is longer than the max allowed length %d", name, MaxTopicNameLength)
	case strings.ContainsFunc(name, func(r rune) bool { return !isTopicRune(r) }):
		return fmt.Errorf("Topic name is invalid: '%s' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'", name)
	}
	return nil
}

func isTopicRune(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '.' || r == '_' || r == '-'
}

// CollisionKey returns the form in which names collide that differ in '.' and '_' alone, because metrics take one for
// the other; "" for a name that has neither.
func CollisionKey(name string) string {
	if !strings.ContainsAny(name, "._") {
		return ""
	}
	return strings.ReplaceAll(name, ".", "_")
}
