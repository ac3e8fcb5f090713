package main

import (
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

var manual = flag.String("man", "", "write the manual pages into this directory, dated by $SOURCE_DATE_EPOCH")

// The manual pages are generated from the commands, one page per command. A test generates them, so that the program
// does not link the generator.
func TestManual(t *testing.T) {
	dir := *manual
	if dir == "" {
		dir = t.TempDir()
		t.Setenv("SOURCE_DATE_EPOCH", "0")
	}
	root := (&app{out: io.Discard, errs: io.Discard}).rootCommand()
	root.DisableAutoGenTag = true // it would add today's date
	header := &doc.GenManHeader{Section: "1", Source: "netwatchd", Manual: "netwatchd"}
	if err := doc.GenManTree(root, header, dir); err != nil {
		t.Fatal(err)
	}
	epoch := time.Unix(0, 0).UTC().Format("Jan 2006")
	for _, cmd := range visible(root) {
		page := filepath.Join(dir, strings.ReplaceAll(cmd.CommandPath(), " ", "-")+".1")
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{".SH NAME", cmd.Short, ".SH SYNOPSIS"} {
			if !strings.Contains(string(text), want) {
				t.Errorf("%s has no %q", page, want)
			}
		}
		if *manual == "" && !strings.Contains(string(text), epoch) {
			t.Errorf("%s is not dated by SOURCE_DATE_EPOCH", page)
		}
	}
}

// visible returns cmd and all its subcommands that have a page.
func visible(cmd *cobra.Command) []*cobra.Command {
	all := []*cobra.Command{cmd}
	for _, below := range cmd.Commands() {
		if below.IsAvailableCommand() && !below.IsAdditionalHelpTopicCommand() {
			all = append(all, visible(below)...)
		}
	}
	return all
}
