package web

import (
	"fmt"
	"html/template"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"netwatchd/internal/causes"
	"netwatchd/internal/ladder"
	"netwatchd/internal/watch"
)

// /badge/{service}.svg is a picture, 20 pixels high, with the name of a service and its cause, for a wiki or a README.
// It is image/svg+xml and must not be cached. For an unknown service it is grey, with status 404.
func (s *Server) badge(w http.ResponseWriter, r *http.Request) {
	name, isPicture := strings.CutSuffix(r.PathValue("picture"), ".svg")
	if !isPicture {
		http.NotFound(w, r)
		return
	}
	b, code := badge{Service: sanitize(name), Words: "not watched", Level: "unknown"}, http.StatusNotFound
	status, err := s.status(r)
	if err != nil {
		b.Words, code = "no answer", http.StatusServiceUnavailable
	} else if i := slices.IndexFunc(status.Services,
		func(s watch.ServiceStatus) bool { return s.Service == name }); i >= 0 {
		cause := status.Services[i].Cause
		b.Words, b.Level, code = causeText(cause), ladder.LevelOf(cause).String(), http.StatusOK
	}
	var picture strings.Builder
	if err := badgeTemplate.Execute(&picture, b); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "image/svg+xml")
	h.Set("Cache-Control", "no-cache")
	if !onLoopback(r) {
		h.Set("Cross-Origin-Resource-Policy", "cross-origin") // if it is served to others, their pages may show it
	}
	w.WriteHeader(code)
	_, _ = w.Write([]byte(picture.String()))
}

// causeText is c with blanks: "local policy".
func causeText(c causes.Cause) string { return strings.ReplaceAll(c.String(), "_", " ") }

// A badge is the data of its template.
type badge struct{ Service, Words, Level string }

// A badge shows at most badgeLetters of a name. A letter is about 6.6 pixels wide at this size in these fonts.
const (
	badgeLetters = 40
	letterWidth  = 6.6
	badgeMargin  = 12
)

func (b badge) Left() string     { return truncate(b.Service, badgeLetters) }
func (b badge) LeftWidth() int   { return width(b.Left()) }
func (b badge) RightWidth() int  { return width(b.Words) }
func (b badge) Width() int       { return b.LeftWidth() + b.RightWidth() }
func (b badge) LeftMiddle() int  { return b.LeftWidth() / 2 }
func (b badge) RightMiddle() int { return b.LeftWidth() + b.RightWidth()/2 }

// Colour is dark enough for white letters (WCAG AA).
func (b badge) Colour() string {
	switch b.Level {
	case "good":
		return "#1a7f37"
	case "bad":
		return "#b3261e"
	case "fair":
		return "#8a5a00"
	}
	return "#6b7280"
}

func width(text string) int {
	return int(letterWidth*float64(utf8.RuneCountInString(text))) + badgeMargin
}

// truncate shortens text to that many letters.
func truncate(text string, letters int) string {
	if runes := []rune(text); len(runes) > letters {
		return string(runes[:letters-1]) + "…"
	}
	return text
}

var badgeTemplate = template.Must(template.New("badge").Parse(fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" width="{{.Width}}" height="%d" role="img" aria-label="{{.Service}}: {{.Words}}"><title>{{.Service}}: {{.Words}}</title><rect width="{{.Width}}" height="20" rx="3" fill="#374151"/><path d="M{{.LeftWidth}} 0h{{.RightWidth}}v20h-{{.RightWidth}}z" fill="{{.Colour}}"/><g fill="#fff" text-anchor="middle" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11"><text x="{{.LeftMiddle}}" y="14">{{.Left}}</text><text x="{{.RightMiddle}}" y="14">{{.Words}}</text></g></svg>
`, 20)))
