package httpprobe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/coder/websocket"

	"netwatchd/internal/humanize"
	"netwatchd/internal/panics"
	"netwatchd/internal/probe"
	"netwatchd/internal/probe/connect"
)

// Stream requests a WebSocket upgrade and holds the connection idle: many middleboxes let a request pass and drop
// connections that live longer.
//
// Without credentials, the service may answer with one of Status instead of upgrading. Then the upgrade reached its
// application: that is a success with the warning `stream_not_upgraded`, and the connection is still held. After the
// hold, the connection must still be open and answer.
type Stream struct {
	URL    *url.URL // ws, wss
	Status []int    // answers that show that the upgrade reached the application; empty: refusalStatuses
	Hold   time.Duration

	AnyStatus bool // instead of Status: any answer of an application

	// Timeout bounds everything but the hold; zero is no bound. A Spec's Timeout must be at least Timeout plus Hold.
	Timeout time.Duration
	connect.Options
}

// refusalStatuses are an application's likely answers to an upgrade without a sign-in. Codex 0.169 falls back to plain
// HTTP at once after a 426, and after five attempts after the others. Which one the real service sends was never
// measured, so all of them count: missing a middlebox that answers 400 is better than paging everyone.
var refusalStatuses = []int{
	http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound,
	http.StatusMethodNotAllowed, http.StatusUpgradeRequired,
}

// Probe implements [probe.Prober].
func (s *Stream) Probe(ctx context.Context) (probe.Facts, error) {
	secure := *s.URL
	secure.Scheme = map[string]string{"ws": "http", "wss": "https"}[s.URL.Scheme]
	if secure.Scheme == "" {
		return probe.Facts{}, probe.Failf(probe.Internal, "%s is not a WebSocket URL: use ws:// or wss://", s.URL.Redacted())
	}
	// HTTP/1.1 only: Codex does not upgrade over HTTP/2 (RFC 8441), and proxies do not support it.
	attempt := &connect.Attempt{
		Options:   s.Options,
		Progress:  new(connect.Progress),
		Origin:    &secure,
		Protocols: []string{"http/1.1"},
		WebSocket: true,
	}
	defer attempt.Close()
	err := s.stream(ctx, attempt, &secure)
	return attempt.End(err), err
}

func (s *Stream) stream(ctx context.Context, attempt *connect.Attempt, u *url.URL) error {
	last := time.Now().Add(s.Hold + s.Timeout) // of everything, the hold included
	ctx, cancel := s.bounded(ctx, last)
	defer cancel()
	upgrade, done := s.bounded(ctx, time.Now().Add(s.Timeout))
	defer done()
	conn, _, err := websocket.Dial(upgrade, u.String(), &websocket.DialOptions{
		HTTPClient: &http.Client{Transport: attempt, CheckRedirect: followNone},
	})
	switch {
	case err == nil:
		attempt.KeepOpen()
		return s.hold(ctx, attempt, conn)
	case attempt.Response.Response == nil:
		return unwrapURLError(err)
	case attempt.Response.StatusCode == http.StatusSwitchingProtocols:
		return probe.Failf(probe.StreamUpgradeRefused, "got 101, but not a WebSocket's: %w", err)
	}
	if err := s.judge(attempt.Response); err != nil {
		learnRefusal(attempt, err)
		quoteBody(attempt, err)
		return err
	}
	attempt.Progress.Warn("stream_not_upgraded")
	return s.holdRefused(ctx, attempt, u)
}

func (s *Stream) bounded(ctx context.Context, last time.Time) (context.Context, context.CancelFunc) {
	if s.Timeout == 0 {
		return context.WithCancel(ctx)
	}
	return context.WithDeadline(ctx, last)
}

// judge returns nil if the upgrade reached the application. A CDN's refusal, a rate limit and a server error keep
// their classes; anything else is a refused upgrade.
func (s *Stream) judge(a connect.Response) error {
	if s.AnyStatus {
		return notAnApplication(a)
	}
	if slices.Contains(s.Status, a.StatusCode) {
		return nil
	}
	seen := s.Status
	if len(seen) == 0 {
		seen = refusalStatuses
	}
	err := statusError(a, append([]int{http.StatusSwitchingProtocols}, seen...))
	switch probe.Classify(probe.Response, err) {
	case probe.HTTPEdgeBlocked, probe.HTTPRateLimited, probe.HTTPServerError, probe.ProxyAuthRequired, probe.ProxyFailed:
		return err
	}
	if slices.Contains(seen, a.StatusCode) {
		return nil
	}
	return probe.Fail(probe.StreamUpgradeRefused, err)
}

var errHoldTooLong = probe.Fail(probe.Internal, errors.New("the deadline passed while the connection was held: "+
	"set it to more than hold and timeout together"))

// hold keeps a WebSocket idle and then sends a ping.
func (s *Stream) hold(ctx context.Context, attempt *connect.Attempt, conn *websocket.Conn) error {
	attempt.Progress.Enter(probe.Streaming)
	ended := make(chan error, 1)
	var reader sync.WaitGroup
	alive, gone := context.WithCancel(ctx) // Ping does not notice that the connection has ended
	reader.Go(func() {
		defer gone()
		ended <- panics.Run(panics.Probe, func() error { return discard(ctx, conn) })
	})
	defer reader.Wait()
	defer conn.CloseNow()
	hold := time.NewTimer(s.Hold)
	defer hold.Stop()
	select {
	case err := <-ended:
		if errors.Is(err, errFlood) {
			return err
		}
		return s.idleDropped(err, attempt.Progress.Spent())
	case <-ctx.Done():
		return errHoldTooLong
	case <-hold.C:
	}
	err := conn.Ping(alive)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil: // the library closes the connection then, and Ping may report that instead
		return s.checkAlive("a ping", ctx.Err())
	}
	conn.CloseNow()
	end := <-ended // says how the connection ended
	if errors.Is(end, errFlood) {
		return end
	}
	return s.checkAlive("a ping", errors.Join(err, end))
}

// errFlood ends a hold in which the server does not stop sending.
var errFlood = probe.Failf(
	probe.HTTPProtocolError,
	"the server sent more than %d MiB on a connection that should be idle",
	probe.HeldStreamLimit>>20,
)

// discard reads until the connection ends: without a reader, no pong arrives and the end goes unnoticed. The library's
// limit of 32 KiB per message would end the connection, and look like the network's fault.
func discard(ctx context.Context, conn *websocket.Conn) error {
	conn.SetReadLimit(-1)
	for left := int64(probe.HeldStreamLimit); left > 0; {
		_, message, err := conn.Reader(ctx)
		if err != nil {
			return err
		}
		n, err := io.Copy(io.Discard, io.LimitReader(message, left))
		if err != nil {
			return err
		}
		left -= n + frameCost
	}
	return errFlood
}

// frameCost counts for each message, because reading one costs time however short it is.
const frameCost = 1 << 10

// holdRefused keeps the connection of a refused upgrade idle and then makes another request on it. A server may close
// an idle connection with a FIN, which is a warning. A reset or silence comes from something on the network path.
func (s *Stream) holdRefused(ctx context.Context, attempt *connect.Attempt, u *url.URL) error {
	if s.Hold == 0 {
		return nil
	}
	attempt.Progress.Enter(probe.Streaming)
	conn := attempt.Kept()
	changed := make(chan struct{}, 1)
	conn.SetStateHook(func(*http.ClientConn) {
		select {
		case changed <- struct{}{}:
		default:
		}
	})
	hold := time.NewTimer(s.Hold)
	defer hold.Stop()
	for held := false; !held; {
		if err := conn.Err(); err != nil {
			return s.idleClosed(attempt, err)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return errHoldTooLong
		case <-hold.C:
			held = true
		}
	}
	return s.secondRequest(ctx, conn, u)
}

func (s *Stream) secondRequest(ctx context.Context, conn *http.ClientConn, u *url.URL) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodHead, u.String(), http.NoBody)
	if err != nil {
		return probe.Fail(probe.Internal, err)
	}
	r.Header.Set("User-Agent", connect.UserAgent)
	response, err := conn.RoundTrip(r)
	if err == nil {
		response.Body.Close()
	}
	return s.checkAlive("a request", err)
}

func (s *Stream) idleClosed(attempt *connect.Attempt, err error) error {
	if _, reset := errors.AsType[syscall.Errno](err); reset {
		return s.idleDropped(err, attempt.Progress.Spent())
	}
	attempt.Progress.Warn("stream_closed_idle")
	return nil
}

func (s *Stream) idleDropped(err error, idle time.Duration) error {
	return probe.Fail(
		probe.StreamIdleCut,
		probe.During(fmt.Sprintf("the connection was dropped after %s idle", humanize.Latency(idle)), err),
	)
}

// checkAlive judges the result of the first message after the hold.
func (s *Stream) checkAlive(message string, err error) error {
	if err == nil {
		return nil
	}
	wrapped := probe.During(fmt.Sprintf("%s after %s idle", message, humanize.Latency(s.Hold)), err)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return probe.Fail(probe.StreamStalled, wrapped)
	case s.Hold > 0 && errors.Is(err, syscall.ECONNRESET):
		// A firewall that has forgotten the connection resets it at the first packet: it was dropped while idle.
		return probe.Fail(probe.StreamIdleCut, wrapped)
	}
	return probe.Fail(probe.StreamCut, wrapped)
}
