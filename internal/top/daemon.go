package top

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"netwatchd/internal/client"
	"netwatchd/internal/humanize"
	"netwatchd/internal/incident"
	"netwatchd/internal/probe"
	"netwatchd/internal/screen"
	"netwatchd/internal/statusfile"
)

// A Daemon reads the state of a daemon from its API, or from its status file while the API does not respond. Read is
// for one goroutine at a time.
type Daemon struct {
	Client *client.Client
	Files  []string // see [statusfile.Latest]

	cached details
}

// details change slowly and are not read each time.
type details struct {
	at        time.Time
	service   string
	latest    []probe.Result
	traces    []screen.Trace
	incidents []*incident.Incident
	more      int
}

// detailsInterval is how often details are read: a column stands for a minute, and news shows in the verdict first.
const detailsInterval = 3 * time.Second

// latestIncidents fill a tall screen.
const latestIncidents = 10

// Read returns the present scene. It takes as long as one request to the daemon may take.
func (d *Daemon) Read(ctx context.Context, service string) *screen.Scene {
	s := &screen.Scene{From: d.Client.Address(), Service: service}
	status, err := d.Client.Status(ctx)
	if err != nil {
		d.cached = details{}
		return d.fromFile(s, err)
	}
	s.Status = status
	names := screen.Order(status)
	if len(names) > 0 && !slices.Contains(names, service) {
		s.Service = names[0]
	}
	if s.Service != d.cached.service || time.Since(d.cached.at) >= detailsInterval {
		// Errors are ignored: a daemon without history, or an older one, still has verdicts.
		d.cached = d.readDetails(ctx, s.Service)
	}
	s.Latest, s.Traces, s.Incidents, s.More = d.cached.latest, d.cached.traces, d.cached.incidents, d.cached.more
	return s
}

func (d *Daemon) readDetails(ctx context.Context, service string) details {
	l := details{service: service, at: time.Now()}
	if service == "" {
		return l
	}
	l.latest, _ = d.Client.Results(ctx, service)
	if series, to, err := d.Client.LastHour(ctx, service); err == nil {
		for _, one := range series {
			l.traces = append(l.traces, trace(one, to))
		}
	}
	if latest, total, err := d.Client.Incidents(
		ctx,
		incident.Filter{Limit: latestIncidents, Kind: incident.Faults},
	); err == nil {
		l.incidents, l.more = latest, total-len(latest)
	}
	return l
}

// trace sorts points into minutes.
func trace(s client.Series, to time.Time) screen.Trace {
	t := screen.Trace{Probe: s.Probe, Vantage: s.Vantage, Steps: make([]screen.Step, screen.Hour)}
	last := to.Add(-time.Nanosecond).Truncate(time.Minute) // the current minute
	for _, p := range s.Points {
		n := len(t.Steps) - 1 - int(last.Sub(p.At)/time.Minute)
		if n < 0 || n >= len(t.Steps) {
			continue
		}
		step := screen.Step{Attempts: p.Attempts}
		for _, failed := range p.Failed {
			step.Failed += failed
		}
		if p.P50 != nil {
			step.Took = *p.P50
		}
		t.Steps[n] = step
	}
	return t
}

// sentence returns the text of err as a sentence. A URL at its beginning stays as it is.
func sentence(err error) string {
	text := err.Error()
	if !strings.HasPrefix(text, "http") {
		text = strings.ToUpper(text[:1]) + text[1:]
	}
	if !strings.HasSuffix(text, "?") {
		text += "."
	}
	return text
}

// fromFile adds the last status the daemon wrote, if there is one, and the reason why the daemon itself cannot be
// read.
func (d *Daemon) fromFile(s *screen.Scene, reason error) *screen.Scene {
	status, age, err := statusfile.Latest(d.Files...)
	trouble := sentence(d.Client.Unavailable(reason))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		s.Trouble = trouble + " Start the daemon with 'netwatchd run', or give another address with --url."
	case err != nil:
		s.Trouble = trouble + " " + err.Error()
	default:
		s.Status = status
		s.Trouble = fmt.Sprintf("%s Shown is the status file, written %s ago.", trouble, humanize.Span(age))
	}
	if status == nil {
		return s
	}
	for _, v := range status.Services {
		if v.Service == s.Service || s.Service == "" && v.Service == screen.Order(status)[0] {
			s.Latest = slices.DeleteFunc(slices.Clone(v.Results), func(r probe.Result) bool { return r.Role != probe.OfService })
		}
	}
	return s
}
