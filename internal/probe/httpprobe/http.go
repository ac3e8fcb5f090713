// Package httpprobe makes HTTP requests and holds WebSocket streams, and compares the answers with what is expected.
package httpprobe

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"regexp"

	"netwatchd/internal/probe"
	"netwatchd/internal/probe/connect"
	"netwatchd/internal/redact"
)

// Request makes one request on a connection of its own and holds the answer against what is expected. An expectation
// left empty expects nothing, except that a status must then be a 2xx.
type Request struct {
	URL             *url.URL `json:"-"` // a process that hands a Request on writes it as text
	Method          string   // empty: GET
	Status          []int
	Headers         []HeaderToken
	Body            *regexp.Regexp // searched for in the first 64 KiB
	FollowRedirects bool           // the last answer is judged; else a redirect is an answer like another
	connect.Options
}

// A HeaderToken must be among the tokens of a header's comma list, over all its lines and whatever the case.
type HeaderToken struct{ Name, Value string }

// Probe implements Prober.
func (h *Request) Probe(ctx context.Context) (probe.Facts, error) {
	l := &connect.Attempt{Options: h.Options, Progress: new(connect.Progress), Origin: h.URL, Protocols: []string{"h2", "http/1.1"}}
	defer l.Close()
	err := h.request(ctx, l)
	if err == nil {
		err = h.judge(l.Response)
		quoteBody(l, err)
	}
	return l.Progress.End(), err
}

func (h *Request) request(ctx context.Context, l *connect.Attempt) error {
	r, err := http.NewRequestWithContext(ctx, h.Method, h.URL.String(), http.NoBody)
	if err != nil {
		return probe.Fail(probe.Internal, err)
	}
	client := &http.Client{Transport: l}
	if !h.FollowRedirects {
		client.CheckRedirect = followNone
	}
	_, err = client.Do(r)
	return bare(err)
}

func followNone(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// bare drops what http.Client puts around an error: method and URL are in the Result already.
func bare(err error) error {
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		return wrapped.Err
	}
	return err
}

// quoteBody keeps the answer's own words if they are part of why it was not as expected.
func quoteBody(l *connect.Attempt, err error) {
	if err != nil && len(l.Response.Content) > 0 {
		l.Progress.Learn(func(f *probe.Facts) { f.Output = redact.Quote(string(l.Response.Content), connect.QuoteLimit) })
	}
}

func (h *Request) judge(a connect.Response) error {
	if !statusIn(h.Status, a.StatusCode) {
		return unexpected(a, h.Status)
	}
	for _, want := range h.Headers {
		if err := want.judge(a.Header); err != nil {
			return err
		}
	}
	switch {
	case a.ReadErr != nil:
		return probe.During("reading the answer's body", a.ReadErr)
	case h.Body != nil && !h.Body.Match(a.Content):
		return probe.Failf(probe.HTTPUnexpectedBody, "the body does not match /%s/", h.Body)
	}
	return nil
}
