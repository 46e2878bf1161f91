package cli

import (
	"context"
	"fmt"
)

func startDaemon(_ context.Context, _ []string, io IO) int {
	fmt.Fprintln(io.Err, "server-start: -daemon is not there on Windows: run the broker as a service, or with start /b")
	return 1
}
