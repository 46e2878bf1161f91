package reference

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Runner is a JVM that runs tools one after the other, which saves the start of a JVM for each. It is not safe for
// concurrent use.
type Runner struct {
	kafka   *Kafka
	ctx     context.Context // of the JVM's life
	classes string
	cmd     *exec.Cmd
	in      io.WriteCloser
	out     io.Reader
	stderr  bytes.Buffer // of the JVM itself; a tool's output comes back in its Result
}

// Result is what a tool left.
type Result struct {
	Code           int // exit code
	Stdout, Stderr string
}

// Exit codes that the JVM gives in place of the tool's.
const (
	timedOut    = -1
	endedTheJVM = -2
)

// ErrTimeout is returned with what was printed until then.
var ErrTimeout = errors.New("the tool did not end in time")

// StartRunner starts the JVM.
func (k *Kafka) StartRunner(ctx context.Context) (*Runner, error) {
	classes, err := k.Compile(ctx, filepath.Join(sourceDir(), "Runner.java"))
	if err != nil {
		return nil, err
	}
	r := &Runner{kafka: k, ctx: ctx, classes: classes}
	return r, r.start()
}

func (r *Runner) start() (err error) {
	r.stderr.Reset()
	r.cmd = r.kafka.Java(r.ctx, r.classes, "Runner")
	r.cmd.Stderr = &r.stderr
	if r.in, err = r.cmd.StdinPipe(); err != nil {
		return err
	}
	if r.out, err = r.cmd.StdoutPipe(); err != nil {
		return err
	}
	return r.cmd.Start()
}

// Run runs a tool to its end, at most for the timeout.
func (r *Runner) Run(timeout time.Duration, stdin, tool string, args ...string) (Result, error) {
	main, ok := tools[strings.TrimPrefix(tool, "kafka-")]
	if !ok {
		return Result{}, fmt.Errorf("no tool named %q", tool)
	}
	call := binary.BigEndian.AppendUint32(nil, uint32(timeout.Milliseconds()))
	call = appendBytes(call, main)
	call = binary.BigEndian.AppendUint32(call, uint32(len(args)))
	for _, arg := range args {
		call = appendBytes(call, arg)
	}
	call = appendBytes(call, stdin)
	if _, err := r.in.Write(call); err != nil {
		return Result{}, fmt.Errorf("%w\n%s", err, r.stderr.String())
	}
	var code int32
	if err := binary.Read(r.out, binary.BigEndian, &code); err != nil {
		return Result{}, fmt.Errorf("the JVM ended: %w\n%s", err, r.stderr.String())
	}
	stdout, err := readBytes(r.out)
	if err != nil {
		return Result{}, err
	}
	stderr, err := readBytes(r.out)
	if err != nil {
		return Result{}, err
	}
	result := Result{int(code), stdout, stderr}
	switch code {
	case timedOut:
		_ = r.cmd.Process.Kill()
		_ = r.cmd.Wait()
		return result, errors.Join(ErrTimeout, r.start())
	case endedTheJVM:
		_ = r.cmd.Wait()
		result.Code = r.cmd.ProcessState.ExitCode()
		return result, r.start()
	}
	return result, nil
}

// Close ends the JVM.
func (r *Runner) Close() error {
	r.in.Close()
	return r.cmd.Wait()
}

func appendBytes(to []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint32(to, uint32(len(s))), s...)
}

func readBytes(r io.Reader) (string, error) {
	var n uint32
	if err := binary.Read(r, binary.BigEndian, &n); err != nil {
		return "", err
	}
	b := make([]byte, n)
	_, err := io.ReadFull(r, b)
	return string(b), err
}
