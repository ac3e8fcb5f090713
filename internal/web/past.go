package web

import (
	"context"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"time"

	"netwatchd/internal/humanize"
	"netwatchd/internal/incident"
	"netwatchd/internal/ladder"
	"netwatchd/internal/record"
)

// A past is the history of one service over a span of time.
type past struct {
	Span      span
	Spans     []span
	Incidents []entry // the latest first
	More      int     // incidents beyond those
	Observed  []entry // the latest observations
	Bars      []bar
	Fault     string // why it cannot be read
}

// Name is the name of a span in a URL, In its name in a sentence.
func (s span) Name() string { return s.name }
func (s span) In() string {
	return map[string]string{"1h": "hour", "1d": "day", "7d": "week", "90d": "90 days"}[s.name]
}

// An entry is an incident in a list.
type entry struct {
	*incident.Incident
	At   time.Time
	Same *entry // of another service, with the same fault of this host; nil: none
}

func (e entry) Path() string { return "/incidents/" + url.PathEscape(e.ID) }

// Lasts is how long it lasted, or has lasted until now.
func (e entry) Lasts() time.Duration { return e.end().Sub(e.Opened) }

func (e entry) end() time.Time {
	if e.Closed != nil {
		return *e.Closed
	}
	return e.At
}

// Times is how often an observation was seen.
func (e entry) Times() int { return e.Recurrences + 1 }

// A bar is one stretch of the strip that shows when there were faults; the strip is [stripWidth] wide.
type bar struct {
	X, Width float64
	Level    string // or gap
	Words    string
}

const (
	stripWidth = 1000
	minBar     = 3 // so that a short incident is visible

	listedIncidents = 6
	// A person who meets a closed sandbox meets it again and again: the latest few tell all.
	listedObservations = 5
	stripIncidents     = 200 // within a span; a strip with more is all red
)

func (s *Server) past(ctx context.Context, service string, over span, at time.Time) *past {
	if s.History == nil {
		return nil
	}
	p := &past{Span: over, Spans: spans}
	found, total, err := s.History.Incidents(ctx, incident.Filter{Services: []string{service}, Limit: stripIncidents,
		Kind: incident.Faults})
	if err != nil {
		p.Fault = capitalize(sanitize(err.Error()))
		return p
	}
	first, err := s.History.Begin(ctx)
	if err != nil {
		p.Fault = capitalize(sanitize(err.Error()))
	}
	from := over.begin(at, first)
	absences, err := s.History.Gaps(ctx, from, at)
	if err != nil {
		p.Fault = capitalize(sanitize(err.Error()))
	}
	for _, a := range absences {
		words := "netwatchd not running"
		if a.Suspended {
			words = "host suspended"
		}
		p.bar(from, at, a.From, a.To, "gap", words)
	}
	for i, one := range found {
		e := entry{Incident: one, At: at}
		for _, c := range one.Causes {
			until := e.end()
			if c.To != nil {
				until = *c.To
			}
			p.bar(from, at, c.From, until, ladder.LevelOf(c.Cause).String(), causeText(c.Cause))
		}
		if i < listedIncidents {
			p.Incidents = append(p.Incidents, e)
		}
	}
	p.More = total - len(p.Incidents)
	p.Observed = s.observed(ctx, []string{service}, at)
	return p
}

// observed returns the latest observations. An error is ignored: it is that of the incidents, which is shown.
func (s *Server) observed(ctx context.Context, services []string, at time.Time) (all []entry) {
	found, _, err := s.History.Incidents(ctx, incident.Filter{Services: services, Limit: listedObservations,
		Kind: incident.Observations})
	if err != nil {
		return nil
	}
	for _, one := range found {
		all = append(all, entry{Incident: one, At: at})
	}
	return all
}

func (p *past) bar(from, to, begin, end time.Time, level, words string) {
	begin, end = latest(from, begin), earliest(to, end)
	if end.Before(begin) {
		return
	}
	scale := stripWidth / to.Sub(from).Seconds()
	b := bar{begin.Sub(from).Seconds() * scale, max(end.Sub(begin).Seconds()*scale, minBar), level, words}
	b.X = min(b.X, stripWidth-b.Width)
	p.Bars = append(p.Bars, b)
}

// Summary describes the strip to someone who does not see it.
func (p *past) Summary() string {
	faults, gaps := 0, 0
	for _, b := range p.Bars {
		if b.Level == "gap" {
			gaps++
		} else {
			faults++
		}
	}
	words := "no faults"
	if faults > 0 {
		words = humanize.Count(faults, "fault")
	}
	if gaps > 0 {
		words += ", " + humanize.Count(gaps, "gap")
	}
	return "Last " + p.Span.In() + ": " + words
}

// pageSize is how many incidents are listed on a page.
const pageSize = 50

func (s *Server) incidentsPage(w http.ResponseWriter, r *http.Request) {
	v := struct {
		frame
		Service      string
		Days         []dayOf
		Observed     []entry // on the first page only
		Total, Last  int
		Older, Newer string // addresses; empty: there are none
		Fault        string
	}{frame: s.frame("incidents", "incidents", time.Now()), Service: search(r, "service")}
	from, err := number(r.FormValue("from"), 0, 1<<31-1)
	if err != nil {
		from = 0
	}
	f := incident.Filter{Limit: pageSize, Offset: from, Kind: incident.Faults}
	if v.Service != "" {
		f.Services = []string{v.Service}
	}
	var found []*incident.Incident
	if s.History == nil {
		v.Fault = "There is no history: netwatchd has no store."
	} else if found, v.Total, err = s.History.Incidents(r.Context(), f); err != nil {
		v.Fault = capitalize(sanitize(err.Error()))
	}
	address := func(from int) string {
		return "/incidents?" + url.Values{"service": f.Services, "from": {fmt.Sprint(from)}}.Encode()
	}
	if v.Last = from + len(found); v.Last < v.Total {
		v.Older = address(v.Last)
	}
	if from > 0 {
		v.Newer = address(max(from-pageSize, 0))
	}
	v.Days = byDay(found, v.At)
	if s.History != nil && from == 0 {
		v.Observed = s.observed(r.Context(), f.Services, v.At)
	}
	s.show(w, http.StatusOK, "incidents", v)
}

// A dayOf is the incidents opened on one day.
type dayOf struct {
	Day     string
	Entries []entry
}

func byDay(found []*incident.Incident, at time.Time) (days []dayOf) {
	same := incident.SameFault(found)
	for _, i := range found {
		day := i.Opened.Local().Format("Monday, 2 January 2006")
		if len(days) == 0 || days[len(days)-1].Day != day {
			days = append(days, dayOf{Day: day})
		}
		last := &days[len(days)-1]
		e := entry{Incident: i, At: at}
		if of := same[i.ID]; of != nil {
			e.Same = &entry{Incident: of, At: at}
		}
		last.Entries = append(last.Entries, e)
	}
	return days
}

// incidentPage shows the full report of one incident.
func (s *Server) incidentPage(w http.ResponseWriter, r *http.Request) {
	found := s.recordOf(w, r)
	if found == nil {
		return
	}
	v := struct {
		frame
		Record *record.Record
		Entry  entry
	}{s.frame("incident", "incident "+found.ID, time.Now()), found, entry{Incident: found.Incident(), At: time.Now()}}
	v.Level = ladder.LevelOf(found.Verdict.Cause).String()
	if found.Closed != nil { // an observation, too
		v.Level = "past" // what is over is neither good nor bad
	}
	s.show(w, http.StatusOK, "incident", v)
}

// recordOf returns the requested record without secrets. If there is none, it writes the error and returns nil.
func (s *Server) recordOf(w http.ResponseWriter, r *http.Request) *record.Record {
	id := r.PathValue("id")
	err := incident.ErrNotFound
	var found *record.Record
	if s.History != nil {
		found, err = s.History.Record(r.Context(), id)
	}
	if err == nil {
		found, err = found.Redacted()
	}
	switch {
	case errors.Is(err, incident.ErrNotFound):
		s.missing(w, fmt.Sprintf("There is no incident %q.", truncate(sanitize(id), badgeLetters)))
		return nil
	case err != nil:
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return nil
	}
	return found
}

// download sends the record as a file.
func (s *Server) download(w http.ResponseWriter, r *http.Request) {
	found := s.recordOf(w, r)
	if found == nil {
		return
	}
	file := r.PathValue("file")
	body, contentType := []byte(found.Markdown()), "text/markdown; charset=utf-8"
	switch file {
	case "record.md":
	case "record.json":
		var err error
		if body, err = found.JSON(); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		contentType = "application/json"
	default:
		http.NotFound(w, r)
		return
	}
	h := w.Header()
	h.Set("Content-Type", contentType)
	name := "netwatchd-" + found.ID + file[len("record"):]
	h.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": name}))
	_, _ = w.Write(body)
}
