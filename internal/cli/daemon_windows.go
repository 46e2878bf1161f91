package cli

import (
	"context"
	"fmt"
)

func startDaemon(_ context.Context, command, _ string, _ []string, io IO) int {
	fmt.Fprintf(io.Err, "%s: -daemon is not there on Windows: run it as a service, or with start /b\n", command)
	return 1
}
