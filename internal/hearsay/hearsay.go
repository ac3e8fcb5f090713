// Package hearsay asks the status pages of vendors while a verdict stands that they may know of.
//
// What a page says is shown beside the verdict and never part of a round: it is no evidence, and cannot change a cause.
package hearsay

import (
	"context"
	"sync"
	"time"

	"netwatchd/internal/causes"
	"netwatchd/internal/vendorpage"
	"netwatchd/internal/watch"
)

// Pages returns the status pages by service. A service that is missing has none, or must not ask it.
type Pages func() map[string]*vendorpage.Page

// isWanted reports whether a page is asked while c is the verdict: the service is at fault, or some requests fail.
func isWanted(c causes.Cause) bool { return c == causes.Upstream || c == causes.Degraded }

// Told is called for each report that says something new about a service.
type Told func(ctx context.Context, service string, r vendorpage.Report)

// A Witness asks while a daemon runs. It is an observer.
type Witness struct {
	watch.NopObserver
	pages Pages
	told  Told

	mu    sync.Mutex
	known map[string]*testimony // by service; only while its verdict is wanted
	due   chan string
}

type testimony struct {
	asked  time.Time
	report *vendorpage.Report
}

// askEvery is how long a report is good for: people write these pages, and change them by the quarter of an hour.
const askEvery = 5 * time.Minute

// waiting is how many services may wait for their turn. Others ask in a later round.
const waiting = 16

// New returns a witness that asks pages and calls told, which may be nil.
func New(pages Pages, told Told) *Witness {
	return &Witness{pages: pages, told: told, known: make(map[string]*testimony), due: make(chan string, waiting)}
}

// Judged asks from the second round on that names a cause: the round that changes the verdict, and may page, has
// nothing to do with it.
func (w *Witness) Judged(now watch.ServiceStatus, was causes.Cause) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !isWanted(now.Cause) {
		delete(w.known, now.Service)
		return
	}
	if was != now.Cause || now.StatusPage == "" {
		return
	}
	known := w.known[now.Service]
	if known != nil && time.Since(known.asked) < askEvery {
		return
	}
	select {
	case w.due <- now.Service:
		if known == nil {
			known = new(testimony)
			w.known[now.Service] = known
		}
		known.asked = time.Now()
	default:
	}
}

// Run asks until ctx ends.
func (w *Witness) Run(ctx context.Context) {
	for {
		select {
		case service := <-w.due:
			w.ask(ctx, service)
		case <-ctx.Done():
			return
		}
	}
}

func (w *Witness) ask(ctx context.Context, service string) {
	page := w.pages()[service]
	if page == nil {
		return
	}
	report, made := page.Ask(ctx)
	if !made || !w.keep(service, report) || w.told == nil {
		return
	}
	w.told(ctx, service, report)
}

// keep keeps a report while the verdict stands, and reports whether it says something new.
func (w *Witness) keep(service string, report vendorpage.Report) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	known := w.known[service]
	if known == nil {
		return false
	}
	before := known.report
	known.report = &report
	return before == nil || before.String() != report.String()
}

// AddTo adds the reports to a status.
func (w *Witness) AddTo(status *watch.Status) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range status.Services {
		s := &status.Services[i]
		if known := w.known[s.Service]; known != nil && isWanted(s.Cause) {
			s.StatusPageReport = known.report
		}
	}
}

// AskOnce asks for all services of a status that may want it, at the same time.
func AskOnce(ctx context.Context, pages Pages, status *watch.Status) {
	var all sync.WaitGroup
	var known map[string]*vendorpage.Page
	for i := range status.Services {
		s := &status.Services[i]
		if !isWanted(s.Cause) || s.StatusPage == "" {
			continue
		}
		if known == nil {
			known = pages()
		}
		if page := known[s.Service]; page != nil {
			all.Go(func() {
				if report, made := page.Ask(ctx); made {
					s.StatusPageReport = &report
				}
			})
		}
	}
	all.Wait()
}
