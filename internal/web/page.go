package web

import (
	"bytes"
	"cmp"
	"embed"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"netwatchd/internal/diagnose"
	"netwatchd/internal/humanize"
	"netwatchd/internal/ladder"
	"netwatchd/internal/probe"
	"netwatchd/internal/redact"
	"netwatchd/internal/watch"
)

//go:embed templates/*.html
var templateFiles embed.FS

// templates are the pages by name, each with the frame around it.
var templates = func() map[string]*template.Template {
	all := make(map[string]*template.Template)
	for _, name := range []string{"status", "incidents", "incident", "missing"} {
		t := template.New("frame.html").Funcs(functions)
		all[name] = template.Must(t.ParseFS(templateFiles, "templates/frame.html", "templates/parts.html", "templates/"+name+".html"))
	}
	return all
}()

var functions = template.FuncMap{
	"asset":   func(name string) string { return assets[name].address },
	"tone":    tone,
	"words":   inWords,
	"fit":     fit,
	"lines":   lines,
	"title":   heading,
	"ms":      func(s probe.Seconds) string { return humanize.Latency(s.Duration()) },
	"when":    when,
	"moment":  func(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05 MST") },
	"machine": func(t time.Time) string { return t.Format(time.RFC3339) },
	"lasting": humanize.Span,
	"layer":   func(c probe.Class) string { return cmp.Or(c.Layer(), c.String()) },
	"count":   humanize.Count,
}

// textLimit bounds one text from outside on a page; the API has all of it.
const textLimit = 2000

// fit is text from outside, fit to be shown: without secrets, without what a terminal or a reader's eye could be deceived
// by, and not endless.
func fit(text string) string {
	visible := strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Cf, r) { // those that turn the direction of writing among them
			return -1
		}
		return r
	}, text[:min(len(text), 4*textLimit)])
	return redact.String(redact.Line(visible, textLimit))
}

// lines is text on lines of its own, fit to be shown as [fit] has it.
func lines(text string) string {
	var all []string
	for line := range strings.Lines(text) {
		indent := line[:len(line)-len(strings.TrimLeft(line, " "))]
		all = append(all, indent+fit(line))
	}
	return strings.Join(all, "\n")
}

// heading is a verdict's title without the service, which stands above it.
func heading(service, title string) string {
	return capital(strings.ReplaceAll(fit(strings.TrimPrefix(title, service+": ")), " - ", " – "))
}

// when is a time as one would say it on that day or later.
func when(t, now time.Time) string {
	t, now = t.Local(), now.Local()
	switch {
	case now.Sub(t) < day && t.Day() == now.Day():
		return t.Format("15:04:05")
	case t.Year() == now.Year():
		return t.Format("2 Jan, 15:04")
	}
	return t.Format("2 Jan 2006, 15:04")
}

func capital(text string) string {
	first, size := utf8.DecodeRuneInString(text)
	return string(unicode.ToUpper(first)) + text[size:]
}

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

// A frame is what every page has.
type frame struct {
	Page    string // its name
	Heading string // of the window
	Tone    string // of its icon
	Version string
	At      time.Time
	Trouble []string // what is wrong with netwatchd itself
}

func (s *Server) frame(page, heading string, at time.Time) frame {
	f := frame{Page: page, Heading: heading, Tone: "fair", Version: s.Version, At: at}
	if s.History != nil {
		if fault := s.History.Fault(); fault != "" {
			f.Trouble = append(f.Trouble, "History is not being kept; probing goes on. "+capital(fit(fault))+".")
		}
	}
	return f
}

// show answers with a page, or says why it cannot.
func (s *Server) show(w http.ResponseWriter, status int, page string, view any) {
	var b bytes.Buffer
	if err := templates[page].Execute(&b, view); err != nil {
		s.Log.Error("the page cannot be shown", "page", page, "error", err)
		http.Error(w, "the page cannot be shown: "+err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes())
}

// missing says that there is nothing here.
func (s *Server) missing(w http.ResponseWriter, what string) {
	s.show(w, http.StatusNotFound, "missing", struct {
		frame
		What string
	}{s.frame("missing", "not found", time.Now()), what})
}

// A statusView is the page of one service, or of all if none of several is at fault.
type statusView struct {
	frame
	Shown    *shown // nil: none
	Services []row
	Faults   int // services that are at fault
	Watched  int
	Matching int // services that the search found, beyond those shown
	Search   string
	Notes    []string
}

// A row is a service in the list of all.
type row struct {
	watch.Standing
	Lasts time.Duration
	Shown bool
}

// shown is a service in full.
type shown struct {
	watch.Standing
	At      time.Time
	Path    string // of its page
	Rungs   []ladder.Rung
	Sandbox bool // something was tried in it
	Record  string
	Past    *past
	Tracks  []track
	Probes  int // those that the search found, beyond those shown
	Search  string
}

func (s shown) Lasts() time.Duration { return s.At.Sub(s.Since) }

// rowsMost bounds the list of services: beyond it a person searches.
const rowsMost = 100

func (s *Server) page(w http.ResponseWriter, r *http.Request) {
	status, err := s.status(r)
	if err != nil {
		http.Error(w, "the watcher does not answer: "+err.Error(), http.StatusServiceUnavailable)
		return
	}
	name := r.PathValue("service")
	ordered := byTone(status.Services)
	at := slices.IndexFunc(ordered, func(s watch.Standing) bool { return s.Service == name })
	if at < 0 && name != "" {
		s.missing(w, fmt.Sprintf("The service %q is not watched.", short(fit(name), badgeLetters)))
		return
	}
	if at < 0 && len(ordered) > 0 && (len(ordered) == 1 || tone(ordered[0].Cause) == "bad") {
		at = 0
	}
	v := statusView{frame: s.frame("status", "netwatchd", status.At), Watched: len(ordered), Search: search(r, "q"), Notes: status.Notes}
	if status.Sandboxed.Denied {
		v.Trouble = append(v.Trouble, "netwatchd itself runs where the network is denied: "+fit(strings.Join(status.Sandboxed.Signals, ", "))+".")
	}
	if at >= 0 {
		v.Shown = s.serviceView(r, ordered[at], status.At)
		v.Heading, v.Tone = v.Shown.Service+": "+inWords(v.Shown.Cause), tone(v.Shown.Cause)
	} else if len(ordered) > 0 {
		v.Tone = tone(ordered[0].Cause)
	}
	v.list(ordered, status.At)
	s.show(w, http.StatusOK, "status", &v)
}

// list enters the services that the search finds.
func (v *statusView) list(ordered []watch.Standing, at time.Time) {
	for _, s := range ordered {
		if tone(s.Cause) == "bad" {
			v.Faults++
		}
		if !contains(s.Service, v.Search) && !contains(s.Cause.String(), v.Search) {
			continue
		}
		if v.Matching++; v.Matching <= rowsMost {
			v.Services = append(v.Services, row{s, at.Sub(s.Since), v.Shown != nil && s.Service == v.Shown.Service})
		}
	}
}

func (v *statusView) More() int { return v.Matching - len(v.Services) }

// search is what a person is looking for.
func search(r *http.Request, name string) string { return short(fit(r.FormValue(name)), searchMost) }

// searchMost is more than any name has.
const searchMost = 100

func contains(text, wanted string) bool {
	return strings.Contains(strings.ToLower(text), strings.ToLower(wanted))
}

// byTone is the services with those at fault first, then those worth a glance.
func byTone(services []watch.Standing) []watch.Standing {
	rank := map[string]int{"bad": 0, "fair": 1, "good": 2}
	return slices.SortedStableFunc(slices.Values(services), func(a, b watch.Standing) int { return rank[tone(a.Cause)] - rank[tone(b.Cause)] })
}

func (s *Server) serviceView(r *http.Request, standing watch.Standing, at time.Time) *shown {
	rungs := ladder.Of(standing)
	v := &shown{Standing: standing, At: at, Path: servicePath(standing.Service), Rungs: rungs, Sandbox: ladder.HasSandbox(rungs), Search: search(r, "probe")}
	v.Tracks, v.Probes = s.tracks(standing, v.Search)
	span, err := spanOf(r.FormValue("range"))
	if err != nil {
		span = spans[0]
	}
	v.Past = s.past(r.Context(), standing.Service, span, at)
	if v.Past != nil && len(v.Past.Incidents) > 0 && v.Past.Incidents[0].IsOpen() {
		v.Record = v.Past.Incidents[0].Path()
	}
	return v
}

func servicePath(name string) string { return "/services/" + url.PathEscape(name) }

// A track is one probe from one vantage; a browser draws its history.
type track struct {
	probe.Result
	Closed bool // in a sandbox that says no, and nobody minds
}

// ID is the same as long as the track is.
func (t track) ID() string { return fmt.Sprintf("track-%s-%v-%v", t.Name, t.Kind, t.Vantage) }

// tracksMost bounds the charts of a page: beyond it a person searches.
const tracksMost = usualSeries

// tracks are the latest results of a service whose probe the search finds: all of them in the order of the ladder, or of
// too many those that failed first; and how many there are in all.
func (s *Server) tracks(of watch.Standing, search string) (shown []track, total int) {
	for _, r := range s.Results() {
		if r.Service == of.Service && r.Role == probe.OfService && contains(r.Name, search) {
			shown = append(shown, track{r, ladder.IsClosed(of, r)})
		}
	}
	total = len(shown)
	slices.SortStableFunc(shown, func(a, b track) int {
		if total > tracksMost && a.OK() != b.OK() {
			return map[bool]int{false: -1, true: 1}[a.OK()]
		}
		return cmp.Or(int(a.Kind)-int(b.Kind), strings.Compare(a.Name, b.Name), int(a.Vantage)-int(b.Vantage))
	})
	return shown[:min(total, tracksMost)], total
}
