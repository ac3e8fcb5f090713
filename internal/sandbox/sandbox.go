// Package sandbox makes probes inside an agent's sandbox: netwatchd runs itself there, and that process reports the
// results as JSON.
package sandbox

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"netwatchd/internal/probe"
	"netwatchd/internal/probe/dnsprobe"
	"netwatchd/internal/probe/execprobe"
	"netwatchd/internal/probe/httpprobe"
	"netwatchd/internal/redact"
)

// A Batch makes several attempts inside a sandbox with one start of it, because the start takes longer than they do
// (0.05 s with codex 0.104.0, 0.3 s with 0.169.0; a denied attempt takes 1 ms).
//
// The same program makes them inside, so that only the place differs.
type Batch struct {
	Service string
	Wrap    func(context.Context) ([]string, error) // returns a command that runs its further arguments in the sandbox
	Env     []string                                // name=value, added to what [execprobe.Environment] passes on
	Dir     string
	Program string         // the netwatchd to run inside; empty: this one
	Timeout time.Duration  // of the whole batch
	Probes  []*probe.Probe // host checks, lookups and requests; each becomes a result of the same name
}

// Run makes the attempts and returns a result for each, in order. A limit other than zero bounds each attempt. Run
// reports false if ctx ended first.
//
// A sandbox that cannot be started is not a sandbox that denies the network: then every attempt of the service ends
// in a class of the layer exec, with the wrapper's own output, and there are no host checks.
func (t *Batch) Run(ctx context.Context, limit time.Duration) ([]probe.Result, bool) {
	var inside []probe.Result
	start := &probe.Probe{
		Spec: probe.Spec{Service: t.Service, Name: "sandbox", Kind: probe.KindExec, Timeout: t.Timeout},
		Prober: proberFunc(func(ctx context.Context) (facts probe.Facts, err error) {
			inside, facts, err = t.attempt(ctx, limit)
			return facts, err
		}),
	}
	r, ok := probe.Do(ctx, start)
	switch {
	case !ok:
		return nil, false
	case r.OK():
		return inside, true
	}
	return t.notMade(r), true
}

type proberFunc func(context.Context) (probe.Facts, error)

func (f proberFunc) Probe(ctx context.Context) (probe.Facts, error) { return f(ctx) }

// notMade returns the results of attempts that were never made.
func (t *Batch) notMade(start probe.Result) []probe.Result {
	var all []probe.Result
	for _, p := range t.Probes {
		if p.Role != probe.OfService {
			continue
		}
		r := start
		r.Spec = fromSandbox(p.Spec)
		all = append(all, r)
	}
	return all
}

func fromSandbox(s probe.Spec) probe.Spec {
	s.Vantage = probe.FromSandbox
	return s
}

func (t *Batch) attempt(ctx context.Context, limit time.Duration) ([]probe.Result, probe.Facts, error) {
	facts := probe.Facts{Phase: probe.Executing}
	c, secret, err := t.command(ctx, limit)
	if err != nil {
		return nil, facts, err
	}
	e, facts, err := execprobe.ExecuteWithInput(ctx, c, secret)
	if err != nil {
		return nil, facts, err
	}
	facts.Output = execprobe.Quote(execprobe.FirstNonBlank(e.Stderr, e.Stdout))
	if results, ok := t.read(e.Stdout); ok {
		return results, facts, nil
	}
	if err := e.Interrupted(ctx); err != nil {
		return nil, facts, err
	}
	return nil, facts, outputError(e)
}

// command returns the whole command and its standard input. The probes are an argument, which every wrapper passes
// on. If they contain a secret they are the input instead: other users can read arguments in the process list.
func (t *Batch) command(ctx context.Context, limit time.Duration) (c execprobe.Process, input string, err error) {
	wrap, err := t.Wrap(ctx)
	if err != nil {
		return c, "", err
	}
	program := t.Program
	if program == "" {
		if program, err = os.Executable(); err != nil {
			return c, "", probe.Failf(probe.Internal, "finding the netwatchd executable, to run it in the sandbox: %w", err)
		}
	}
	attempts, err := marshalProbes(withTimeout(t.Probes, limit))
	if err != nil {
		return c, "", probe.Fail(probe.Internal, err)
	}
	last := string(attempts)
	if slices.ContainsFunc(t.Probes, holdsSecret) {
		last, input = "-", last
	}
	return execprobe.Process{
		Argv: slices.Concat(wrap, []string{program, "probe", "--batch", last}),
		Env:  execprobe.Environment(t.Env),
		Dir:  t.Dir,
	}, input, nil
}

func withTimeout(probes []*probe.Probe, limit time.Duration) []*probe.Probe {
	all := make([]*probe.Probe, len(probes))
	for i, p := range probes {
		spec := p.Spec
		if limit > 0 && (spec.Timeout == 0 || spec.Timeout > limit) {
			spec.Timeout = limit
		}
		all[i] = &probe.Probe{Spec: spec, Prober: p.Prober}
	}
	return all
}

// holdsSecret reports whether p's URL or its proxy's contains a secret.
func holdsSecret(p *probe.Probe) bool {
	r, ok := p.Prober.(*httpprobe.Request)
	return ok && (strings.Contains(r.Proxy, "@") || strings.Contains(strings.Join(r.Env, " "), "@") || redact.String(r.URL.String()) != r.URL.String())
}

// read finds the results in the output, which may also hold lines of the wrapper.
func (t *Batch) read(stdout string) ([]probe.Result, bool) {
	for line := range strings.Lines(stdout) {
		var results []probe.Result
		if json.Unmarshal([]byte(line), &results) != nil || len(results) != len(t.Probes) {
			continue
		}
		for i := range results {
			results[i].Spec = fromSandbox(t.Probes[i].Spec)
		}
		return results, true
	}
	return nil, false
}

// outputError explains why there are no results, with the wrapper's own output.
func outputError(e execprobe.ExitState) error {
	words := decisiveLine(execprobe.FirstNonBlank(e.Stderr, e.Stdout))
	if strings.Contains(e.Stderr, "helper binaries under temporary dir") { // codex 0.169.0; bwrap fails as a consequence
		words += " (codex creates no helpers under a temporary directory: move CODEX_HOME elsewhere)"
	}
	switch {
	case e.Code == 127: // of shells and env(1): POSIX, "Exit Status for Commands"
		return probe.Failf(probe.ExecNotFound, "the sandbox command exited with code 127, command not found: %s", words)
	case e.Code != 0:
		return probe.Failf(
			probe.ExecStartFailed,
			"the sandbox could not be set up, its command exited with code %d: %s",
			e.Code,
			words,
		)
	case words == "":
		return probe.Failf(probe.ExecUnexpectedOutput, "the sandbox command exited 0 but printed no probe results: "+
			"does it run its arguments and pass on their output?")
	}
	return probe.Failf(
		probe.ExecUnexpectedOutput,
		"the sandbox command exited 0, but its output is not netwatchd's: %s",
		words,
	)
}

// rustPanic matches the panic message of a Rust program; the next line says what is wrong.
var rustPanic = regexp.MustCompile(`(?m)^thread '.*' .*panicked at .*:\n(.+)$`)

// decisiveLine returns the line of the output that says what is wrong. codex begins with warnings, and ends with a
// stack of <unknown> frames or with advice on how to get one.
func decisiveLine(text string) string {
	if m := rustPanic.FindStringSubmatch(text); m != nil {
		return execprobe.Quote(m[1])
	}
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "Error") || strings.HasPrefix(line, "error:") {
			return execprobe.Quote(line)
		}
	}
	return execprobe.LastLine(text)
}

// A wireProbe is a probe as it is passed to another netwatchd process.
type wireProbe struct {
	probe.Spec
	Timeout probe.Seconds    `json:"timeout_seconds"`
	DNS     *dnsprobe.Lookup `json:"dns,omitempty"`
	HTTP    *wireRequest     `json:"http,omitempty"`
}

// A wireRequest is a request with its URL. The Spec's Target cannot replace the URL: it is redacted.
type wireRequest struct {
	URL string `json:"url"`
	*httpprobe.Request
}

// marshalProbes encodes lookups, requests and host checks on one line, for another netwatchd process.
func marshalProbes(probes []*probe.Probe) ([]byte, error) {
	all := make([]wireProbe, len(probes))
	for i, p := range probes {
		all[i] = wireProbe{Spec: p.Spec, Timeout: probe.InSeconds(p.Timeout)}
		switch prober := p.Prober.(type) {
		case *dnsprobe.Lookup:
			all[i].DNS = prober
		case *httpprobe.Request:
			all[i].HTTP = &wireRequest{URL: prober.URL.String(), Request: prober}
		default:
			if p.Kind != probe.KindHost {
				return nil, fmt.Errorf("probe %q of kind %v cannot run in a sandbox", p.Name, p.Kind)
			}
		}
	}
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(all)
	return bytes.TrimSpace(text.Bytes()), err
}

// UnmarshalProbes decodes what marshalProbes encodes. The prober look makes the host checks.
func UnmarshalProbes(text []byte, look probe.Prober) ([]*probe.Probe, error) {
	var all []wireProbe
	if err := json.Unmarshal(text, &all); err != nil {
		return nil, fmt.Errorf("the probes are not in netwatchd's format: %w", err)
	}
	probes := make([]*probe.Probe, len(all))
	for i, h := range all {
		h.Spec.Timeout = h.Timeout.Duration()
		prober, err := h.prober(look)
		if err != nil {
			return nil, fmt.Errorf("attempt %d, %q: %w", i+1, h.Name, err)
		}
		probes[i] = &probe.Probe{Spec: h.Spec, Prober: prober}
	}
	return probes, nil
}

func (h wireProbe) prober(look probe.Prober) (probe.Prober, error) {
	switch {
	case h.Kind == probe.KindHost:
		return look, nil
	case h.Kind == probe.KindDNS && h.DNS != nil:
		return h.DNS, nil
	case h.Kind == probe.KindHTTP && h.HTTP != nil && h.HTTP.Request != nil:
		target, err := url.Parse(h.HTTP.URL)
		if err != nil {
			return nil, errors.New("its url is not valid") // err quotes the URL, which may contain a secret
		}
		h.HTTP.Request.URL = target
		return h.HTTP.Request, nil
	}
	return nil, errors.New("lacks its definition")
}
