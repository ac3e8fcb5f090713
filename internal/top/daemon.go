package top

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"netwatchd/internal/client"
	"netwatchd/internal/incident"
	"netwatchd/internal/probe"
	"netwatchd/internal/screen"
	"netwatchd/internal/statusfile"
)

// A Daemon is looked at by its API; while it does not answer, by the file in which it keeps its status. Its Look is for one
// goroutine at a time.
type Daemon struct {
	Client *client.Client
	Files  []string // see [statusfile.Latest]

	slow slow
}

// slow is what changes slowly, and is not looked at each time.
type slow struct {
	at        time.Time
	of        string // the service
	latest    []probe.Result
	traces    []screen.Trace
	incidents []*incident.Incident
	more      int
}

// slowly is how seldom that is: a column stands for a minute, and that something has happened shows in the verdict first.
const slowly = 3 * time.Second

// latestIncidents are as many as a tall screen has room for.
const latestIncidents = 10

// Look looks, for at most as long as a request to the daemon may take.
func (d *Daemon) Look(ctx context.Context, service string) *screen.Scene {
	s := &screen.Scene{From: d.Client.Address(), Service: service}
	status, err := d.Client.Status(ctx)
	if err != nil {
		d.slow = slow{}
		return d.fromFile(s, err)
	}
	s.Status = status
	names := screen.Order(status)
	if len(names) > 0 && !slices.Contains(names, service) {
		s.Service = names[0]
	}
	if s.Service != d.slow.of || time.Since(d.slow.at) >= slowly {
		// What fails here is left out: a daemon without history, or of an older version, has verdicts all the same.
		d.slow = d.lookSlowly(ctx, s.Service)
	}
	s.Latest, s.Traces, s.Incidents, s.More = d.slow.latest, d.slow.traces, d.slow.incidents, d.slow.more
	return s
}

func (d *Daemon) lookSlowly(ctx context.Context, service string) slow {
	l := slow{of: service, at: time.Now()}
	if service == "" {
		return l
	}
	l.latest, _ = d.Client.Results(ctx, service)
	if series, to, err := d.Client.Hour(ctx, service); err == nil {
		for _, one := range series {
			l.traces = append(l.traces, trace(one, to))
		}
	}
	if latest, total, err := d.Client.Incidents(ctx, latestIncidents); err == nil {
		l.incidents, l.more = latest, total-len(latest)
	}
	return l
}

// trace lays out what was measured minute by minute.
func trace(s client.Series, to time.Time) screen.Trace {
	t := screen.Trace{Probe: s.Probe, Vantage: s.Vantage, Steps: make([]screen.Step, screen.Hour)}
	last := to.Add(-time.Nanosecond).Truncate(time.Minute) // the minute that is not over
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

// fromFile is what the daemon said last, if that is known, and why it says nothing now.
func (d *Daemon) fromFile(s *screen.Scene, unheard error) *screen.Scene {
	status, age, err := statusfile.Latest(d.Files...)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		s.Trouble = fmt.Sprintf("No daemon answers at %s: %v. Start one with 'netwatchd run', or name another with --url.", s.From, unheard)
	case err != nil:
		s.Trouble = fmt.Sprintf("No daemon answers at %s: %v. %v", s.From, unheard, err)
	default:
		s.Status = status
		s.Trouble = fmt.Sprintf("No daemon answers at %s: %v. This is from the status file, as of %s ago.", s.From, unheard, age.Round(time.Second))
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
