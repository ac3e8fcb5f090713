package redact

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Line returns text from outside as one printable line of at most limit bytes, with "…" after it if some is missing.
// Control characters and line breaks become spaces, so that an answer can neither move a terminal's cursor nor forge
// a log line. Invisible characters go, those that change the direction of writing among them.
func Line(text string, limit int) string {
	text = strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Cf, r) {
			return -1
		}
		return r
	}, text)
	text = strings.Join(strings.FieldsFunc(text, func(r rune) bool {
		return unicode.IsSpace(r) || unicode.IsControl(r) || r == utf8.RuneError
	}), " ")
	if len(text) <= limit {
		return text
	}
	cut := limit
	for !utf8.RuneStart(text[cut]) {
		cut--
	}
	return text[:cut] + "…"
}

// Quote returns text from outside as one line of at most limit bytes, without secrets: what fails often repeats what
// it was given. Secrets are removed before the text is shortened, because half a secret is hard to recognize.
func Quote(text string, limit int) string { return Line(String(text), limit) }
