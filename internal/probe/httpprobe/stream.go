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

	"netwatchd/internal/probe"
	"netwatchd/internal/probe/connect"
)

// Stream asks for a WebSocket and holds the connection idle: many a middlebox lets a request pass and cuts what
// lives longer.
//
// A server that does not upgrade a stranger may still have let the upgrade through to its application: without
// credentials the real service answers one of Status. That is a success with the warning `stream_not_upgraded`, and the
// connection is held all the same. What a stream then fears is asked of it: to be still there, and to answer.
type Stream struct {
	URL    *url.URL // ws, wss
	Status []int    // answers of an application that saw the upgrade; empty: 400, 401, 403, 404, 405, 426
	Hold   time.Duration

	// Timeout bounds everything but the hold; zero does not. A Spec's Timeout must be no shorter than this and Hold together.
	Timeout time.Duration
	connect.Options
}

// refusals are what an application may answer to an upgrade without a sign-in. Codex 0.169 falls back to plain HTTP at once
// after a 426, and after five attempts for the others. Which of them the real service gives a stranger was never measured,
// so that all that are likely count as seen: to miss a middlebox that says 400 is better than to page everyone.
var refusals = []int{
	http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound,
	http.StatusMethodNotAllowed, http.StatusUpgradeRequired,
}

// Probe implements Prober.
func (s *Stream) Probe(ctx context.Context) (probe.Facts, error) {
	secure := *s.URL
	secure.Scheme = map[string]string{"ws": "http", "wss": "https"}[s.URL.Scheme]
	if secure.Scheme == "" {
		return probe.Facts{}, probe.Failf(probe.Internal, "%s is no WebSocket URL: use ws:// or wss://", s.URL.Redacted())
	}
	// RFC 8441's upgrade over HTTP/2 is not what Codex does, nor what proxies know.
	l := &connect.Attempt{Options: s.Options, Progress: new(connect.Progress), Origin: &secure, Protocols: []string{"http/1.1"}}
	defer l.Close()
	err := s.stream(ctx, l, &secure)
	return l.Progress.End(), err
}

func (s *Stream) stream(ctx context.Context, l *connect.Attempt, u *url.URL) error {
	last := time.Now().Add(s.Hold + s.Timeout) // for all, the hold included
	ctx, cancel := s.bounded(ctx, last)
	defer cancel()
	upgrade, done := s.bounded(ctx, time.Now().Add(s.Timeout))
	defer done()
	conn, _, err := websocket.Dial(upgrade, u.String(), &websocket.DialOptions{
		HTTPClient: &http.Client{Transport: l, CheckRedirect: followNone},
	})
	switch {
	case err == nil:
		l.KeepOpen()
		return s.hold(ctx, l, conn)
	case l.Response.Response == nil:
		return bare(err)
	case l.Response.StatusCode == http.StatusSwitchingProtocols:
		return probe.Failf(probe.StreamUpgradeRefused, "got 101, but not a WebSocket's: %w", err)
	}
	if err := s.judge(l.Response); err != nil {
		quoteBody(l, err)
		return err
	}
	l.Progress.Warn("stream_not_upgraded")
	return s.holdPlain(ctx, l, u)
}

func (s *Stream) bounded(ctx context.Context, last time.Time) (context.Context, context.CancelFunc) {
	if s.Timeout == 0 {
		return context.WithCancel(ctx)
	}
	return context.WithDeadline(ctx, last)
}

// judge is nil if the application saw the upgrade. A CDN's refusal, a limit and a server's own trouble are named as for
// any request; what else is not a WebSocket was refused.
func (s *Stream) judge(a connect.Response) error {
	if slices.Contains(s.Status, a.StatusCode) {
		return nil
	}
	seen := s.Status
	if len(seen) == 0 {
		seen = refusals
	}
	err := unexpected(a, append([]int{http.StatusSwitchingProtocols}, seen...))
	switch probe.Classify(probe.Response, err) {
	case probe.HTTPEdgeBlocked, probe.HTTPRateLimited, probe.HTTPServerError, probe.ProxyAuthRequired, probe.ProxyFailed:
		return err
	}
	if slices.Contains(seen, a.StatusCode) {
		return nil
	}
	return probe.Fail(probe.StreamUpgradeRefused, err)
}

var errCutShort = probe.Fail(probe.Internal, errors.New("the attempt's deadline came while the connection was held: "+
	"allow it more than hold and timeout together"))

// hold keeps a WebSocket idle and then asks for a sign of life.
func (s *Stream) hold(ctx context.Context, l *connect.Attempt, conn *websocket.Conn) error {
	l.Progress.Enter(probe.Streaming)
	ended := make(chan error, 1)
	var reader sync.WaitGroup
	alive, gone := context.WithCancel(ctx) // Ping itself waits for its pong on a connection that has ended
	reader.Go(func() {
		defer gone()
		ended <- readOn(ctx, conn)
	})
	defer reader.Wait()
	defer conn.CloseNow()
	hold := time.NewTimer(s.Hold)
	defer hold.Stop()
	select {
	case err := <-ended:
		return s.idleCut(err, l.Progress.Spent())
	case <-ctx.Done():
		return errCutShort
	case <-hold.C:
	}
	err := conn.Ping(alive)
	if err == nil || ctx.Err() != nil {
		return s.wake("a ping", err)
	}
	conn.CloseNow()
	return s.wake("a ping", errors.Join(err, <-ended)) // the one knows that it ended, the other how
}

// readOn reads until the connection ends: pongs arrive, and the end shows, only while somebody reads.
func readOn(ctx context.Context, conn *websocket.Conn) error {
	for {
		_, message, err := conn.Reader(ctx)
		if err != nil {
			return err
		}
		if _, err := io.Copy(io.Discard, message); err != nil {
			return err
		}
	}
}

// holdPlain keeps the connection of an upgrade that was answered, but not granted, idle, and then makes one more request
// on it. A server may close what idles, and does so with a FIN: a warning. A reset or silence is somebody in between.
func (s *Stream) holdPlain(ctx context.Context, l *connect.Attempt, u *url.URL) error {
	if s.Hold == 0 {
		return nil
	}
	l.Progress.Enter(probe.Streaming)
	conn := l.Conns[len(l.Conns)-1]
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
			return s.closedIdle(l, err)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return errCutShort
		case <-hold.C:
			held = true
		}
	}
	return s.askAgain(ctx, conn, u)
}

func (s *Stream) askAgain(ctx context.Context, conn *http.ClientConn, u *url.URL) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodHead, u.String(), http.NoBody)
	if err != nil {
		return probe.Fail(probe.Internal, err)
	}
	r.Header.Set("User-Agent", connect.UserAgent)
	response, err := conn.RoundTrip(r)
	if err == nil {
		response.Body.Close()
	}
	return s.wake("a request", err)
}

func (s *Stream) closedIdle(l *connect.Attempt, err error) error {
	if _, reset := errors.AsType[syscall.Errno](err); reset {
		return s.idleCut(err, l.Progress.Spent())
	}
	l.Progress.Warn("stream_closed_idle")
	return nil
}

func (s *Stream) idleCut(err error, idle time.Duration) error {
	return probe.Fail(probe.StreamIdleCut, probe.During(fmt.Sprintf("the connection ended after %s idle", idle.Round(time.Millisecond)), err))
}

// wake judges the answer to the first word after the hold.
func (s *Stream) wake(with string, err error) error {
	if err == nil {
		return nil
	}
	said := probe.During(fmt.Sprintf("%s after %s idle", with, s.Hold), err)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return probe.Fail(probe.StreamStalled, said)
	case s.Hold > 0 && errors.Is(err, syscall.ECONNRESET):
		// A firewall that has forgotten the connection resets it at the first packet: the cut came before.
		return probe.Fail(probe.StreamIdleCut, said)
	}
	return probe.Fail(probe.StreamCut, said)
}
