//go:build !windows

package cli

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
)

// startDaemon starts this program's command again in the background, in a session of its own, and returns when it serves
// or has ended. What it prints goes to $LOG_DIR/NAME.out.
func startDaemon(ctx context.Context, command, name string, args []string, io IO) int {
	fail := func(err error) int {
		fmt.Fprintf(io.Err, "%s: %v\n", command, err)
		return 1
	}
	dir := os.Getenv("LOG_DIR")
	if dir == "" {
		dir = "logs"
	}
	path := filepath.Join(dir, name+".out")
	var out *os.File
	err := os.MkdirAll(dir, 0o755)
	if err == nil {
		out, err = os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	}
	if err != nil {
		return fail(fmt.Errorf("%w; what it prints goes there: set LOG_DIR to a directory that this user may write", err))
	}
	defer out.Close()
	from, _ := out.Seek(0, 2)
	self, err := os.Executable()
	if err != nil {
		return fail(err)
	}
	ready, told, err := os.Pipe()
	if err != nil {
		return fail(err)
	}
	defer ready.Close()
	rest := slices.DeleteFunc(slices.Clone(args), func(a string) bool { return a == "-daemon" || a == "--daemon" })
	cmd := exec.Command(self, append([]string{command}, rest...)...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.ExtraFiles = []*os.File{told}
	cmd.Env = append(os.Environ(), readyEnv+"=3")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		_ = told.Close()
		return fail(err)
	}
	_ = told.Close() // the child's copy is the last one: the read below ends with the child
	stop := context.AfterFunc(ctx, func() { _ = ready.Close() })
	defer stop()
	if line, _ := bufio.NewReader(ready).ReadString('\n'); line == "ready\n" || ctx.Err() != nil {
		_ = cmd.Process.Release()
		return 0
	}
	_ = cmd.Wait()
	fmt.Fprintf(io.Err, "%s: it has ended; %s says:\n", command, path)
	if text, err := os.ReadFile(path); err == nil && int(from) <= len(text) {
		_, _ = io.Err.Write(text[from:])
	}
	return 1
}
