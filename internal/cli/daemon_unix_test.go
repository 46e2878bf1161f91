//go:build !windows

package cli

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"
)

func TestDaemonWhoseOutputHasNoPlace(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	writeFile(t, file, nil)
	t.Setenv("LOG_DIR", filepath.Join(file, "logs"))
	var errs bytes.Buffer
	if code := startDaemon(t.Context(), "server-start", "kafkaServer", nil, IO{Err: &errs}); code != 1 || !strings.Contains(errs.String(), "set LOG_DIR to a directory") {
		t.Error(code, errs.String())
	}
}
