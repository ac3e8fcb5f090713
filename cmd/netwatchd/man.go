package main

import (
	"io"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"netwatchd/internal/usage"
)

func manCommand(out io.Writer) *cobra.Command {
	return &cobra.Command{
		Use:   "man [COMMAND...]",
		Short: "Print the manual page of netwatchd or of one of its commands",
		Example: `  netwatchd man | man -l -
  netwatchd man incidents note | man -l -`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			found, err := usage.FindCommand(cmd.Root(), args)
			if err != nil {
				return err
			}
			if err := writeManual(found, out); err != nil {
				return failed(err)
			}
			return nil
		},
	}
}

// writeManual writes the manual page of one command, dated by $SOURCE_DATE_EPOCH or else by this month.
func writeManual(cmd *cobra.Command, w io.Writer) error {
	globalFlags.HideUseless(cmd)
	cmd.Root().DisableAutoGenTag = true // it would add today's date
	return doc.GenMan(cmd, &doc.GenManHeader{Section: "1", Source: "netwatchd", Manual: "netwatchd"}, w)
}
