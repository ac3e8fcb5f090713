package push

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"time"

	"netwatchd/internal/config"
)

// A transport makes requests to one receiver, with credentials and headers, and remembers how the latest one ended. It serves one
// request at a time.
type transport struct {
	conf    config.Receiver
	agent   string
	now     func() time.Time
	to      http.RoundTripper
	broken  error // why no request can be made
	status  int   // of the latest answer; 0: none came
	waiting time.Duration
}

func newTransport(c config.Receiver, o Options) *transport {
	t := &transport{conf: c, agent: "netwatchd/" + o.Version, now: o.Now}
	to := http.DefaultTransport.(*http.Transport).Clone()
	to.MaxIdleConnsPerHost = 1
	if c.CAFile != "" {
		pem, err := os.ReadFile(c.CAFile)
		pool := x509.NewCertPool()
		if err == nil && !pool.AppendCertsFromPEM(pem) {
			err = fmt.Errorf("%s holds no certificate", c.CAFile)
		}
		t.broken, to.TLSClientConfig = err, &tls.Config{RootCAs: pool}
	}
	t.to = to
	return t
}

// client follows no redirection: a receiver does not move, a captive portal redirects.
func (t *transport) client() *http.Client {
	return &http.Client{Transport: t, Timeout: t.conf.Timeout, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}}
}

// begin forgets the request before.
func (t *transport) begin() { t.status, t.waiting = 0, 0 }

// answerLimit is more than any receiver has to say.
const answerLimit = 64 << 10

// RoundTrip makes the request, and returns the answer with all of its body: one that is cut short is none.
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if t.broken != nil {
		return nil, t.broken
	}
	r = r.Clone(r.Context())
	r.Header.Set("User-Agent", t.agent)
	for _, h := range t.conf.Headers {
		r.Header.Set(h.Name, h.Value)
	}
	if err := t.authorize(r); err != nil {
		return nil, err
	}
	answer, err := t.to.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, answerLimit))
	if err != nil {
		return nil, fmt.Errorf("reading the answer: %w", err)
	}
	answer.Body = io.NopCloser(bytes.NewReader(body))
	t.status, t.waiting = answer.StatusCode, t.retryAfter(answer.Header.Get("Retry-After"))
	return answer, nil
}

// authorize reads credentials anew for each request: they may be rotated.
func (t *transport) authorize(r *http.Request) error {
	c := t.conf.Credentials
	secret, err := c.Secret()
	switch {
	case err != nil:
		return err
	case c.Username != "":
		r.SetBasicAuth(c.Username, secret)
	case secret != "":
		r.Header.Set("Authorization", "Bearer "+secret)
	}
	return nil
}

// retryAfter reads the header of that name: seconds or a date.
func (t *transport) retryAfter(header string) time.Duration {
	if seconds, err := strconv.Atoi(header); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(header); err == nil {
		return at.Sub(t.now())
	}
	return 0
}

// judge says of a request that failed whether another one like it may succeed. Client errors are for good, but for one that
// says to wait. An answer that is none of a receiver's is somebody else's.
func (t *transport) judge(err error) error {
	switch {
	case t.status/100 == 4 && t.status != http.StatusTooManyRequests:
		return &refusal{t.status, err}
	case t.status/100 == 3:
		return errors.New("the answer is a redirection: a captive portal, or the receiver has another URL")
	}
	return err
}
