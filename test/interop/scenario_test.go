package interop

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"gregor/test/reference"
	"gregor/test/server"
)

// A scenario is a text file of commands. Each command is run twice on one broker, by our tool and by Apache Kafka's, and
// both must print the same and exit with the same code. Its lines:
//
//	# a comment
//	$ topics --create --topic NAME-a     a command; NAME is "ours" for our tool and "them" for the other, so that each
//	                                     may change things; it is NAME again in what is compared. BROKER stands for the
//	                                     address, which --bootstrap-server gets if nothing else is said, DATA for
//	                                     the directory of the broker's logs, TMP for one of the test's own
//	$sort topics --list                  lines may come in any order
//	$error topics --topic NAME-none ...  it must fail in the same way: exit code and first line are compared, the rest
//	                                     (a stack trace there, advice here) is not
//	$code topics --help                  only exit codes are compared
//	$until TEXT command                  no comparison: our tool runs the command until it prints TEXT
//	$stop, $start                        end the broker, so that its files are complete; start it again
//	< text                               a line of standard input of the command above
//	~ REGEXP => TEXT                     from here on, replace in both outputs before comparing
type step struct {
	line    int
	kind    string // "", "sort", "error", "code", "until", "stop", "start"
	args    []string
	stdin   string
	replace []replacement
}

type replacement struct {
	re *regexp.Regexp
	to string
}

func parseScenario(file, text string) ([]step, error) {
	var steps []step
	var replace []replacement
	for i, line := range strings.Split(text, "\n") {
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
		case strings.HasPrefix(line, "~ "):
			from, to, ok := strings.Cut(line[2:]+" ", " => ")
			if !ok {
				return nil, fmt.Errorf("%s:%d: want ~ REGEXP => TEXT", file, i+1)
			}
			re, err := regexp.Compile(from)
			if err != nil {
				return nil, fmt.Errorf("%s:%d: %w", file, i+1, err)
			}
			replace = append(replace[:len(replace):len(replace)], replacement{re, strings.ReplaceAll(strings.TrimSuffix(to, " "), `\n`, "\n")})
		case strings.HasPrefix(line, "$"):
			kind, command, _ := strings.Cut(line[1:], " ")
			steps = append(steps, step{line: i + 1, kind: kind, args: words(command), replace: replace})
		case strings.HasPrefix(line, "<") && len(steps) > 0:
			steps[len(steps)-1].stdin += strings.TrimPrefix(strings.TrimPrefix(line, "<"), " ") + "\n"
		default:
			return nil, fmt.Errorf("%s:%d: not a scenario line: %s", file, i+1, line)
		}
	}
	return steps, nil
}

// words splits at blanks; '...' keeps them.
func words(s string) []string {
	var out []string
	for {
		s = strings.TrimLeft(s, " ")
		if s == "" {
			return out
		}
		var word string
		if s[0] == '\'' {
			word, s, _ = strings.Cut(s[1:], "'")
		} else {
			word, s, _ = strings.Cut(s, " ")
		}
		out = append(out, word)
	}
}

// pair runs the two tools.
type pair struct {
	kafka  *reference.Kafka
	runner *reference.Runner
	server *server.Server
	tmp    string
	words  []string // more words and what they stand for, as strings.NewReplacer takes them
}

const toolTimeout = 40 * time.Second

func newPair(t *testing.T, s *server.Server) *pair {
	t.Helper()
	p := &pair{kafka: kafka(t), server: s, tmp: t.TempDir()}
	var err error
	if p.runner, err = p.kafka.StartRunner(context.WithoutCancel(t.Context())); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.runner.Close() })
	return p
}

// offline names the tools that talk to no broker.
var offline = map[string]bool{"dump-log": true, "storage": true}

func (p *pair) args(name string, args []string) (tool string, out []string) {
	r := strings.NewReplacer(append([]string{"NAME", name, "BROKER", p.server.Addr, "DATA", p.server.Dir, "TMP", p.tmp}, p.words...)...)
	connected := false
	for _, arg := range args[1:] {
		connected = connected || strings.HasPrefix(arg, "--bootstrap-") || arg == "--version" || arg == "--help" || strings.Contains(arg, "BROKER")
		out = append(out, r.Replace(arg))
	}
	if !offline[args[0]] && !connected {
		out = append(out, "--bootstrap-server", p.server.Addr)
	}
	return args[0], out
}

func (p *pair) ours(t *testing.T, name, stdin string, args []string) reference.Result {
	t.Helper()
	if os.Getenv("GREGOR_TOOLS") == "apache" {
		return p.run(t, name, stdin, args)
	}
	tool, args := p.args(name, args)
	ctx, cancel := context.WithTimeout(t.Context(), toolTimeout)
	defer cancel()
	result := server.Tool(ctx, t, stdin, tool, args...)
	if ctx.Err() != nil {
		t.Errorf("our %s %q did not end in %v", tool, args, toolTimeout)
	}
	return result
}

func (p *pair) run(t *testing.T, name, stdin string, args []string) reference.Result {
	t.Helper()
	tool, args := p.args(name, args)
	result, err := p.runner.Run(toolTimeout, stdin, tool, args...)
	if errors.Is(err, reference.ErrTimeout) {
		t.Errorf("Apache Kafka's %s %q did not end in %v", tool, args, toolTimeout)
	} else if err != nil {
		t.Fatal(err)
	}
	return result
}

// compare runs one step by both tools and reports how they differ.
func (p *pair) compare(t *testing.T, st step) {
	t.Helper()
	start := time.Now()
	ours := p.ours(t, "ours", st.stdin, st.args)
	between := time.Now()
	theirs := p.run(t, "them", st.stdin, st.args)
	if took := time.Since(start); took > 2*time.Second {
		t.Logf("line %d: %s: ours took %v, theirs %v", st.line, strings.Join(st.args, " "), between.Sub(start).Round(time.Millisecond), time.Since(between).Round(time.Millisecond))
	}
	p.diff(t, st, ours, theirs)
}

// until runs our tool until it prints the step's first word.
func (p *pair) until(t *testing.T, st step) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	for tick := time.Tick(20 * time.Millisecond); ; {
		tool, args := p.args("ours", st.args[1:])
		result := server.Tool(t.Context(), t, "", tool, args...)
		if strings.Contains(result.Stdout, st.args[0]) {
			return
		}
		select {
		case <-deadline:
			t.Errorf("line %d: %s never printed %q; at last:\n%s%s", st.line, tool, st.args[0], result.Stdout, result.Stderr)
			return
		case <-tick:
		}
	}
}

func (p *pair) diff(t *testing.T, st step, ours, theirs reference.Result) {
	t.Helper()
	if ours.Code != theirs.Code {
		t.Errorf("line %d: %s: our exit code is %d, Apache Kafka's %d\n%s", st.line, strings.Join(st.args, " "), ours.Code, theirs.Code, both(ours, theirs))
		return
	}
	if st.kind == "error" && theirs.Code == 0 && !strings.Contains(theirs.Stdout+theirs.Stderr, "rror") {
		t.Errorf("line %d: %s does not fail at all\n%s", st.line, strings.Join(st.args, " "), both(ours, theirs))
		return
	}
	if st.kind == "code" {
		return
	}
	a, b := p.normal(st, ours), p.normal(st, theirs)
	if a != b {
		t.Errorf("line %d: %s: the outputs differ (- Apache Kafka's, + ours)\n%s\n%s", st.line, strings.Join(st.args, " "),
			lineDiff(b, a), indent("standard error of ours: ", ours.Stderr)+indent("standard error of theirs: ", theirs.Stderr))
	}
}

func (p *pair) normal(st step, r reference.Result) string {
	text := strings.NewReplacer("ours", "NAME", "them", "NAME").Replace(r.Stdout)
	if st.kind == "error" {
		text = firstLine(strings.NewReplacer("ours", "NAME", "them", "NAME").Replace(r.Stdout + "\n" + r.Stderr))
	}
	for _, rep := range st.replace {
		text = rep.re.ReplaceAllString(text, rep.to)
	}
	if st.kind == "sort" {
		text = sortLines(text)
	}
	return text
}

func runScenario(t *testing.T, p *pair, file string) {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	steps, err := parseScenario(file, string(text))
	if err != nil {
		t.Fatal(err)
	}
	for _, st := range steps {
		switch st.kind {
		case "until":
			p.until(t, st)
		case "stop":
			if err := p.server.Stop(); err != nil {
				t.Error(err)
			}
		case "start":
			p.server.Restart(t)
		default:
			p.compare(t, st)
		}
	}
}
