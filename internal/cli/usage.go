package cli

import (
	"fmt"
	"io"
	"strings"
)

// PrintHelp prints what the tool does, every option, and examples.
func (f *Flags) PrintHelp(w io.Writer) {
	fmt.Fprintf(w, "%s\n\n", f.About)
	f.printOptions(w)
	if len(f.Examples) > 0 {
		fmt.Fprint(w, "\nExamples\n")
		for _, e := range f.Examples {
			fmt.Fprintf(w, "  %s\n", e)
		}
	}
}

// PrintUsage prints every option: what follows a message about a wrong command line.
func (f *Flags) PrintUsage(w io.Writer) {
	fmt.Fprintln(w)
	f.printOptions(w)
}

const helpColumn, helpWidth = 40, 110

func (f *Flags) printOptions(w io.Writer) {
	fmt.Fprintf(w, "Usage: %s [options]\n", f.toolName())
	for _, g := range f.list {
		var head strings.Builder
		head.WriteString("  --" + strings.Join(g.Names, ", --"))
		switch {
		case g.Arg != "" && g.optionalArg:
			fmt.Fprintf(&head, " [%s]", g.Arg)
		case g.Arg != "":
			fmt.Fprintf(&head, " <%s>", g.Arg)
		}
		help := g.Help
		if g.required && !strings.HasPrefix(help, "REQUIRED") {
			help = "REQUIRED: " + help
		}
		if g.fallback != "" {
			help += fmt.Sprintf(" (default: %s)", g.fallback)
		}
		lines := wrap(help, helpWidth-helpColumn)
		if head.Len() >= helpColumn {
			fmt.Fprintln(w, head.String())
			head.Reset()
		}
		for _, line := range lines {
			fmt.Fprintf(w, "%-*s%s\n", helpColumn, head.String(), line)
			head.Reset()
		}
	}
}

func (f *Flags) toolName() string {
	if f.command.Script != "" {
		return f.command.Script + ".sh"
	}
	return "gregor " + f.command.Name
}

func wrap(text string, width int) []string {
	var lines []string
	for _, paragraph := range strings.Split(text, "\n") {
		line := ""
		for _, word := range strings.Fields(paragraph) {
			if line != "" && len(line)+1+len(word) > width {
				lines = append(lines, line)
				line = ""
			}
			if line != "" {
				line += " "
			}
			line += word
		}
		lines = append(lines, line)
	}
	return lines
}
