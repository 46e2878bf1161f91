package cli

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Flags are a tool's options, read as Kafka's tools read theirs (joptsimple): `--name value` or `--name=value`, one
// dash or two, an option may come several times, `--` ends the options, no abbreviations. An option that takes a
// value takes the next word whatever it looks like.
type Flags struct {
	command  Command
	About    string   // what the tool does, for --help
	Examples []string // complete command lines, for --help
	Words    []string // what may stand without dashes: the tool's subcommands, for completion
	Rest     []string // what is no option

	list   []*Flag
	byName map[string]*Flag
	output *Flag
}

func newFlags(c Command) *Flags {
	f := &Flags{command: c, About: c.Summary, byName: map[string]*Flag{}}
	f.Switch("help", "Print usage information.")
	f.Switch("version", "Display the version of Kafka whose tool this is.")
	return f
}

// NewFlags is for a test, or for a tool that is no Command.
func NewFlags(name, about string) *Flags {
	return newFlags(Command{Name: name, Summary: about})
}

// Flag is one option. Names[0] is the one that messages use.
type Flag struct {
	Names       []string
	Arg         string // what the value is, for --help; "" if the option takes none
	Help        string
	optionalArg bool
	required    bool
	kind        kind
	fallback    string
	choices     []string

	count  int
	values []string
}

type kind int

const (
	anyKind kind = iota
	intKind
	longKind
	floatKind
)

func (f *Flags) add(flag *Flag) *Flag {
	for _, name := range flag.Names {
		if f.byName[name] != nil {
			panic("cli: flag " + name + " is declared twice")
		}
		f.byName[name] = flag
	}
	f.list = append(f.list, flag)
	return flag
}

// Switch declares an option without a value.
func (f *Flags) Switch(name, help string) *Flag {
	return f.add(&Flag{Names: []string{name}, Help: help})
}

// String declares an option with a value; arg says what the value is.
func (f *Flags) String(name, arg, help string) *Flag {
	return f.add(&Flag{Names: []string{name}, Arg: arg, Help: help})
}

// Int declares an option whose value is a 32-bit number.
func (f *Flags) Int(name, arg, help string) *Flag {
	return f.add(&Flag{Names: []string{name}, Arg: arg, Help: help, kind: intKind})
}

// Long declares an option whose value is a 64-bit number.
func (f *Flags) Long(name, arg, help string) *Flag {
	return f.add(&Flag{Names: []string{name}, Arg: arg, Help: help, kind: longKind})
}

// Float declares an option whose value is a number.
func (f *Flags) Float(name, arg, help string) *Flag {
	return f.add(&Flag{Names: []string{name}, Arg: arg, Help: help, kind: floatKind})
}

// Alias declares another name for the same option, as when a release of Kafka renamed it.
func (f *Flags) Alias(flag *Flag, names ...string) *Flag {
	for _, name := range names {
		if f.byName[name] != nil {
			panic("cli: flag " + name + " is declared twice")
		}
		f.byName[name] = flag
	}
	flag.Names = append(flag.Names, names...)
	return flag
}

// Output declares --output text|json: every tool that lists or describes has it.
func (f *Flags) Output() *Flag {
	f.output = f.String("output", "text|json", "How to print the result: text as Kafka prints it, or json.").Default("text").OneOf("text", "json")
	return f.output
}

// JSON tells whether --output json was given.
func (f *Flags) JSON() bool { return f.output != nil && f.output.Value() == "json" }

// Default gives the value that counts when the option is not there.
func (g *Flag) Default(v string) *Flag { g.fallback = v; return g }

// Required makes parsing fail without this option (unless --help or --version is there).
func (g *Flag) Required() *Flag { g.required = true; return g }

// OptionalArg lets the option come with or without its value.
func (g *Flag) OptionalArg() *Flag { g.optionalArg = true; return g }

// OneOf limits the values.
func (g *Flag) OneOf(choices ...string) *Flag { g.choices = choices; return g }

// Name is the option's first name, without dashes.
func (g *Flag) Name() string { return g.Names[0] }

// Seen tells whether the option is on the command line.
func (g *Flag) Seen() bool { return g.count > 0 }

// Has tells whether the option has a value, given or by default.
func (g *Flag) Has() bool { return len(g.values) > 0 || g.fallback != "" }

// Values are all values given, in order, or the default.
func (g *Flag) Values() []string {
	if len(g.values) == 0 && g.fallback != "" {
		return []string{g.fallback}
	}
	return g.values
}

// Value is the last value given, or the default, or "".
func (g *Flag) Value() string {
	if len(g.values) > 0 {
		return g.values[len(g.values)-1]
	}
	return g.fallback
}

// Int is Value as a number; it was checked while parsing.
func (g *Flag) Int() int { n, _ := strconv.Atoi(g.Value()); return n }

// Int64 is Value as a number; it was checked while parsing.
func (g *Flag) Int64() int64 { n, _ := strconv.ParseInt(g.Value(), 10, 64); return n }

// Float is Value as a number; it was checked while parsing.
func (g *Flag) Float() float64 { n, _ := strconv.ParseFloat(g.Value(), 64); return n }

// Parse reads the arguments. It may be called once.
func (f *Flags) Parse(args []string) error {
	for len(args) > 0 {
		word := args[0]
		args = args[1:]
		if word == "--" {
			f.Rest = append(f.Rest, args...)
			break
		}
		if len(word) < 2 || word[0] != '-' {
			f.Rest = append(f.Rest, word)
			continue
		}
		name, value, hasValue := strings.Cut(strings.TrimPrefix(word[1:], "-"), "=")
		g := f.byName[name]
		if g == nil && name == "h" {
			g = f.byName["help"]
		}
		if g == nil {
			return Usagef("%s is not a recognized option%s", name, f.hint(name))
		}
		g.count++
		if g.Arg == "" {
			if hasValue {
				return Usagef("Option %s does not take a value, but %q was given", name, value)
			}
			continue
		}
		if !hasValue {
			switch {
			case g.optionalArg && (len(args) == 0 || strings.HasPrefix(args[0], "-")):
				continue
			case len(args) == 0:
				return Usagef("Option %s requires an argument", g.Name())
			}
			value, args = args[0], args[1:]
		}
		if err := g.check(value); err != nil {
			return err
		}
		g.values = append(g.values, value)
	}
	switch {
	case f.byName["help"].Seen():
		return errHelp
	case f.byName["version"].Seen():
		return errVersion
	}
	return f.checkRequired()
}

func (f *Flags) checkRequired() error {
	var missing []string
	for _, g := range f.list {
		if g.required && !g.Seen() {
			missing = append(missing, g.Name())
		}
	}
	switch len(missing) {
	case 0:
		return nil
	case 1:
		return Usagef("Missing required option(s) [%s]", missing[0])
	}
	return Usagef("Missing required option(s) [%s]", strings.Join(missing, ", "))
}

func (g *Flag) check(value string) error {
	var err error
	switch g.kind {
	case intKind:
		_, err = strconv.ParseInt(value, 10, 32)
	case longKind:
		_, err = strconv.ParseInt(value, 10, 64)
	case floatKind:
		_, err = strconv.ParseFloat(value, 64)
	}
	if err != nil {
		return Usagef("Cannot parse argument '%s' of option %s", value, g.Name())
	}
	if g.choices != nil && !slices.Contains(g.choices, value) {
		return Usagef("Option %s is %q, but must be one of: %s", g.Name(), value, strings.Join(g.choices, ", "))
	}
	return nil
}

// hint names an option that was probably meant.
func (f *Flags) hint(name string) string {
	if name == "zookeeper" && f.byName["bootstrap-server"] != nil { // of Kafka's tools before 3.0, and of older tutorials
		return " (the tools ask the brokers: use --bootstrap-server, for example localhost:9092)"
	}
	if len(name) < 3 {
		return ""
	}
	for _, g := range f.list {
		for _, known := range g.Names {
			if strings.HasPrefix(known, name) || oneEdit(known, name) {
				return fmt.Sprintf(" (did you mean --%s?)", known)
			}
		}
	}
	return ""
}

// oneEdit tells whether a and b differ by one letter added, lost, changed, or two swapped.
func oneEdit(a, b string) bool {
	i := 0
	for i < len(a) && i < len(b) && a[i] == b[i] {
		i++
	}
	a, b = a[i:], b[i:]
	for len(a) > 0 && len(b) > 0 && a[len(a)-1] == b[len(b)-1] {
		a, b = a[:len(a)-1], b[:len(b)-1]
	}
	return len(a)+len(b) > 0 && (len(a) <= 1 && len(b) <= 1 || len(a) == 2 && len(b) == 2 && a[0] == b[1] && a[1] == b[0])
}

// String is how Kafka's messages name an option: [name], or [name, other name].
func (g *Flag) String() string { return "[" + strings.Join(g.Names, ", ") + "]" }

// Require fails if one of the options is missing, in Kafka's words.
func Require(flags ...*Flag) error {
	for _, g := range flags {
		if !g.Seen() {
			return Usagef("Missing required argument %q", g.String())
		}
	}
	return nil
}

// Exclude fails if used is there together with one of the others, in Kafka's words.
func Exclude(used *Flag, others ...*Flag) error {
	if !used.Seen() {
		return nil
	}
	for _, g := range others {
		if g.Seen() {
			return Usagef("Option %q can't be used with option %q", used.String(), g.String())
		}
	}
	return nil
}

// ExactlyOne tells whether one of the options is there and no other.
func ExactlyOne(flags ...*Flag) bool {
	n := 0
	for _, g := range flags {
		if g.Seen() {
			n++
		}
	}
	return n == 1
}
