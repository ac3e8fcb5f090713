// Package screen prints a status for a person at a terminal.
package screen

import (
	"cmp"
	"os"
	"time"

	"netwatchd/internal/terminal"

	"golang.org/x/term"
)

// Options are what the terminal can show.
type Options struct {
	Color   bool
	Width   int  // in columns; zero: 80
	ASCII   bool // the locale has no UTF-8
	Verbose bool
	Now     time.Time // for ages; zero: the time of the status itself
}

// For returns the options for f: color on a terminal unless NO_COLOR (https://no-color.org) or TERM=dumb forbid it,
// its width, and ASCII if the locale has no UTF-8.
func For(f *os.File, getenv func(string) string) Options {
	o := Options{ASCII: !terminal.HasUTF8(getenv), Color: terminal.HasColor(f, getenv)}
	if width, _, err := term.GetSize(int(f.Fd())); err == nil {
		o.Width = width
	}
	return o
}

// usualWidth is used if the width is unknown. Below minWidth, columns do not fit; above maxWidth, lines are hard to
// read.
const (
	usualWidth = 80
	minWidth   = 40
	maxWidth   = 110
)

func (o Options) width() int {
	return min(max(cmp.Or(o.Width, usualWidth), minWidth), maxWidth)
}
