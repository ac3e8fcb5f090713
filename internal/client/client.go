// Package client calls the HTTP API of a running daemon.
package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"netwatchd/internal/incident"
	"netwatchd/internal/probe"
	"netwatchd/internal/watch"
)

// A Client calls one daemon.
type Client struct {
	base           *url.URL
	user, password string
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
	c := &Client{base: base, user: o.User, password: o.Password}
	if base.User != nil {
		password, _ := base.User.Password()
		c.user, c.password, base.User = base.User.Username(), password, nil
	}
	// Without the environment's proxy: that is for the internet, and it may be what is broken.
	c.http = http.Client{Timeout: requestTimeout, Transport: &http.Transport{
		TLSClientConfig: secure, DialContext: (&net.Dialer{}).DialContext, ForceAttemptHTTP2: true, IdleConnTimeout: time.Minute}}
	return c, nil
}

// Address returns the URL of the daemon.
func (c *Client) Address() string { return c.base.String() }

// Status returns the daemon's current status.
func (c *Client) Status(ctx context.Context) (*watch.Status, error) {
	var s watch.Status
	return &s, c.get(ctx, &s, "api/v1/status", nil)
}

// Incidents returns up to limit incidents, the latest first, and their total number.
func (c *Client) Incidents(ctx context.Context, limit int) (latest []*incident.Incident, total int, err error) {
	var answer struct {
		Incidents []*incident.Incident `json:"incidents"`
		Total     int                  `json:"total"`
	}
	err = c.get(ctx, &answer, "api/v1/incidents", url.Values{"limit": {strconv.Itoa(limit)}})
	return answer.Incidents, answer.Total, err
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

func (c *Client) get(ctx context.Context, into any, path string, query url.Values) error {
	at := c.base.JoinPath(path)
	at.RawQuery = query.Encode()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), nil)
	if err != nil {
		return err
	}
	if c.user != "" {
		request.SetBasicAuth(c.user, c.password)
	}
	response, err := c.http.Do(request)
	if err != nil {
		return explained(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return statusError(response)
	}
	if err := json.NewDecoder(io.LimitReader(response.Body, answerLimit)).Decode(into); err != nil {
		return fmt.Errorf("%s does not respond like netwatchd: %w", c.base, err)
	}
	return nil
}

// explained removes what the caller knows, the method and the address, and adds a hint.
func explained(err error) error {
	if urlErr, ok := errors.AsType[*url.Error](err); ok {
		err = urlErr.Err
	}
	return withHint(err)
}

// errUnauthorized means that the daemon requires a user, or a different one.
var errUnauthorized = errors.New("it requires a user and a password: set --user, and NETWATCHD_PASSWORD in the environment")

func statusError(response *http.Response) error {
	if response.StatusCode == http.StatusUnauthorized {
		return errUnauthorized
	}
	var fault struct {
		Error struct{ Message string }
	}
	_ = json.NewDecoder(io.LimitReader(response.Body, 64<<10)).Decode(&fault)
	if fault.Error.Message == "" {
		return fmt.Errorf("it responds with %s", response.Status)
	}
	return errors.New(fault.Error.Message)
}
