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

// startDaemon starts this program again in the background, in a session of its own, and returns when it serves or has
// ended.
func startDaemon(ctx context.Context, args []string, io IO) int {
	fail := func(err error) int {
		fmt.Fprintln(io.Err, "server-start:", err)
		return 1
	}
	dir := os.Getenv("LOG_DIR")
	if dir == "" {
		dir = "logs"
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fail(err)
	}
	path := filepath.Join(dir, "kafkaServer.out")
	out, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return fail(err)
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
	cmd := exec.Command(self, append([]string{"server-start"}, rest...)...)
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
	fmt.Fprintf(io.Err, "server-start: the broker has ended; %s says:\n", path)
	if text, err := os.ReadFile(path); err == nil && int(from) <= len(text) {
		_, _ = io.Err.Write(text[from:])
	}
	return 1
}
