package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

// newCompletion is `gregor completion SHELL`: the shell's script for gregor itself, and the same completion for the
// script names (kafka-topics.sh), which have to be told apart by the name they are run by.
func newCompletion(root *cobra.Command, commands []Command) *cobra.Command {
	c := &cobra.Command{
		Use:   "completion {bash|zsh|fish|powershell}",
		Short: "Print a shell's completion script.",
		Long: "Prints a shell's completion script, for gregor and for the names of Kafka's scripts.\n\n" +
			"  bash:  source <(gregor completion bash)\n" +
			"  zsh:   source <(gregor completion zsh)\n" +
			"  fish:  gregor completion fish | source\n\n" +
			"Put the line into your shell's startup file to have it in every session.",
		Args:                  cobra.ExactArgs(1),
		ValidArgs:             []string{"bash", "zsh", "fish", "powershell"},
		DisableFlagsInUseLine: true,
	}
	c.RunE = func(_ *cobra.Command, args []string) error {
		out := root.OutOrStdout()
		switch args[0] {
		case "bash":
			if err := root.GenBashCompletionV2(out, true); err != nil {
				return err
			}
			return scriptCompletion(out, bashScripts, commands)
		case "zsh":
			if err := root.GenZshCompletion(out); err != nil {
				return err
			}
			return scriptCompletion(out, zshScripts, commands)
		case "fish":
			if err := root.GenFishCompletion(out, true); err != nil {
				return err
			}
			return scriptCompletion(out, fishScripts, commands)
		case "powershell":
			return root.GenPowerShellCompletionWithDesc(out)
		}
		return fmt.Errorf("no completion for %q: choose bash, zsh, fish or powershell", args[0])
	}
	return c
}

func scriptCompletion(w io.Writer, template string, commands []Command) error {
	var names []string
	for _, c := range commands {
		if c.Script != "" {
			names = append(names, c.Script+".sh")
		}
	}
	_, err := io.WriteString(w, strings.ReplaceAll(template, "SCRIPTS", strings.Join(names, " ")))
	return err
}

// The scripts ask `gregor __complete NAME WORDS...`, which answers with a line for each choice, value and description
// apart by a tab, and a last line with a directive. gregor is looked for beside the script, then in PATH.

const bashScripts = `
_gregor_script() {
	local name=${COMP_WORDS[0]##*/} tool=${COMP_WORDS[0]%/*}/gregor line
	[[ ${COMP_WORDS[0]} == */* && -x $tool ]] || tool=gregor
	COMPREPLY=()
	while IFS= read -r line; do
		[[ $line == :* ]] && continue
		COMPREPLY+=("${line%%$'\t'*}")
	done < <("$tool" __complete "$name" "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -o default -F _gregor_script SCRIPTS
`

const zshScripts = `
_gregor_script() {
	local name=${words[1]:t} tool=${words[1]:h}/gregor line
	local -a choices
	[[ ${words[1]} == */* && -x $tool ]] || tool=gregor
	while IFS= read -r line; do
		[[ $line == :* ]] && continue
		choices+=("${${line%%$'\t'*}//:/\\:}:${line#*$'\t'}")
	done < <("$tool" __complete "$name" "${(@)words[2,CURRENT]}" 2>/dev/null)
	_describe 'options' choices || _files
}
compdef _gregor_script SCRIPTS
`

const fishScripts = `
function __gregor_script
	set -l words (commandline -opc) (commandline -ct)
	set -l tool (path dirname $words[1])/gregor
	string match -q '*/*' -- $words[1]; and test -x $tool; or set tool gregor
	$tool __complete (path basename $words[1]) $words[2..-1] 2>/dev/null | string match -v ':*'
end
for name in SCRIPTS
	complete -c $name -a '(__gregor_script)'
end
`
