package main

import (
	"os"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// Every command with --json is in the table of the schemas.
func TestEveryJSONHasASchema(t *testing.T) {
	page, err := os.ReadFile("../../docs/schemas/README.md")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	var walk func(*cobra.Command)
	walk = func(cmd *cobra.Command) {
		if cmd.Flags().Lookup("json") != nil {
			found++
			if name := strings.TrimPrefix(cmd.CommandPath(), "netwatchd "); !strings.Contains(string(page), "`"+name+"`") {
				t.Errorf("docs/schemas/README.md does not name the schema of netwatchd %s --json", name)
			}
		}
		for _, below := range cmd.Commands() {
			walk(below)
		}
	}
	if walk((&app{}).rootCommand()); found < 8 {
		t.Errorf("%d commands have --json, want at least 8", found)
	}
}
