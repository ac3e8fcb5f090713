// Package vendorpage asks the status page of a service's vendor what it says.
//
// The pages of OpenAI and Anthropic are made by Atlassian's Statuspage: /api/v2/status.json has one sentence on all of
// a vendor's services. It is hearsay: people write it, often long after a fault began, and about everyone's requests.
package vendorpage

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	"netwatchd/internal/probe"
	"netwatchd/internal/probe/connect"
	"netwatchd/internal/redact"
)

// A Page is the status page of a vendor.
type Page struct {
	URL     *url.URL // of the page that people read
	Options connect.Options
}

// A Report is what a page said.
type Report struct {
	At          time.Time `json:"at"`
	URL         string    `json:"url"`                   // what was asked
	Indicator   string    `json:"indicator,omitempty"`   // one of indicators; empty: see Error
	Description string    `json:"description,omitempty"` // in the vendor's words
	Error       string    `json:"error,omitempty"`       // why nothing is known
}

// String returns the report in a sentence without a full stop.
func (r Report) String() string {
	if r.Error != "" {
		return "the vendor's status page cannot be read: " + r.Error
	}
	return fmt.Sprintf("the vendor's status page says: %q", r.Description)
}

// timeout bounds one request: nobody waits for it in the daemon, and a person does in `netwatchd check`.
const timeout = 3 * time.Second

// descriptionLimit is in bytes. "Partially Degraded Service" has 26.
const descriptionLimit = 200

// indicators are those of the format, the least bad first.
var indicators = []string{"none", "maintenance", "minor", "major", "critical"}

// Ask asks the page once. It reports false if ctx ended first. A page that cannot be reached or read is a report too.
func (p *Page) Ask(ctx context.Context) (Report, bool) {
	api := p.URL.JoinPath("api/v2/status.json")
	q := &question{Page: p, url: api, report: Report{URL: redact.String(api.String())}}
	result, made := probe.Do(ctx, &probe.Probe{
		Spec: probe.Spec{Name: "status_page", Kind: probe.KindHTTP, Target: q.report.URL, Timeout: timeout}, Prober: q})
	report := Report{At: result.Start, URL: q.report.URL, Error: result.Why}
	if result.OK() {
		report.Indicator, report.Description = q.report.Indicator, q.report.Description
	}
	return report, made
}

type question struct {
	*Page
	url    *url.URL
	report Report
}

// Probe implements [probe.Prober].
func (q *question) Probe(ctx context.Context) (probe.Facts, error) {
	l := &connect.Attempt{Options: q.Options, Progress: new(connect.Progress), Origin: q.url,
		Protocols: []string{"h2", "http/1.1"}}
	defer l.Close()
	err := q.ask(ctx, l)
	return l.End(err), err
}

func (q *question) ask(ctx context.Context, l *connect.Attempt) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, q.url.String(), http.NoBody)
	if err != nil {
		return probe.Fail(probe.Internal, err)
	}
	if _, err := l.RoundTrip(r); err != nil {
		return err
	}
	if l.Response.StatusCode != http.StatusOK {
		return probe.Failf(probe.HTTPUnexpectedStatus, "it answers with status %d", l.Response.StatusCode)
	}
	if l.Response.ReadErr != nil {
		return l.Response.ReadErr
	}
	return q.report.read(l.Response.Content)
}

// read reads a body of the format: {"page":{…},"status":{"indicator":"minor","description":"…"}}.
func (r *Report) read(body []byte) error {
	var answer struct {
		Status struct{ Indicator, Description string }
	}
	if err := json.Unmarshal(body, &answer); err != nil || !slices.Contains(indicators, answer.Status.Indicator) {
		return probe.Failf(probe.HTTPUnexpectedBody, "it does not answer in the format of Atlassian's Statuspage")
	}
	r.Indicator = answer.Status.Indicator
	r.Description = redact.Quote(answer.Status.Description, descriptionLimit)
	return nil
}
