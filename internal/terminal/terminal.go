// Package terminal says what a terminal can show.
package terminal

import (
	"cmp"
	"os"
	"strings"

	"github.com/mattn/go-isatty"
)

// HasColor reports whether f is a terminal and neither NO_COLOR (https://no-color.org) nor TERM=dumb forbids color.
func HasColor(f *os.File, getenv func(string) string) bool {
	return isatty.IsTerminal(f.Fd()) && getenv("NO_COLOR") == "" && getenv("TERM") != "dumb"
}

// HasUTF8 reports whether the locale has UTF-8. It uses the first variable that is set, as setlocale(3) does. With none
// set the locale is C, but that is the case in units and containers, whose output is read where UTF-8 works.
func HasUTF8(getenv func(string) string) bool {
	locale := cmp.Or(getenv("LC_ALL"), getenv("LC_CTYPE"), getenv("LANG"))
	charset := strings.ToLower(locale)
	return locale == "" || strings.Contains(charset, "utf-8") || strings.Contains(charset, "utf8")
}
