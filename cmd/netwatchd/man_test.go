package main

import (
	"bytes"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
)

var manual = flag.String("man", "", "write the manual pages into this directory, dated by $SOURCE_DATE_EPOCH")

// The manual pages are generated from the commands, one page per command. hack/dist runs this test to write them all.
func TestManual(t *testing.T) {
	dir := *manual
	if dir == "" {
		dir = t.TempDir()
		t.Setenv("SOURCE_DATE_EPOCH", "0")
	}
	root := (&app{out: io.Discard, errs: io.Discard}).rootCommand()
	epoch := time.Unix(0, 0).UTC().Format("Jan 2006")
	for _, cmd := range visible(root) {
		page := filepath.Join(dir, strings.ReplaceAll(cmd.CommandPath(), " ", "-")+".1")
		var text bytes.Buffer
		if err := writeManual(cmd, &text); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(page, text.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{".SH NAME", cmd.Short, ".SH SYNOPSIS"} {
			if !strings.Contains(text.String(), want) {
				t.Errorf("%s has no %q", page, want)
			}
		}
		if *manual == "" && !strings.Contains(text.String(), epoch) {
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
