package statusline

import (
	"bytes"
	"os"
	"strings"
	"time"

	"netwatchd/internal/hostpaths"
	"netwatchd/internal/terminal"
)

// For returns the options for f.
func For(f *os.File, getenv func(string) string) Options {
	return Options{Color: terminal.HasColor(f, getenv), ASCII: !terminal.HasUTF8(getenv), Now: time.Now()}
}

// Files returns the status files of a command line (of the whole program, its name included). It reports false if that
// is not `netwatchd status --line`, or if only the configuration can say which file it is.
func Files(args []string, getenv func(string) string) ([]string, bool) {
	file, ok := parse(args)
	if !ok || getenv("NETWATCHD_CONFIG_FILE") != "" {
		return nil, false
	}
	if file == "" {
		file = getenv("NETWATCHD_STATUS_FILE")
	}
	at := hostpaths.Of()
	if file != "" {
		return at.StatusFiles(file), true
	}
	if config := at.Find(); config != "" && mayNameFile(config) {
		return nil, false
	}
	return at.StatusFiles(at.Status()), true
}

// parse returns the file that --status.file names; empty if there is no such flag. It reports false for all other
// command lines: cobra parses those.
func parse(args []string) (file string, ok bool) {
	if len(args) < 3 || args[1] != "status" {
		return "", false
	}
	line := false
	for rest := args[2:]; len(rest) > 0; rest = rest[1:] {
		value, named := strings.CutPrefix(rest[0], "--status.file=")
		switch {
		case rest[0] == "--line":
			line = true
		case named && value != "":
			file = value
		default:
			return "", false
		}
	}
	return file, line
}

// mayNameFile reports whether the configuration at path may have the key status_file: reading it as YAML would take
// longer than all the rest.
func mayNameFile(path string) bool {
	text, err := os.ReadFile(path)
	return err != nil || bytes.Contains(text, []byte("status_file"))
}
