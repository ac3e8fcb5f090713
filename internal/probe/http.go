package probe

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"regexp"

	"netwatchd/internal/redact"
)

// HTTP makes one request on a connection of its own and holds the answer against what is expected. An expectation
// left empty expects nothing, except that a status must then be a 2xx.
type HTTP struct {
	URL             *url.URL `json:"-"` // handed on as the Spec's target
	Method          string   // empty: GET
	Status          []int
	Headers         []HeaderToken
	Body            *regexp.Regexp // searched for in the first 64 KiB
	FollowRedirects bool           // the last answer is judged; else a redirect is an answer like another
	Reach
}

// A HeaderToken must be among the tokens of a header's comma list, over all its lines and whatever the case.
type HeaderToken struct{ Name, Value string }

// Probe implements Prober.
func (h *HTTP) Probe(ctx context.Context) (Facts, error) {
	l := &line{Reach: h.Reach, progress: new(progress), first: h.URL, protocols: []string{"h2", "http/1.1"}}
	defer l.close()
	err := h.request(ctx, l)
	if err == nil {
		err = h.judge(l.answer)
		quoteBody(l, err)
	}
	return l.progress.end(), err
}

func (h *HTTP) request(ctx context.Context, l *line) error {
	r, err := http.NewRequestWithContext(ctx, h.Method, h.URL.String(), http.NoBody)
	if err != nil {
		return Fail(Internal, err)
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
func quoteBody(l *line, err error) {
	if err != nil && len(l.answer.body) > 0 {
		l.progress.learn(func(f *Facts) { f.Output = redact.Quote(string(l.answer.body), quoteLimit) })
	}
}

func (h *HTTP) judge(a answer) error {
	if !statusIn(h.Status, a.StatusCode) {
		return unexpected(a, h.Status)
	}
	for _, want := range h.Headers {
		if err := want.judge(a.Header); err != nil {
			return err
		}
	}
	switch {
	case a.cut != nil:
		return During("reading the answer's body", a.cut)
	case h.Body != nil && !h.Body.Match(a.body):
		return Failf(HTTPUnexpectedBody, "the body does not match /%s/", h.Body)
	}
	return nil
}
