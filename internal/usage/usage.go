// Package usage says in plain words what is wrong with a command line.
package usage

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"netwatchd/internal/strictyaml"
)

// GlobalFlags are the names of the global flags that have an effect on a command, by the command's name. A command that
// is not listed uses all of them; commands below another use those of their parent.
type GlobalFlags map[string][]string

// InPlainWords replaces the messages of cobra and pflag about a wrong command line, which quote Go's parsers
// (`strconv.ParseInt: parsing "x": invalid syntax`), and hides global flags where they mean nothing.
func InPlainWords(root *cobra.Command, global GlobalFlags) {
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		global.HideUseless(cmd)
		return flagError(cmd, err)
	})
	root.SetHelpCommand(helpCommand())
	root.InitDefaultCompletionCmd()
	help := root.HelpFunc()
	root.SetHelpFunc(func(cmd *cobra.Command, args []string) {
		global.HideUseless(cmd)
		help(cmd, args)
	})
	for _, cmd := range tree(root) {
		if cmd.Args == nil || strings.HasPrefix(cmd.CommandPath(), "netwatchd completion") {
			cmd.Args = CheckArgs
		}
		if !cmd.Runnable() { // it only groups others
			cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
		}
	}
}

// tree returns cmd and all commands below it.
func tree(cmd *cobra.Command) []*cobra.Command {
	all := []*cobra.Command{cmd}
	for _, below := range cmd.Commands() {
		all = append(all, tree(below)...)
	}
	return all
}

func helpCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND]",
		Short: "Describe a command",
		Args:  cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			found, err := FindCommand(cmd.Root(), args)
			if err != nil {
				return err
			}
			found.InitDefaultHelpFlag()
			return found.Help()
		},
	}
}

// FindCommand returns the command below root that words name.
func FindCommand(root *cobra.Command, words []string) (*cobra.Command, error) {
	cmd := root
	for _, word := range words {
		n := slices.IndexFunc(cmd.Commands(), func(c *cobra.Command) bool { return c.Name() == word })
		if n < 0 {
			return nil, unknownCommand(cmd, word)
		}
		cmd = cmd.Commands()[n]
	}
	return cmd, nil
}

// usageError adds how to use cmd to a message about its arguments.
func usageError(cmd *cobra.Command, format string, args ...any) error {
	text := fmt.Sprintf(format, args...)
	if len(placeholders(cmd)) == 0 {
		return fmt.Errorf("%s\n'%s --help' describes it", text, cmd.CommandPath())
	}
	text += "\nusage: " + cmd.CommandPath() + " " + strings.Join(placeholders(cmd), " ")
	if example, _, _ := strings.Cut(strings.TrimSpace(cmd.Example), "\n"); example != "" {
		text += "\nfor example: " + example
	}
	return errors.New(text)
}

// placeholders are the arguments of a command, by its line of usage: the last may be repeated if it ends with "...".
func placeholders(cmd *cobra.Command) []string { return strings.Fields(cmd.Use)[1:] }

// CheckArgs checks the number of arguments by the command's line of usage.
func CheckArgs(cmd *cobra.Command, args []string) error {
	return CheckCount(cmd, args, placeholders(cmd))
}

// CheckCount checks the number of arguments: want are their names, and the last may be repeated if it ends with "...".
func CheckCount(cmd *cobra.Command, args, want []string) error {
	switch {
	case len(args) < len(want):
		return usageError(cmd, "%s is missing", strings.TrimSuffix(want[len(args)], "..."))
	case len(args) == len(want), len(want) > 0 && strings.HasSuffix(want[len(want)-1], "..."):
		return nil
	case len(want) == 0 && cmd.HasAvailableSubCommands():
		return unknownCommand(cmd, args[0])
	}
	return usageError(cmd, "unexpected argument %q", args[len(want)])
}

func unknownCommand(cmd *cobra.Command, word string) error {
	text := fmt.Sprintf("unknown command %q", word)
	var names []string
	paths := make(map[string]string) // a command by its last word: "backup" is "store backup"
	for _, below := range tree(cmd)[1:] {
		if _, taken := paths[below.Name()]; !taken && below.IsAvailableCommand() {
			paths[below.Name()] = strings.TrimPrefix(below.CommandPath(), cmd.CommandPath()+" ")
			names = append(names, below.Name())
		}
	}
	for _, below := range cmd.Commands() { // before those further down, which may have the same name
		paths[below.Name()] = below.Name()
	}
	if near := strictyaml.Nearest(word, names); near != "" {
		text += fmt.Sprintf(": did you mean %q?", paths[near])
	} else if cmd.HasParent() { // few enough for a line
		text += ": write one of " + strings.Join(names, ", ")
	}
	return fmt.Errorf("%s\n'%s --help' lists the commands", text, cmd.CommandPath())
}

// flagError says what is wrong with a flag. A flag of a misspelt command is unknown too: then the command is the error.
func flagError(cmd *cobra.Command, err error) error {
	if words := cmd.Flags().Args(); len(words) > 0 && len(placeholders(cmd)) == 0 && cmd.HasAvailableSubCommands() {
		return unknownCommand(cmd, words[0])
	}
	text := err.Error()
	if unknown, ok := errors.AsType[*pflag.NotExistError](err); ok {
		text = unknownFlag(cmd, unknown)
	} else if missing, ok := errors.AsType[*pflag.ValueRequiredError](err); ok {
		text = fmt.Sprintf("--%s needs a value", missing.GetFlag().Name)
	} else if invalid, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
		f := invalid.GetFlag()
		text = fmt.Sprintf("--%s %q is not %s", f.Name, invalid.GetValue(), wantedValue(f))
	} else if malformed, ok := errors.AsType[*pflag.InvalidSyntaxError](err); ok {
		text = fmt.Sprintf("%q is not a flag", malformed.GetSpecifiedFlag())
	}
	return fmt.Errorf("%s\n'%s --help' describes the flags", text, cmd.CommandPath())
}

func unknownFlag(cmd *cobra.Command, unknown *pflag.NotExistError) string {
	var known []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			known = append(known, f.Name)
		}
	})
	asked, word := "--"+unknown.GetSpecifiedName(), unknown.GetSpecifiedName()
	if letters := unknown.GetSpecifiedShortnames(); letters != "" { // -json is -j -s -o -n
		asked, word = "-"+letters, letters
	}
	if near := strictyaml.Nearest(word, known); near != "" {
		return fmt.Sprintf("unknown flag %s: did you mean --%s?", asked, near)
	}
	return "unknown flag " + asked
}

// wantedValue describes the values of a flag.
func wantedValue(f *pflag.Flag) string {
	switch f.Value.Type() {
	case "duration":
		return "a duration: write a number and a unit (ms, s, m, h), for example 5s"
	case "int":
		return "a whole number, for example " + f.DefValue
	case "float64":
		return "a number, for example " + f.DefValue
	case "intSlice":
		return "a list of whole numbers, for example 200,204"
	case "bool":
		return "true or false"
	}
	return "a valid value: use quotes only in pairs" // a list is read as CSV
}

// HideUseless hides the global flags that have no effect on cmd from its help. They are still accepted.
func (g GlobalFlags) HideUseless(cmd *cobra.Command) {
	for cmd.HasParent() && cmd.Parent().HasParent() {
		cmd = cmd.Parent()
	}
	useful, listed := g[cmd.Name()]
	cmd.Root().PersistentFlags().VisitAll(func(f *pflag.Flag) {
		f.Hidden = listed && cmd.HasParent() && !slices.Contains(useful, f.Name)
	})
}
