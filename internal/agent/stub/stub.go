// Package stub serves the answer of a model on 127.0.0.1, for one run of an agent. A run against it needs neither the
// network nor an account and costs no tokens, so it fails only with the agent's installation.
package stub

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"netwatchd/internal/agent"
	"netwatchd/internal/probe"
	"netwatchd/internal/probe/execprobe"
)

// A Server answers the turns of one run as the agent's service would. It serves on a free port of 127.0.0.1, below a
// path and for a key that only that run knows.
type Server struct {
	protocol           Protocol
	address, path, key string
	answer             string // of every turn

	server  http.Server
	running sync.WaitGroup // the server and its connections
	turns   atomic.Int32
	tap     atomic.Pointer[func(*http.Request)]
}

// headerTimeout is generous: a client on the same host sends its headers at once.
const headerTimeout = 5 * time.Second

// bodyLimit bounds what is read of a request. The largest one seen has 55 KB (codex 0.169.0 with all its tools).
const bodyLimit = 4 << 20

// Start serves until Close. Every turn has the answer.
func Start(p Protocol, answer string) (*Server, error) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, probe.Failf(probe.Internal, "serving the stub: %w", err)
	}
	s := &Server{protocol: p, address: l.Addr().String(), path: "/" + rand.Text(), key: rand.Text(), answer: answer}
	s.server.Handler, s.server.ReadHeaderTimeout = s, headerTimeout
	s.server.ErrorLog = log.New(io.Discard, "", 0) // what a killed agent leaves unread is not news
	s.server.ConnState = func(_ net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew: // called by Serve, so that Close waits for this connection
			s.running.Add(1)
		case http.StateClosed: // none is hijacked
			s.running.Done()
		}
	}
	s.running.Go(func() { _ = s.server.Serve(l) }) // it returns http.ErrServerClosed
	return s, nil
}

// Close ends the server and every connection, and waits for them.
func (s *Server) Close() {
	_ = s.server.Close()
	s.running.Wait()
}

// BaseURL returns the address to configure in place of the service's.
func (s *Server) BaseURL() string {
	base := url.URL{Scheme: "http", Host: s.address, Path: s.path}
	return base.String()
}

// Tap has f called with each request.
func (s *Server) Tap(f func(*http.Request)) { s.tap.Store(&f) }

// Key returns the made-up key of the run. Requests without it are not answered.
func (s *Server) Key() string { return s.key }

// Environment returns variables that make the stub the proxy for every other request: it refuses them at once. An agent
// also asks for lists of models, updates and renewed sign-ins, and this run must do nothing of it.
func (s *Server) Environment() []string {
	var env []string
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"} {
		env = append(env, name+"=http://"+s.address, strings.ToLower(name)+"=http://"+s.address)
	}
	return append(env, "NO_PROXY=127.0.0.1", "no_proxy=127.0.0.1")
}

// Explain adds to the error of a run what the run requested, for people. It returns nil for nil.
func (s *Server) Explain(err error) error {
	switch {
	case err == nil:
		return nil
	case s.turns.Load() == 0:
		return fmt.Errorf("%w (in a run against a stub on this host, which got no request)", err)
	}
	return fmt.Errorf("%w (in a run against a stub on this host, which answered the request)", err)
}

func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if tap := s.tap.Load(); tap != nil {
		(*tap)(r)
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(r.Body, bodyLimit))
	own := r.Host == s.address && s.protocol.key(r.Header) == s.key
	switch path, below := strings.CutPrefix(r.URL.Path, s.path); {
	case r.Method == http.MethodConnect || r.URL.IsAbs(): // a proxy's request
		http.Error(w, "this is a stub: it forwards nothing", http.StatusForbidden)
	case !own || !below:
		http.NotFound(w, r)
	case r.Method == http.MethodPost && s.protocol.isTurn(path):
		s.turns.Add(1)
		w.Header().Set("Content-Type", "text/event-stream")
		s.protocol.turn(w, s.answer)
	case path == "/models":
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"models":[]}`)
	default:
		http.NotFound(w, r)
	}
}

// Run makes one run against a stub, within the deadline of ctx. Command prepares it: it returns the process, and a
// directory to remove afterwards.
func Run[R agent.Report](ctx context.Context, s agent.Settings, p Protocol,
	command func(*Server) (run execprobe.Process, temporary string, err error), read func(execprobe.ExitState) R,
) (probe.Facts, error) {
	server, err := Start(p, execprobe.FirstNonBlank(s.Expect, agent.Expect))
	if err != nil {
		return probe.Facts{Phase: probe.Executing}, err
	}
	defer server.Close()
	run, temporary, err := command(server)
	if err != nil {
		return probe.Facts{Phase: probe.Executing}, err
	}
	facts, err := agent.Make(ctx, s, run, temporary, read)
	facts.Tokens, facts.CostUSD, facts.Requests = nil, nil, 0 // the stub's are not real
	return facts, server.Explain(err)
}
