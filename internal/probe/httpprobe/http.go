// Package httpprobe makes HTTP requests and holds WebSocket streams, and compares the answers with what is expected.
package httpprobe

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"netwatchd/internal/probe"
	"netwatchd/internal/probe/connect"
	"netwatchd/internal/redact"
)

// Request makes one request on a new connection and compares the answer with what is expected. An empty expectation
// matches anything, but an empty Status expects 2xx.
type Request struct {
	URL             *url.URL `json:"-"` // a process that passes a Request on writes it as text
	Method          string   // empty: GET
	Status          []int
	AnyStatus       bool // instead of Status: any answer of an application, also a refusal
	Headers         []HeaderToken
	Body            *regexp.Regexp // must match in the first BodyLimit bytes, after decoding
	BodyLimit       int64          // at least probe.BodyLimit, which zero means
	FollowRedirects bool           // judge the last answer; otherwise a redirect is the answer
	connect.Options
}

// A HeaderToken must be among the comma-separated tokens of a header, over all its lines; case does not matter.
type HeaderToken struct{ Name, Value string }

// Probe implements Prober.
func (h *Request) Probe(ctx context.Context) (probe.Facts, error) {
	l := &connect.Attempt{
		Options:   h.Options,
		Progress:  new(connect.Progress),
		Origin:    h.URL,
		Protocols: []string{"h2", "http/1.1"},
	}
	body := &bodySearch{pattern: h.Body, limit: max(h.BodyLimit, probe.BodyLimit), wants: h.wantsBody}
	l.ReadOn, l.ReadLimit = body.readOn, body.limit
	defer l.Close()
	err := h.request(ctx, l)
	if err == nil {
		h.explainRefusal(ctx, l)
		err = h.judge(l.Response, body)
		learnRefusal(l, err)
		quoteBody(l, err)
		h.quoteHeaders(l)
	}
	return l.End(err), err
}

func (h *Request) request(ctx context.Context, l *connect.Attempt) error {
	r, err := http.NewRequestWithContext(ctx, h.Method, h.URL.String(), http.NoBody)
	if err != nil {
		return probe.Fail(probe.Internal, err)
	}
	if !h.FollowRedirects { // http.Client would fail at a redirect to an invalid address
		_, err = l.RoundTrip(r)
		return err
	}
	hops := &follower{Attempt: l}
	_, err = (&http.Client{Transport: hops}).Do(r)
	if err = unwrapURLError(err); err != nil && hops.err == nil {
		return probe.Failf(probe.HTTPRedirected, "cannot follow the redirect: %w", err)
	}
	return err
}

// A follower makes the requests of one attempt. Its error is that of the last one: other errors of the client are about
// a redirect.
type follower struct {
	*connect.Attempt
	err error
}

func (f *follower) RoundTrip(r *http.Request) (response *http.Response, err error) {
	response, f.err = f.Attempt.RoundTrip(r)
	return response, f.err
}

func followNone(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// unwrapURLError removes what http.Client adds to an error: the Result already has method and URL.
func unwrapURLError(err error) error {
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		return wrapped.Err
	}
	return err
}

// quoteBody records the beginning of the body if the answer was not as expected.
func quoteBody(l *connect.Attempt, err error) {
	if err != nil && len(l.Response.Content) > 0 {
		l.Progress.Learn(func(f *probe.Facts) { f.Output = redact.Quote(string(l.Response.Content), connect.QuoteLimit) })
	}
}

// quoteHeaders records the headers that the probe expects, as the server sent them: "Allow: POST" is evidence that this
// is the service.
func (h *Request) quoteHeaders(l *connect.Attempt) {
	for _, want := range h.Headers {
		if values := l.Response.Header.Values(want.Name); len(values) > 0 {
			line := redact.Quote(want.Name+": "+strings.Join(values, ", "), connect.QuoteLimit)
			l.Progress.Learn(func(f *probe.Facts) { f.Headers = append(f.Headers, line) })
		}
	}
}

// wantsBody reports whether the body of an answer with this status is searched.
func (h *Request) wantsBody(status int) bool { return h.AnyStatus || isExpected(h.Status, status) }

func (h *Request) judge(a connect.Response, body *bodySearch) error {
	if h.AnyStatus {
		if err := notAnApplication(a); err != nil {
			return err
		}
	} else if !isExpected(h.Status, a.StatusCode) {
		return statusError(a, h.Status)
	}
	for _, want := range h.Headers {
		if err := want.judge(a.Header); err != nil {
			return err
		}
	}
	if a.ReadErr != nil {
		return a.ReadErr
	}
	return body.judge(a)
}
