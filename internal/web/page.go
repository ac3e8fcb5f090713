package web

import (
	"bytes"
	"cmp"
	"embed"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"netwatchd/internal/causes"
	"netwatchd/internal/humanize"
	"netwatchd/internal/ladder"
	"netwatchd/internal/overview"
	"netwatchd/internal/probe"
	"netwatchd/internal/redact"
	"netwatchd/internal/watch"
)

//go:embed templates/*.html
var templateFiles embed.FS

// templates are the pages by name, each with the common frame. They take 0.6 MB, and most daemons show no page.
var templates = sync.OnceValue(func() map[string]*template.Template {
	all := make(map[string]*template.Template)
	for _, name := range []string{"status", "incidents", "incident", "missing"} {
		t := template.New("frame.html").Funcs(functions)
		all[name] = template.Must(
			t.ParseFS(templateFiles, "templates/frame.html", "templates/parts.html", "templates/"+name+".html"),
		)
	}
	return all
})

var functions = template.FuncMap{
	"asset":     func(name string) string { return assets[name].address },
	"level":     func(c causes.Cause) string { return ladder.LevelOf(c).String() },
	"where":     ladder.Where,
	"cause":     causeText,
	"aside":     ladder.Aside,
	"links":     ladder.Links,
	"missing":   ladder.MissingText,
	"sanitize":  sanitize,
	"lines":     sanitizeLines,
	"title":     titleOnly,
	"units":     func(text string) template.HTML { return units(sanitize(text)) },
	"latency":   func(s probe.Seconds) template.HTML { return units(humanize.Latency(s.Duration())) },
	"span":      func(d time.Duration) template.HTML { return units(humanize.Span(d)) },
	"count":     humanize.Count,
	"counted":   counted,
	"shortTime": shortTime,
	"fullTime":  func(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05 MST") },
	"localTime": localTime,
	"isoTime":   func(t time.Time) string { return t.Format(time.RFC3339) },
	"layer":     func(c probe.Class) string { return cmp.Or(c.Layer(), c.String()) },
}

// A quantity is a number with its unit, as [humanize] writes them: "84 ms", "3 min 20 s".
var quantity = regexp.MustCompile(`<?\d[\d.,]* (?:ms|s|min|h|d|%)\b(?: \d+ (?:s|min|h)\b)?`)

// units returns text as HTML in which a line never breaks between a number and its unit.
func units(text string) template.HTML {
	var b strings.Builder
	from := 0
	for _, at := range quantity.FindAllStringIndex(text, -1) {
		b.WriteString(template.HTMLEscapeString(text[from:at[0]]))
		b.WriteString(`<span class="quantity">` + template.HTMLEscapeString(text[at[0]:at[1]]) + `</span>`)
		from = at[1]
	}
	b.WriteString(template.HTMLEscapeString(text[from:]))
	return template.HTML(b.String()) //nolint:gosec // every part of it is escaped
}

// counted is [humanize.Count] as HTML in which no line breaks.
func counted(n int, noun string) template.HTML {
	return template.HTML(`<span class="quantity">` + //nolint:gosec // every part of it is escaped
		template.HTMLEscapeString(humanize.Count(n, noun)) + `</span>`)
}

// localTime formats a local time as fullTime does: the offset from UTC stands for the name of the zone.
func localTime(text string) string {
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return sanitize(text)
	}
	return t.Format("2006-01-02 15:04:05 -07:00")
}

// textLimit bounds one text from outside on a page, in bytes; the API has all of it.
const textLimit = 2000

// sanitize returns text from outside as one printable line without secrets.
func sanitize(text string) string { return redact.String(redact.Line(text, textLimit)) }

// sanitizeLines sanitizes each line and keeps its indentation.
func sanitizeLines(text string) string {
	var all []string
	for line := range strings.Lines(text) {
		indent := line[:len(line)-len(strings.TrimLeft(line, " "))]
		all = append(all, indent+sanitize(line))
	}
	return strings.Join(all, "\n")
}

// titleOnly is the title of a verdict without the service, which is shown above it.
func titleOnly(service, title string) string {
	return capitalize(strings.ReplaceAll(sanitize(strings.TrimPrefix(title, service+": ")), " - ", " – "))
}

// shortTime omits the date if it is today, and the year if it is this year.
func shortTime(t, now time.Time) string {
	t, now = t.Local(), now.Local()
	switch {
	case now.Sub(t) < day && t.Day() == now.Day():
		return t.Format("15:04:05")
	case t.Year() == now.Year():
		return t.Format("2 Jan, 15:04")
	}
	return t.Format("2 Jan 2006, 15:04")
}

func capitalize(text string) string {
	first, size := utf8.DecodeRuneInString(text)
	return string(unicode.ToUpper(first)) + text[size:]
}

// A frame is what every page has.
type frame struct {
	Page    string // name of the template
	Heading string // title of the window
	Level   string // color of the icon
	Version string
	At      time.Time
	Trouble []string // problems of netwatchd itself
}

func (s *Server) frame(page, heading string, at time.Time) frame {
	f := frame{Page: page, Heading: heading, Level: "fair", Version: s.Version, At: at}
	if s.History != nil {
		if fault := s.History.Fault(); fault != "" {
			f.Trouble = append(f.Trouble, "History is not being saved; probing continues. "+capitalize(sanitize(fault))+".")
		}
	}
	if s.Warnings != nil {
		for _, warning := range s.Warnings() {
			f.Trouble = append(f.Trouble, capitalize(sanitize(warning))+".")
		}
	}
	return f
}

// show writes a page.
func (s *Server) show(w http.ResponseWriter, status int, page string, view any) {
	var b bytes.Buffer
	if err := templates()[page].Execute(&b, view); err != nil {
		s.Log.Error("cannot render the page", "page", page, "error", err)
		http.Error(w, "cannot render the page: "+err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes())
}

// missing writes a page with status 404.
func (s *Server) missing(w http.ResponseWriter, what string) {
	s.show(w, http.StatusNotFound, "missing", struct {
		frame
		What string
	}{s.frame("missing", "not found", time.Now()), what})
}

// A statusView is the page of one service, or of all if none of several has a fault.
type statusView struct {
	frame
	Shown    *shown // nil: all
	Services []row
	Summary  string // which of several services work and which do not; empty on the page of one
	Faults   int    // services with a fault
	Watched  int
	Matching int // services the search found, those not shown included
	Search   string
	Notes    []string
}

// A row is a service in the list of all.
type row struct {
	watch.ServiceStatus
	Lasts  time.Duration
	Shown  bool
	SameAs string // the service listed before it that has the same fault of this host; empty: none
}

// shown is a service in full.
type shown struct {
	watch.ServiceStatus
	At   time.Time
	Path string // of its page
	// SharedWith names the other services with the same fault of this host.
	SharedWith string
	Rungs      []ladder.Rung
	Sandbox    bool // something was tested in it
	Record     string
	Past       *past
	Tracks     []track
	Probes     int // probes the search found, those not shown included
	Search     string
}

func (s shown) Lasts() time.Duration { return s.At.Sub(s.Since) }

// maxRows bounds the list of services; for more there is the search.
const maxRows = 100

func (s *Server) page(w http.ResponseWriter, r *http.Request) {
	status, err := s.status(r)
	if err != nil {
		http.Error(w, "the watcher does not respond: "+err.Error(), http.StatusServiceUnavailable)
		return
	}
	name := r.PathValue("service")
	ordered := byLevel(status.Services)
	at := slices.IndexFunc(ordered, func(s watch.ServiceStatus) bool { return s.Service == name })
	if at < 0 && name != "" {
		s.missing(w, fmt.Sprintf("No service is named %q.", truncate(sanitize(name), badgeLetters)))
		return
	}
	if at < 0 && len(ordered) > 0 && (len(ordered) == 1 || ladder.LevelOf(ordered[0].Cause) == ladder.Bad) {
		at = 0
	}
	v := statusView{frame: s.frame("status", "netwatchd", status.At),
		Watched: len(ordered), Search: search(r, "q"), Notes: status.Notes}
	if status.Sandboxed.Denied {
		signals := sanitize(strings.Join(status.Sandboxed.Signals, ", "))
		v.Trouble = append(v.Trouble, "Network access is denied to netwatchd itself: "+signals+".")
	}
	all := watch.Overview(ordered)
	if name == "" && len(ordered) > 1 {
		v.Summary = all.String() + "."
	}
	if at >= 0 {
		v.Shown = s.serviceView(r, ordered[at], status.At)
		v.Shown.SharedWith = overview.Names(all.SharedWith(v.Shown.Service))
		v.Heading, v.Level = v.Shown.Service+": "+causeText(v.Shown.Cause), ladder.LevelOf(v.Shown.Cause).String()
	} else if len(ordered) > 0 {
		v.Level = ladder.LevelOf(ordered[0].Cause).String()
	}
	v.list(ordered, all, status.At)
	s.show(w, http.StatusOK, "status", &v)
}

// list adds the services the search finds.
func (v *statusView) list(ordered []watch.ServiceStatus, all overview.Overview, at time.Time) {
	for _, s := range ordered {
		if ladder.LevelOf(s.Cause) == ladder.Bad {
			v.Faults++
		}
		if !containsFold(s.Service, v.Search) && !containsFold(s.Cause.String(), v.Search) {
			continue
		}
		if v.Matching++; v.Matching <= maxRows {
			v.Services = append(v.Services, row{s, at.Sub(s.Since),
				v.Shown != nil && s.Service == v.Shown.Service, all.SameAs(s.Service)})
		}
	}
}

func (v *statusView) More() int { return v.Matching - len(v.Services) }

// search is the text a person searches for.
func search(r *http.Request, name string) string {
	return truncate(sanitize(r.FormValue(name)), maxSearch)
}

// maxSearch is longer than any name.
const maxSearch = 100

func containsFold(text, wanted string) bool {
	return strings.Contains(strings.ToLower(text), strings.ToLower(wanted))
}

// byLevel sorts the services, the worst level first.
func byLevel(services []watch.ServiceStatus) []watch.ServiceStatus {
	return slices.SortedStableFunc(slices.Values(services), func(a, b watch.ServiceStatus) int {
		return cmp.Compare(ladder.LevelOf(b.Cause), ladder.LevelOf(a.Cause))
	})
}

func (s *Server) serviceView(r *http.Request, service watch.ServiceStatus, at time.Time) *shown {
	rungs := ladder.Of(service)
	v := &shown{ServiceStatus: service, At: at, Path: servicePath(service.Service), Rungs: rungs,
		Sandbox: ladder.HasSandbox(rungs), Search: search(r, "probe")}
	v.Tracks, v.Probes = s.tracks(service, v.Search)
	span, err := spanOf(r.FormValue("range"))
	if err != nil {
		span = spans[0]
	}
	v.Past = s.past(r.Context(), service.Service, span, at)
	if v.Past != nil && len(v.Past.Incidents) > 0 && v.Past.Incidents[0].IsOpen() {
		v.Record = v.Past.Incidents[0].Path()
	}
	return v
}

func servicePath(name string) string { return "/services/" + url.PathEscape(name) }

// A track is one probe from one vantage; the browser draws its chart.
type track struct {
	probe.Result
	Closed bool // the sandbox has no network, which is no fault
}

// ID identifies the track across reloads.
func (t track) ID() string { return fmt.Sprintf("track-%s-%v-%v", t.Name, t.Kind, t.Vantage) }

// judged returns the result by which the verdict judges the probe of r, its latest. That differs for a stream that was
// dropped while it was held: that a later round could open it says nothing about holding it.
func judged(service watch.ServiceStatus, r probe.Result) probe.Result {
	i := slices.IndexFunc(service.Results, func(other probe.Result) bool {
		return r.Kind == probe.KindStream && r.OK() && !other.OK() && other.Kind == r.Kind &&
			other.Name == r.Name && other.Role == r.Role && other.Vantage == r.Vantage
	})
	if i < 0 {
		return r
	}
	return service.Results[i]
}

// maxTracks bounds the charts of a page; for more there is the search.
const maxTracks = defaultSeries

// tracks are the latest results of the probes the search finds, in the order of the ladder; if there are too many,
// failing ones first. Total counts all of them.
func (s *Server) tracks(service watch.ServiceStatus, search string) (shown []track, total int) {
	for _, r := range s.Results() {
		if r.Service == service.Service && r.Role == probe.OfService && containsFold(r.Name, search) {
			r = judged(service, r)
			shown = append(shown, track{r, ladder.IsClosed(service, r)})
		}
	}
	total = len(shown)
	slices.SortStableFunc(shown, func(a, b track) int {
		if total > maxTracks && a.OK() != b.OK() {
			return map[bool]int{false: -1, true: 1}[a.OK()]
		}
		return cmp.Or(int(a.Kind)-int(b.Kind), strings.Compare(a.Name, b.Name), int(a.Vantage)-int(b.Vantage))
	})
	return shown[:min(total, maxTracks)], total
}
