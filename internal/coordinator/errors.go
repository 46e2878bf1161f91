package coordinator

import (
	"errors"

	"github.com/twmb/franz-go/pkg/kerr"
)

// Code is Kafka's for an error of the shell.
func Code(err error) *kerr.Error {
	switch {
	case errors.Is(err, ErrNotCoordinator):
		return kerr.NotCoordinator
	case errors.Is(err, ErrLoading):
		return kerr.CoordinatorLoadInProgress
	}
	return kerr.CoordinatorNotAvailable
}
