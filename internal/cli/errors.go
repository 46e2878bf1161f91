package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

var (
	errHelp    = errors.New("help asked for")
	errVersion = errors.New("version asked for")
)

// UsageError is a wrong command line: its message is printed with the tool's usage; exit code 1.
type UsageError struct{ Message string }

func (e *UsageError) Error() string { return e.Message }

// Usagef makes a UsageError.
func Usagef(format string, args ...any) error {
	return &UsageError{Message: fmt.Sprintf(format, args...)}
}

// ExitError ends a tool with a certain exit code. Err is printed on standard error; nil if all is said already.
type ExitError struct {
	Code int
	Err  error
}

func (e *ExitError) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("exit code %d", e.Code)
	}
	return e.Err.Error()
}

func (e *ExitError) Unwrap() error { return e.Err }

// Exit ends a tool with this exit code, everything being said already.
func Exit(code int) error { return &ExitError{Code: code} }

// explain turns an error into what a user reads: what is wrong, where, and what to change.
func explain(err error) string {
	var op *net.OpError
	var dns *net.DNSError
	var broker *kerr.Error
	var unreachable *UnreachableError
	var handshake *tlsError
	var closed *kgo.ErrFirstReadEOF
	switch {
	case errors.As(err, &handshake):
		return handshake.Error()
	case errors.Is(err, kerr.SaslAuthenticationFailed), errors.Is(err, kerr.UnsupportedSaslMechanism), errors.Is(err, kerr.IllegalSaslState):
		return err.Error() + ". Check sasl.mechanism and sasl.jaas.config in the --command-config file."
	case errors.As(err, &closed), strings.Contains(err.Error(), "invalid large response size"):
		return "The broker does not speak as this tool does: " + err.Error() + " Check security.protocol in the --command-config file, and that the port in --bootstrap-server is one for clients, not a controller's."
	case errors.Is(err, kerr.MismatchedEndpointType) && !strings.Contains(err.Error(), bootstrapController):
		return "--bootstrap-server names a controller's listener: " + err.Error() + ". Give a broker's address, or use --bootstrap-controller."
	case errors.As(err, &unreachable):
		return unreachable.Error()
	case errors.Is(err, context.DeadlineExceeded):
		return "Timed out: " + err.Error() + ". If the cluster is only slow, a longer default.api.timeout.ms in the --command-config file helps."
	case errors.As(err, &dns):
		return fmt.Sprintf("No address is known for host %q. Correct --bootstrap-server, or the broker's advertised.listeners if it names this host.", dns.Name)
	case errors.As(err, &op) && errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Sprintf("Nothing listens on %s. Start the broker, or correct --bootstrap-server (or the broker's advertised.listeners if it names this address).", op.Addr)
	case errors.As(err, &op) && op.Op == "read" && op.Timeout():
		return fmt.Sprintf("%s did not answer in time. If it waits for the controllers, kafka-metadata-quorum.sh --bootstrap-controller ... describe --status shows whether they have a leader.", op.Addr)
	case errors.As(err, &broker):
		return err.Error()
	case errors.Is(err, os.ErrNotExist), errors.Is(err, os.ErrPermission):
		return "Error: " + err.Error()
	}
	return err.Error()
}

// KafkaMessage is the text of a broker's answer: its own message, or else the error code's description, which is
// what Kafka's tools print.
func KafkaMessage(err error, message *string) string {
	if message != nil && *message != "" {
		return *message
	}
	var ke *kerr.Error
	if errors.As(err, &ke) {
		// The client library words refusals as "Not authorized to access topics: [Topic authorization failed.]".
		if _, inner, ok := strings.Cut(ke.Description, ": ["); ok {
			return strings.TrimSuffix(inner, "]")
		}
		return strings.TrimSpace(ke.Description)
	}
	return err.Error()
}
