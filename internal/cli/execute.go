package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// Execute runs the one binary: the command is named by argv[0] (kafka-topics, kafka-topics.sh) or by the first
// argument (topics). Every command reads its own flags as Kafka's tool does; cobra does what is around them: help,
// suggestions, completion.
func Execute(ctx context.Context, argv []string, io IO, commands []Command) int {
	if len(argv) > 0 {
		if c, ok := Lookup(commands, argv[0]); ok {
			return c.Exec(ctx, argv[1:], io)
		}
		argv = argv[1:]
	}
	if len(argv) > 0 {
		if c, ok := Lookup(commands, argv[0]); ok {
			return c.Exec(ctx, argv[1:], io)
		}
	}
	root := newRoot(io, commands)
	root.SetArgs(argv)
	if err := root.ExecuteContext(ctx); err != nil {
		fmt.Fprintf(io.Err, "%s\nRun 'gregor --help' for the commands.\n", strings.TrimSpace(err.Error()))
		return 1
	}
	return 0
}

func newRoot(io IO, commands []Command) *cobra.Command {
	root := &cobra.Command{
		Use:           "gregor",
		Short:         "Apache Kafka's protocol, formats, tools and guarantees in one static binary.",
		Version:       KafkaVersion,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.SetVersionTemplate("gregor, with the tools and the protocol of Kafka {{.Version}}\n")
	root.SetIn(io.In)
	root.SetOut(io.Out)
	root.SetErr(io.Err)
	for _, c := range commands {
		command := &cobra.Command{
			Use:                c.Name,
			Short:              c.Summary,
			DisableFlagParsing: true,
			ValidArgsFunction:  completer(c),
			Run:                func(*cobra.Command, []string) {}, // Execute has run it before cobra is asked
		}
		if c.Script != "" {
			command.Aliases = []string{c.Script, c.Script + ".sh"}
		}
		command.SetHelpFunc(func(*cobra.Command, []string) { c.Exec(root.Context(), []string{"--help"}, io) })
		root.AddCommand(command)
	}
	root.CompletionOptions.DisableDefaultCmd = true
	root.AddCommand(newCompletion(root, commands))
	return root
}

// completer offers a command's options, and an option's values if they are a short list.
func completer(c Command) cobra.CompletionFunc {
	return func(_ *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
		flags := c.Flags()
		if flags == nil {
			var found []string
			if c.Words != nil {
				found = slices.DeleteFunc(c.Words(), func(w string) bool { return !strings.HasPrefix(w, word) })
			}
			return found, cobra.ShellCompDirectiveDefault
		}
		if len(args) > 0 {
			previous := flags.byName[strings.TrimLeft(args[len(args)-1], "-")]
			if previous != nil && strings.HasPrefix(args[len(args)-1], "--") && previous.Arg != "" {
				return previous.choices, cobra.ShellCompDirectiveDefault
			}
		}
		var found []string
		for _, w := range flags.Words {
			if strings.HasPrefix(w, word) {
				found = append(found, w)
			}
		}
		for _, g := range flags.list {
			for _, name := range g.Names {
				if strings.HasPrefix("--"+name, word) {
					found = append(found, cobra.CompletionWithDesc("--"+name, g.Help))
				}
			}
		}
		return found, cobra.ShellCompDirectiveNoFileComp
	}
}
