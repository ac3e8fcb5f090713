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
	"netwatchd/internal/redact"
)

// A transport sends requests to one receiver, with credentials and headers, and keeps the outcome of the latest one.
// It serves one request at a time.
type transport struct {
	conf       config.Receiver
	agent      string
	now        func() time.Time
	base       http.RoundTripper
	configErr  error // set if no request can be made
	status     int   // of the latest response; 0: none
	retryAfter time.Duration
}

func newTransport(c config.Receiver, o Options) *transport {
	t := &transport{conf: c, agent: "netwatchd/" + o.Version, now: o.Now}
	base := http.DefaultTransport.(*http.Transport).Clone()
	base.MaxIdleConnsPerHost = 1
	if c.CAFile != "" {
		pem, err := os.ReadFile(c.CAFile)
		pool := x509.NewCertPool()
		if err == nil && !pool.AppendCertsFromPEM(pem) {
			err = fmt.Errorf("%s contains no certificate", c.CAFile)
		}
		t.configErr, base.TLSClientConfig = err, &tls.Config{RootCAs: pool}
	}
	t.base = base
	return t
}

// client follows no redirect: a receiver does not move, a captive portal redirects.
func (t *transport) client() *http.Client {
	return &http.Client{Transport: t, Timeout: t.conf.Timeout, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}}
}

// reset clears the outcome of the previous request.
func (t *transport) reset() { t.status, t.retryAfter = 0, 0 }

// responseLimit is larger than any response of a receiver.
const responseLimit = 64 << 10

// RoundTrip sends the request and returns the response with its whole body. A truncated response is an error.
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if t.configErr != nil {
		return nil, t.configErr
	}
	r = r.Clone(r.Context())
	r.Header.Set("User-Agent", t.agent)
	for _, h := range t.conf.Headers {
		r.Header.Set(h.Name, h.Value)
	}
	if err := t.authorize(r); err != nil {
		return nil, err
	}
	return t.answer(r)
}

// answer makes the request. A server may repeat the request, or anything else, in what it calls an error: secrets are
// removed before any text of the response is shortened or quoted.
func (t *transport) answer(r *http.Request) (*http.Response, error) {
	answer, err := t.base.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, responseLimit))
	if err != nil {
		return nil, fmt.Errorf("reading the response: %w", err)
	}
	if answer.StatusCode/100 != 2 {
		answer.Status, body = redact.Quote(answer.Status, quoteLimit), []byte(redact.Quote(string(body), quoteLimit))
	}
	answer.Body = io.NopCloser(bytes.NewReader(body))
	t.status, t.retryAfter = answer.StatusCode, t.parseRetryAfter(answer.Header.Get("Retry-After"))
	return answer, nil
}

// quoteLimit bounds what is quoted of a response.
const quoteLimit = 200

// authorize reads the credentials for each request, because they may be rotated, and makes them known as secrets
// before they are sent.
func (t *transport) authorize(r *http.Request) error {
	c := t.conf.Credentials
	secret, err := c.Secret()
	if err != nil {
		return err
	}
	secrets := []string{secret}
	switch {
	case c.Username != "":
		r.SetBasicAuth(c.Username, secret)
		secrets = append(secrets, c.Username+":"+secret)
	case secret != "":
		r.Header.Set("Authorization", "Bearer "+secret)
	}
	for _, h := range t.conf.KeyHeaders {
		key, err := h.Secret()
		if err != nil {
			return err
		}
		r.Header.Set(h.Name, key)
		secrets = append(secrets, key)
	}
	redact.Know("push "+t.conf.Name, secrets...)
	return nil
}

// parseRetryAfter parses a Retry-After header: seconds or a date.
func (t *transport) parseRetryAfter(header string) time.Duration {
	if seconds, err := strconv.Atoi(header); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(header); err == nil {
		return at.Sub(t.now())
	}
	return 0
}

// classify makes err a permanentError if sending the same request again cannot succeed: any 4xx except 429. A
// redirect does not come from a receiver, so the request is sent again.
func (t *transport) classify(err error) error {
	switch {
	case t.status/100 == 4 && t.status != http.StatusTooManyRequests:
		return &permanentError{t.status, err}
	case t.status/100 == 3:
		return errors.New("the response is a redirect: a captive portal, or the receiver's URL has changed")
	}
	return err
}
