package harness

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
)

// touch makes the host give memory: a process that maps so many MB, writes to each page, and ends.
func touch(ctx context.Context, mb int) error {
	if mb == 0 {
		return nil
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if out, err := exec.CommandContext(ctx, self, "touch", strconv.Itoa(mb)).CombinedOutput(); err != nil {
		return fmt.Errorf("touch %d MB of memory: %w\n%s", mb, err, out)
	}
	return nil
}

// Touch is that process.
func Touch(args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("touch MB")
	}
	mb, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	for b := make([]byte, mb<<20); len(b) > 0; b = b[min(4096, len(b)):] {
		b[0] = 1
	}
	return nil
}
