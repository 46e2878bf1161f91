package cli

import (
	"context"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/term"

	"gregor/internal/zookeeper/proto"
)

// lineEditor reads lines of a terminal, with editing, history and completion.
type lineEditor struct{ terminal *term.Terminal }

// newLineEditor takes the terminal of a shell; nil if there is none. What the shell prints meanwhile goes through it, so
// that the line that is being typed stays in its place. restore gives the terminal back.
func newLineEditor(s *zkShell) (e *lineEditor, restore func()) {
	in, ok := s.io.In.(*os.File)
	if !ok || !isTerminal(s.io.In) || !isTerminal(s.io.Out) {
		return nil, func() {}
	}
	before, err := term.MakeRaw(int(in.Fd()))
	if err != nil {
		return nil, func() {}
	}
	e = &lineEditor{terminal: term.NewTerminal(struct {
		io.Reader
		io.Writer
	}{in, s.io.Out}, "")}
	if width, height, err := term.GetSize(int(in.Fd())); err == nil && width > 0 {
		_ = e.terminal.SetSize(width, height)
	}
	e.terminal.AutoCompleteCallback = s.complete
	out, errs := s.io.Out, s.io.Err
	s.mu.Lock()
	s.io.Out = e.terminal
	if isTerminal(errs) {
		s.io.Err = e.terminal
	}
	s.mu.Unlock()
	return e, func() {
		s.mu.Lock()
		s.io.Out, s.io.Err = out, errs
		s.mu.Unlock()
		_ = term.Restore(int(in.Fd()), before)
	}
}

// read reads a line. Ctrl-C and Ctrl-D on an empty line are io.EOF.
func (e *lineEditor) read(prompt string) (string, error) {
	e.terminal.SetPrompt(prompt)
	return e.terminal.ReadLine()
}

// completePatience bounds how long a Tab waits for the server.
const completePatience = 2 * time.Second

// complete finishes the word before the cursor: a command, or a path as far as the nodes that there are agree.
func (s *zkShell) complete(line string, pos int, key rune) (string, int, bool) {
	if key != '\t' {
		return "", 0, false
	}
	start := strings.LastIndexByte(line[:pos], ' ') + 1
	word := line[start:pos]
	var choices []string
	switch {
	case start == 0:
		for name := range zkCommands() {
			choices = append(choices, name+" ")
		}
	case strings.HasPrefix(word, "/") && s.zk != nil:
		choices = s.nodesBeside(word)
	}
	choices = slices.DeleteFunc(choices, func(c string) bool { return !strings.HasPrefix(c, word) })
	if len(choices) == 0 {
		return "", 0, false
	}
	common := choices[0]
	for _, c := range choices[1:] {
		for !strings.HasPrefix(c, common) {
			common = common[:len(common)-1]
		}
	}
	return line[:start] + common + line[pos:], start + len(common), true
}

// nodesBeside are the paths of the nodes in the parent that a word names.
func (s *zkShell) nodesBeside(word string) (paths []string) {
	parent := word[:strings.LastIndexByte(word, '/')]
	on := parent
	if on == "" {
		on = "/"
	}
	if checkPath(on) != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), completePatience)
	defer cancel()
	reply, err := s.zk.call(ctx, &proto.GetChildrenRequest{Type: proto.OpGetChildren, Path: s.zk.withChroot(on)})
	if err != nil {
		return nil
	}
	for _, child := range reply.(*proto.ChildrenReply).Children {
		paths = append(paths, parent+"/"+child)
	}
	return paths
}
