package codex

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"netwatchd/internal/agent"
	"netwatchd/internal/codexconf"
	"netwatchd/internal/probe"
	"netwatchd/internal/probe/execprobe"
)

// A codexStubRun is a prober that makes the same run as its Codex, but with a stub of the service on 127.0.0.1. It
// tells whether the installation works without the network and the service.
//
// The run costs no tokens and sends no credentials: it has no sign-in, its provider entry has a made-up key, and every
// other request of codex ends at the stub, which is its proxy, too. Nothing listens after Probe has returned.
type codexStubRun struct{ Codex }

// Probe makes one run, within the deadline of ctx.
func (c codexStubRun) Probe(ctx context.Context) (probe.Facts, error) {
	release, err := c.takeTurn(ctx)
	if err != nil {
		return probe.Facts{Phase: probe.Executing}, err
	}
	defer release()
	want := execprobe.FirstNonBlank(c.Expect, agent.Expect)
	stub, err := startCodexStub(want)
	if err != nil {
		return probe.Facts{Phase: probe.Executing}, probe.Failf(probe.Internal, "serving the stub: %w", err)
	}
	defer stub.Close()
	argv, env, dir, err := c.command(ctx, stub)
	if err != nil {
		return probe.Facts{Phase: probe.Executing}, err
	}
	e, facts, err := execprobe.Execute(ctx, execprobe.Process{Argv: argv, Env: env, Dir: dir})
	if err != nil {
		return facts, err
	}
	output := readCodexLog(e.Stdout, e.Stderr)
	output.configFiles = codexconf.Setup{Home: lastValue(env, "CODEX_HOME"), System: codexSystem}.Paths()
	output.fill(&facts)
	facts.Tokens = nil // the stub reports none
	if err := output.verdict(ctx, e, want); err != nil {
		return facts, fmt.Errorf("%w (%s)", err, stub.seen())
	}
	return facts, nil
}

// command prepares the run. It is that of [Codex.Command] with another provider and without credentials.
func (c codexStubRun) command(ctx context.Context, s *codexStub) (argv, env []string, dir string, err error) {
	p, err := c.prepare(ctx)
	if err != nil {
		return nil, nil, "", err
	}
	env = execprobe.Environment(append(slices.Clone(c.Env), "CODEX_HOME="+p.home))
	env = slices.DeleteFunc(append(env, p.endpoint.environment()...), func(entry string) bool {
		return strings.HasPrefix(entry, "CODEX_API_KEY=")
	})
	provider := s.provider()
	if p.version.Compare(storesInMemory) >= 0 {
		provider = append(provider, settings(`cli_auth_credentials_store="ephemeral"`)...)
	}
	return c.arguments(p, provider), append(env, s.environment()...), p.dir, nil
}

// storesInMemory is the first version that is known to have a store of credentials without any sign-in (0.104.0,
// 0.169.0 and 0.171.0 were tried). Without a sign-in it sends no token, and 0.104 does not ask for a list of models
// before the turn, in vain and for 4 to 12 s.
var storesInMemory = agent.Version{Minor: 104}

// A codexStub answers the turn of one run as codex's service would. It serves on a free port of 127.0.0.1, below a
// path and for a key that only that run knows.
type codexStub struct {
	address, path, key string
	answer             string // of every turn

	server  http.Server
	running sync.WaitGroup // the server and its connections
	turns   atomic.Int32
}

// stubKeyVariable has the made-up key of a run: a provider entry names its key by a variable.
const stubKeyVariable = "NETWATCHD_STUB_KEY"

// stubHeaderTimeout is generous: a client on the same host sends its headers at once.
const stubHeaderTimeout = 5 * time.Second

// stubBodyLimit bounds what is read of a request. The largest one seen has 55 KB (0.169.0 with all its tools).
const stubBodyLimit = 4 << 20

func startCodexStub(answer string) (*codexStub, error) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &codexStub{address: l.Addr().String(), path: "/" + rand.Text(), key: rand.Text(), answer: answer}
	s.server.Handler, s.server.ReadHeaderTimeout = s, stubHeaderTimeout
	s.server.ErrorLog = log.New(io.Discard, "", 0) // what a killed codex leaves unread is not news
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
func (s *codexStub) Close() {
	_ = s.server.Close()
	s.running.Wait()
}

// provider returns the flags that point a run to the stub.
func (s *codexStub) provider() []string {
	entry := maps.Clone(probeEntry)
	base := url.URL{Scheme: "http", Host: s.address, Path: s.path}
	entry["name"], entry["base_url"], entry["env_key"] = "stub", base.String(), stubKeyVariable
	return settings(`model_provider="stub"`, "model_providers.stub="+inlineTOML(entry))
}

// environment returns the key, and makes the stub the proxy for every other request: it refuses them at once. codex
// also asks the service for its list of models and renews the sign-in, and this run must do neither.
func (s *codexStub) environment() []string {
	env := []string{stubKeyVariable + "=" + s.key}
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"} {
		env = append(env, name+"=http://"+s.address, strings.ToLower(name)+"=http://"+s.address)
	}
	return append(env, "NO_PROXY=127.0.0.1", "no_proxy=127.0.0.1")
}

// seen describes what the run requested, for people.
func (s *codexStub) seen() string {
	if s.turns.Load() == 0 {
		return "in a run against a stub on this host, which got no request"
	}
	return "in a run against a stub on this host, which answered the request"
}

func (s *codexStub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, io.LimitReader(r.Body, stubBodyLimit))
	own := r.Host == s.address && r.Header.Get("Authorization") == "Bearer "+s.key
	switch path, below := strings.CutPrefix(r.URL.Path, s.path); {
	case r.Method == http.MethodConnect || r.URL.IsAbs(): // a proxy's request
		http.Error(w, "this is a stub: it forwards nothing", http.StatusForbidden)
	case !own || !below:
		http.NotFound(w, r)
	case path == "/responses" && r.Method == http.MethodPost:
		s.turns.Add(1)
		s.turn(w)
	case path == "/models":
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"models":[]}`)
	default:
		http.NotFound(w, r)
	}
}

// turn streams the events of one completed turn: the least that codex 0.104 to 0.171 accepts as one (measured).
func (s *codexStub) turn(w http.ResponseWriter) {
	type object = map[string]any
	message := func(content ...any) object {
		return object{"type": "message", "role": "assistant", "id": "msg_1", "content": append([]any{}, content...)}
	}
	nothing := object{"cached_tokens": 0, "reasoning_tokens": 0}
	w.Header().Set("Content-Type", "text/event-stream")
	for _, event := range []object{
		{"type": "response.created", "response": object{"id": "resp_1"}},
		{"type": "response.output_item.added", "item": message()},
		{"type": "response.output_text.delta", "item_id": "msg_1", "delta": s.answer},
		{"type": "response.output_item.done", "item": message(object{"type": "output_text", "text": s.answer})},
		{"type": "response.completed", "response": object{"id": "resp_1", "usage": object{"input_tokens": 0,
			"input_tokens_details": nothing, "output_tokens": 0, "output_tokens_details": nothing, "total_tokens": 0}}},
	} {
		data, err := json.Marshal(event)
		if err != nil {
			return // no value above can cause it
		}
		if _, err := fmt.Fprintf(w, "event: %s\ndata: %s\n\n", event["type"], data); err != nil {
			return // codex has ended
		}
	}
}
