package controller

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
)

// apiError is a refusal as the client gets it: a code of the protocol and a text. nil is success.
type apiError struct {
	code *kerr.Error
	text string
}

func (e *apiError) Error() string { return e.code.Message + ": " + e.text }

// refuse returns an error with a text of its own.
func refuse(code *kerr.Error, format string, args ...any) *apiError {
	return &apiError{code, fmt.Sprintf(format, args...)}
}

// plain returns an error with the code's own text.
func plain(code *kerr.Error) *apiError { return &apiError{code, code.Description} }

// put sets the fields of a reply.
func (e *apiError) put(code *int16, message **string) {
	if e == nil {
		*code, *message = 0, nil
		return
	}
	*code = e.code.Code
	if message != nil && e.text != "" {
		text := e.text
		*message = &text
	}
}

// number is the code alone.
func (e *apiError) number() int16 {
	if e == nil {
		return 0
	}
	return e.code.Code
}

var errNotController = plain(kerr.NotController)
