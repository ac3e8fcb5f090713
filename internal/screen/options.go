// Package screen shows a status to a person in a terminal.
package screen

import (
	"cmp"
	"os"
	"strings"
	"time"

	"github.com/mattn/go-isatty"
	"golang.org/x/term"
)

// Options say what the terminal can show.
type Options struct {
	Color   bool
	Width   int  // in columns; zero: 80
	ASCII   bool // the locale cannot show more
	Verbose bool
	Now     time.Time // by which ages are told; zero: the moment of the status itself
}

// For returns the options that suit f: colour on a terminal unless NO_COLOR (https://no-color.org) or TERM say otherwise,
// its width, and marks the locale can show.
func For(f *os.File, getenv func(string) string) Options {
	o := Options{ASCII: !speaksUTF8(getenv)}
	if !isatty.IsTerminal(f.Fd()) {
		return o
	}
	o.Color = getenv("NO_COLOR") == "" && getenv("TERM") != "dumb"
	if width, _, err := term.GetSize(int(f.Fd())); err == nil {
		o.Width = width
	}
	return o
}

// speaksUTF8 goes by the first variable that is set, as setlocale(3) does. With none set the locale is C; yet those are
// units and containers, whose output ends in a place that does speak UTF-8.
func speaksUTF8(getenv func(string) string) bool {
	locale := cmp.Or(getenv("LC_ALL"), getenv("LC_CTYPE"), getenv("LANG"))
	charset := strings.ToLower(locale)
	return locale == "" || strings.Contains(charset, "utf-8") || strings.Contains(charset, "utf8")
}

// usualWidth is a terminal's where nothing else is known; narrowest is where columns make no sense any more, widest where
// lines become too long to read.
const (
	usualWidth = 80
	narrowest  = 40
	widest     = 110
)

func (o Options) width() int {
	return min(max(cmp.Or(o.Width, usualWidth), narrowest), widest)
}
