package controller

import (
	"fmt"
	"unicode/utf8"

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
		text := ClipText(e.text)
		*message = &text
	}
}

// maxText is how many bytes a text of the protocol may have: old versions give its length in an int16, and clients refuse
// longer ones of new versions. A text that quotes what a request said is easily longer.
const maxText = 1<<15 - 1

// ClipText cuts a text that a reply could not hold, between two characters.
func ClipText(text string) string {
	if len(text) <= maxText {
		return text
	}
	const end = "..."
	n := maxText - len(end)
	for n > 0 && !utf8.RuneStart(text[n]) {
		n--
	}
	return text[:n] + end
}

// number is the code alone.
func (e *apiError) number() int16 {
	if e == nil {
		return 0
	}
	return e.code.Code
}

// errTooManyRecords refuses a request for more than maxRecordsPerRequest.
var errTooManyRecords = refuse(kerr.PolicyViolation, "Unable to perform excessively large batch operation.")

var errNotController = plain(kerr.NotController)
