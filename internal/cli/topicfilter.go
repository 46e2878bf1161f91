package cli

import (
	"fmt"
	"regexp"
	"strings"
)

// topicFilter is Kafka's include list: a regular expression that the whole name has to match; commas mean "or".
type topicFilter struct{ re *regexp.Regexp }

func newTopicFilter(list string) (topicFilter, error) {
	list = strings.Trim(strings.TrimSpace(list), `"'`)
	list = strings.ReplaceAll(strings.ReplaceAll(list, ",", "|"), " ", "")
	re, err := regexp.Compile(`^(?:` + list + `)$`)
	if err != nil {
		return topicFilter{}, fmt.Errorf("%s is an invalid regex.", list) //nolint:staticcheck // Kafka's words
	}
	return topicFilter{re}, nil
}

// Match tells whether a topic belongs to the list.
func (f topicFilter) Match(topic string) bool { return f.re.MatchString(topic) }

// internalTopic tells whether Kafka counts a topic among its internal ones.
func internalTopic(name string) bool {
	switch name {
	case "__consumer_offsets", "__transaction_state", "__share_group_state":
		return true
	}
	return false
}
