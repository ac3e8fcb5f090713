// Package client calls the HTTP API of a running daemon.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"

	"netwatchd/internal/incident"
	"netwatchd/internal/probe"
	"netwatchd/internal/watch"
	"netwatchd/internal/webtoken"
)

// A Client calls one daemon.
type Client struct {
	base           *url.URL
	user, password string
	tokenFile      string
	http           http.Client
}

// requestTimeout bounds one request: a daemon answers from memory, within milliseconds.
const requestTimeout = 5 * time.Second

// answerLimit bounds a response, in bytes: ten thousand services take about 4 MB.
const answerLimit = 64 << 20

// New returns a client for o. It does not connect yet.
func New(o Options) (*Client, error) {
	base, err := url.Parse(o.URL)
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" {
		return nil, fmt.Errorf("%q is not a valid daemon URL: use one like http://127.0.0.1:19405", o.URL)
	}
	secure, err := o.tls()
	if err != nil {
		return nil, err
	}
	c := &Client{base: base, user: o.User, password: o.Password, tokenFile: o.TokenFile}
	if base.User != nil {
		password, _ := base.User.Password()
		c.user, c.password, base.User = base.User.Username(), password, nil
	}
	// Without the environment's proxy: that is for the internet, and it may be what is broken.
	c.http = http.Client{Timeout: requestTimeout, Transport: &http.Transport{
		TLSClientConfig:   secure,
		DialContext:       (&net.Dialer{}).DialContext,
		ForceAttemptHTTP2: true,
		IdleConnTimeout:   time.Minute,
	}}
	return c, nil
}

// Address returns the URL of the daemon.
func (c *Client) Address() string { return c.base.String() }

// Status returns the daemon's current status.
func (c *Client) Status(ctx context.Context) (*watch.Status, error) {
	var s watch.Status
	if err := c.get(ctx, &s, "api/v1/status", nil); err != nil {
		return nil, err
	}
	if s.Version == "" {
		return nil, c.notOurs()
	}
	return &s, nil
}

// pageSize is what the API returns at most in one response.
const pageSize = 10000

// Incidents returns the matching incidents, the latest first, and the total number that match. A limit of 0 means all.
func (c *Client) Incidents(ctx context.Context, f incident.Filter) (found []*incident.Incident, total int, err error) {
	query := url.Values{"service": f.Services}
	switch f.Kind {
	case incident.AnyKind:
	case incident.Faults:
		query.Set("observation", "false")
	case incident.Observations:
		query.Set("observation", "true")
	}
	if f.OpenOnly {
		query.Set("open", "true")
	}
	for {
		limit := pageSize
		if f.Limit > 0 {
			limit = min(f.Limit-len(found), pageSize)
		}
		query.Set("limit", strconv.Itoa(limit))
		query.Set("offset", strconv.Itoa(f.Offset+len(found)))
		var answer struct {
			Incidents []*incident.Incident `json:"incidents"`
			Total     int                  `json:"total"`
		}
		err := c.get(ctx, &answer, "api/v1/incidents", query)
		if status, ok := errors.AsType[*responseError](err); ok && status.code == http.StatusBadRequest &&
			query.Has("observation") { // netwatchd 0.1.0 does not know the parameter, and has faults only
			if f.Kind == incident.Observations {
				return nil, 0, nil
			}
			query.Del("observation")
			continue
		}
		if err != nil {
			return nil, 0, err
		}
		found = append(found, answer.Incidents...)
		if len(answer.Incidents) == 0 || len(found) == f.Limit || f.Offset+len(found) >= answer.Total {
			return found, answer.Total, nil
		}
	}
}

// Record returns the record of an incident in both formats, or [incident.ErrNotFound].
func (c *Client) Record(ctx context.Context, id string) (markdown string, asJSON []byte, err error) {
	path := "api/v1/incidents/" + url.PathEscape(id)
	if asJSON, err = c.read(ctx, path, nil); err != nil {
		return "", nil, notFound(err, id)
	}
	text, err := c.read(ctx, path, url.Values{"format": {"markdown"}})
	return string(text), asJSON, notFound(err, id)
}

// notFound turns the daemon's response about an unknown ID into the error of the store.
func notFound(err error, id string) error {
	if status, ok := errors.AsType[*responseError](err); ok && status.code == http.StatusNotFound {
		return fmt.Errorf("%q: %w", id, incident.ErrNotFound)
	}
	return err
}

// Results returns the latest results of the service's probes, a thousand at most.
func (c *Client) Results(ctx context.Context, service string) ([]probe.Result, error) {
	var answer struct {
		Results []probe.Result `json:"results"`
	}
	err := c.get(ctx, &answer, "api/v1/results", url.Values{"service": {service}})
	return answer.Results, err
}

// A Series is the measurements of one probe over time.
type Series struct {
	Probe   string        `json:"probe"`
	Vantage probe.Vantage `json:"vantage"`
	Points  []Point       `json:"points"` // in order; none where there was no attempt
}

// A Point is the attempts of one step.
type Point struct {
	At       time.Time              `json:"at"`
	Attempts uint64                 `json:"attempts"`
	Failed   map[probe.Class]uint64 `json:"failed"`
	P50      *probe.Seconds         `json:"p50_seconds"` // of successful attempts; nil: none succeeded
}

// LastHour returns the measurements of a service's probes in the last hour, minute by minute, and its end.
func (c *Client) LastHour(ctx context.Context, service string) (all []Series, to time.Time, err error) {
	var answer struct {
		Series []Series  `json:"series"`
		To     time.Time `json:"to"`
	}
	err = c.get(ctx, &answer, "api/v1/history", url.Values{"service": {service}, "range": {"1h"}})
	return answer.Series, answer.To, err
}

// RecordBacktest has the daemon record a backtest. It returns the incident whose report has it; nil: none.
func (c *Client) RecordBacktest(ctx context.Context, b *incident.Backtest) (*incident.Incident, error) {
	body, err := json.Marshal(b)
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(
		ctx, http.MethodPost, c.base.JoinPath("api/v1/backtests").String(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	answer, err := c.do(request)
	if err != nil {
		return nil, err
	}
	var recorded struct {
		Incident *incident.Incident `json:"incident"`
	}
	if err := json.Unmarshal(answer, &recorded); err != nil {
		return nil, c.notOurs()
	}
	return recorded.Incident, nil
}

func (c *Client) get(ctx context.Context, into any, path string, query url.Values) error {
	body, err := c.read(ctx, path, query)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(body, into); err != nil {
		return c.notOurs()
	}
	return nil
}

// A foreignError means that a response is not one of netwatchd, or one of a version too new to read.
type foreignError struct{ url string }

func (e *foreignError) Error() string {
	return e.url + " does not respond like netwatchd: is another program listening there?"
}

func (c *Client) notOurs() error { return &foreignError{c.base.String()} }

// Unavailable says where the daemon's status could not be read because of err, and whether a daemon responded at all.
func (c *Client) Unavailable(err error) error {
	_, failed := errors.AsType[*responseError](err)
	_, foreign := errors.AsType[*foreignError](err)
	switch {
	case foreign:
		return err
	case failed, errors.Is(err, errUnauthorized), errors.Is(err, errCut):
		return fmt.Errorf("the daemon at %s does not give its status: %w", c.base, err)
	}
	return fmt.Errorf("no daemon responds at %s: %w", c.base, err)
}

func (c *Client) read(ctx context.Context, path string, query url.Values) ([]byte, error) {
	at := c.base.JoinPath(path)
	at.RawQuery = query.Encode()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), nil)
	if err != nil {
		return nil, err
	}
	return c.do(request)
}

func (c *Client) do(request *http.Request) ([]byte, error) {
	unsent := c.authorize(request)
	response, err := c.http.Do(request)
	if err != nil {
		return nil, explained(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		err := c.statusError(response)
		if wantsToken(response) {
			err = errors.Join(err, unsent)
		}
		return nil, err
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, answerLimit))
	if err != nil {
		return nil, errCut
	}
	return body, nil
}

// authorize adds the user and the password or, to a request that changes something, the token. It returns why there is
// no token to send: only a daemon that other hosts can reach requires one.
func (c *Client) authorize(request *http.Request) error {
	if c.user != "" {
		request.SetBasicAuth(c.user, c.password)
		return nil
	}
	if request.Method == http.MethodGet || c.tokenFile == "" {
		return nil
	}
	token, err := webtoken.Read(c.tokenFile)
	if err == nil {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	return err
}

// explained removes what the caller knows (the method, the address) and the names of Go's functions, and adds a hint.
func explained(err error) error {
	if urlErr, ok := errors.AsType[*url.Error](err); ok {
		if urlErr.Timeout() {
			return fmt.Errorf("no response within %v", requestTimeout)
		}
		err = urlErr.Err
	}
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		return errno
	}
	return withHint(err)
}

// errUnauthorized means that the daemon requires a user, or a different one. No colon follows the word password: what
// follows would be removed from the message as a secret.
var errUnauthorized = errors.New(
	"it requires a user and a password (set --user, and NETWATCHD_PASSWORD in the environment)",
)

var errCut = errors.New("the connection was closed in the middle of the response")

// A responseError is a response of the daemon other than 200.
type responseError struct {
	code int
	text string
}

func (e *responseError) Error() string { return e.text }

// wantsToken reports whether the daemon requires its token; otherwise it requires a user.
func wantsToken(response *http.Response) bool {
	scheme, _, _ := strings.Cut(response.Header.Get("WWW-Authenticate"), " ")
	return strings.EqualFold(scheme, "Bearer")
}

func (c *Client) statusError(response *http.Response) error {
	if response.StatusCode == http.StatusUnauthorized && !wantsToken(response) {
		return errUnauthorized
	}
	var fault struct {
		Error struct{ Message string }
	}
	_ = json.NewDecoder(io.LimitReader(response.Body, 64<<10)).Decode(&fault)
	switch {
	case fault.Error.Message != "":
		return &responseError{response.StatusCode, fault.Error.Message}
	case response.StatusCode == http.StatusNotFound: // netwatchd answers JSON below /api, whatever the path
		return c.notOurs()
	}
	return &responseError{response.StatusCode, "it responds with " + response.Status}
}
