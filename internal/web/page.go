package web

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"html/template"
	"net/http"
	"strings"
	"time"

	"netwatchd/internal/diagnose"
	"netwatchd/internal/ladder"
	"netwatchd/internal/probe"
	"netwatchd/internal/watch"
)

//go:embed page.html
var pageText string

//go:embed page.css
var styleText string

// policy lets the page have its one style sheet and nothing else: no script, no image, no frame, no form.
var policy = "default-src 'none'; style-src '" + digest(styleText) + "'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

var pageTemplate = template.Must(template.New("page").Funcs(template.FuncMap{
	"style":   func() template.CSS { return template.CSS(styleText) },
	"tone":    tone,
	"title":   func(s watch.Standing) string { return strings.TrimPrefix(s.Title, s.Service+": ") },
	"glyph":   func(m ladder.Mark) string { return glyphs[m] },
	"ms":      millis,
	"moment":  func(t time.Time) string { return t.Format("2006-01-02 15:04:05 MST") },
	"machine": func(t time.Time) string { return t.Format(time.RFC3339) },
	"span":    span,
}).Parse(pageText))

var glyphs = [...]string{ladder.Untried: "–", ladder.OK: "✓", ladder.Partly: "!", ladder.Closed: "✗", ladder.Blocked: "…", ladder.Failed: "✗"}

// tone is how a cause looks: good, bad, or worth a glance.
func tone(c diagnose.Cause) string {
	switch {
	case c == diagnose.Healthy:
		return "good"
	case c.Fault() && c != diagnose.SelfSandboxed:
		return "bad"
	}
	return "fair"
}

func millis(s probe.Seconds) string {
	if s <= 0 {
		return ""
	}
	return s.Duration().Round(time.Millisecond).String()
}

func span(from, to time.Time) string { return max(to.Sub(from), 0).Round(time.Second).String() }

// A view is what the page shows: one moment.
type view struct {
	*watch.Status
	Services []shown
	More     int
}

type shown struct {
	watch.Standing
	At      time.Time
	Rungs   []ladder.Rung
	Sandbox bool
}

// pageServices bounds the page: beyond it a person looks for the API or for a dashboard.
const pageServices = 50

func (s *Server) page(w http.ResponseWriter, r *http.Request) {
	status, err := s.status(r)
	if err != nil {
		http.Error(w, "the watcher does not answer: "+err.Error(), http.StatusServiceUnavailable)
		return
	}
	var b bytes.Buffer
	if err := pageTemplate.Execute(&b, viewOf(status)); err != nil {
		s.Log.Error("the page cannot be shown", "error", err)
		http.Error(w, "the page cannot be shown: "+err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write(b.Bytes())
}

func viewOf(status *watch.Status) view {
	v := view{Status: status, More: max(len(status.Services)-pageServices, 0)}
	for _, tone := range []func(diagnose.Cause) bool{isBad, isFair, isGood} {
		for _, s := range status.Services {
			if tone(s.Cause) && len(v.Services) < pageServices {
				rungs := ladder.Of(s)
				v.Services = append(v.Services, shown{s, status.At, rungs, ladder.SeenFromSandbox(rungs)})
			}
		}
	}
	return v
}

func isBad(c diagnose.Cause) bool  { return tone(c) == "bad" }
func isFair(c diagnose.Cause) bool { return tone(c) == "fair" }
func isGood(c diagnose.Cause) bool { return tone(c) == "good" }
