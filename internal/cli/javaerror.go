package cli

import (
	"errors"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
)

// javaError is how Kafka's tools print a broker's error where they print a Java exception: with its class name, which
// scripts look for.
func javaError(err error, message *string) string {
	var code *kerr.Error
	if !errors.As(err, &code) {
		return explain(err)
	}
	return "org.apache.kafka.common.errors." + javaClass(code.Message) + ": " + KafkaMessage(err, message)
}

// javaClass makes GROUP_ID_NOT_FOUND GroupIdNotFoundException, with the few names that do not follow the rule.
func javaClass(code string) string {
	switch code {
	case "NON_EMPTY_GROUP":
		return "GroupNotEmptyException"
	case "UNKNOWN_SERVER_ERROR":
		return "UnknownServerException"
	case "REQUEST_TIMED_OUT":
		return "TimeoutException"
	case "GROUP_AUTHORIZATION_FAILED", "TOPIC_AUTHORIZATION_FAILED", "CLUSTER_AUTHORIZATION_FAILED", "TRANSACTIONAL_ID_AUTHORIZATION_FAILED":
		code = strings.TrimSuffix(code, "_FAILED")
	case "INVALID_TOPIC_EXCEPTION":
		code = "INVALID_TOPIC"
	case "TOPIC_ALREADY_EXISTS":
		code = "TOPIC_EXISTS"
	case "INVALID_CONFIG":
		code = "INVALID_CONFIGURATION"
	}
	var b strings.Builder
	for _, word := range strings.Split(strings.ToLower(code), "_") {
		if word != "" {
			b.WriteString(strings.ToUpper(word[:1]) + word[1:])
		}
	}
	return b.String() + "Exception"
}
