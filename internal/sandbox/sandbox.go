// Package sandbox makes probes inside an agent's sandbox. This program starts itself in there and reports the results as JSON.
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

// A Batch makes attempts inside a sandbox, all of them in one start of it: starting it takes longer than they do (0.05 s with
// codex 0.104.0, 0.3 s with 0.169.0; an attempt that is denied takes 1 ms).
//
// It is this very program that makes them in there, so that nothing differs but the place.
type Batch struct {
	Service string
	Wrap    func(context.Context) ([]string, error) // the command that runs the rest of its arguments in the sandbox
	Env     []string                                // name=value, added to the part of our own environment that a command is given
	Dir     string
	Program string         // this program; empty: the one that runs
	Timeout time.Duration  // of all of it
	Probes  []*probe.Probe // looks at this process, lookups and requests; each becomes a result of the same name
}

// Run makes the attempts and returns a result for each, in their order. Limit bounds each of them, if it is not zero. It
// reports false if ctx ended first.
//
// A sandbox that cannot be started is no sandbox that says no: every service's attempt then ends in a class of the layer
// exec, with the wrapper's own words, and the looks are left out.
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
	return t.failed(r), true
}

type proberFunc func(context.Context) (probe.Facts, error)

func (f proberFunc) Probe(ctx context.Context) (probe.Facts, error) { return f(ctx) }

// failed are the results of attempts that were never made.
func (t *Batch) failed(start probe.Result) []probe.Result {
	var all []probe.Result
	for _, p := range t.Probes {
		if p.Role != probe.OfService {
			continue
		}
		r := start
		r.Spec = inSandbox(p.Spec)
		all = append(all, r)
	}
	return all
}

func inSandbox(s probe.Spec) probe.Spec {
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
	return nil, facts, notInside(e)
}

// command returns the whole command and its standard input. The probes are an argument, which every wrapper passes on. If
// they contain a secret they are the input instead: other users can read arguments in the process list.
func (t *Batch) command(ctx context.Context, limit time.Duration) (c execprobe.Process, input string, err error) {
	wrap, err := t.Wrap(ctx)
	if err != nil {
		return c, "", err
	}
	program := t.Program
	if program == "" {
		if program, err = os.Executable(); err != nil {
			return c, "", probe.Failf(probe.Internal, "finding this program, to run it in the sandbox: %w", err)
		}
	}
	attempts, err := MarshalProbes(bounded(t.Probes, limit))
	if err != nil {
		return c, "", probe.Fail(probe.Internal, err)
	}
	last := string(attempts)
	if slices.ContainsFunc(t.Probes, holdsSecret) {
		last, input = "-", last
	}
	return execprobe.Process{Argv: slices.Concat(wrap, []string{program, "probe", "--batch", last}), Env: execprobe.Environment(t.Env), Dir: t.Dir}, input, nil
}

func bounded(probes []*probe.Probe, limit time.Duration) []*probe.Probe {
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
	return ok && (strings.Contains(r.Proxy, "@") || redact.String(r.URL.String()) != r.URL.String())
}

// read finds the results among what the wrapper may have said as well.
func (t *Batch) read(stdout string) ([]probe.Result, bool) {
	for line := range strings.Lines(stdout) {
		var results []probe.Result
		if json.Unmarshal([]byte(line), &results) != nil || len(results) != len(t.Probes) {
			continue
		}
		for i := range results {
			results[i].Spec = inSandbox(t.Probes[i].Spec)
		}
		return results, true
	}
	return nil, false
}

// notInside says why nothing was heard from inside, in the wrapper's own words.
func notInside(e execprobe.ExitState) error {
	words := complaint(execprobe.FirstNonBlank(e.Stderr, e.Stdout))
	if strings.Contains(e.Stderr, "helper binaries under temporary dir") { // codex 0.169.0; what follows is bwrap's surprise
		words += " (codex makes no helpers under a temporary directory: CODEX_HOME must lie elsewhere)"
	}
	switch {
	case e.Code == 127: // what shells and env(1) say: POSIX, "Exit Status for Commands"
		return probe.Failf(probe.ExecNotFound, "the sandbox's command ended with exit code 127, something was not found: %s", words)
	case e.Code != 0:
		return probe.Failf(probe.ExecStartFailed, "the sandbox was not set up, its command ended with exit code %d: %s", e.Code, words)
	case words == "":
		return probe.Failf(probe.ExecUnexpectedOutput, "the sandbox's command ended well, and nothing was heard from inside: "+
			"does it run what follows it, and show its output?")
	}
	return probe.Failf(probe.ExecUnexpectedOutput, "the sandbox's command ended well, but what was heard is not from netwatchd: %s", words)
}

// panicked is how a Rust program says that it gave up; what is wrong stands on the line after.
var panicked = regexp.MustCompile(`(?m)^thread '.*' .*panicked at .*:\n(.+)$`)

// complaint is the line of a program's last words that says what is wrong: codex ends with a stack of <unknown> frames,
// or with advice on how to see one, and begins with warnings.
func complaint(text string) string {
	if m := panicked.FindStringSubmatch(text); m != nil {
		return execprobe.Quote(m[1])
	}
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "Error") || strings.HasPrefix(line, "error:") {
			return execprobe.Quote(line)
		}
	}
	return execprobe.LastLine(text)
}

// A handed is a probe as it is handed to another process of ours.
type handed struct {
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

// MarshalProbes writes lookups, requests and looks, on one line, for another process of ours to make.
func MarshalProbes(probes []*probe.Probe) ([]byte, error) {
	all := make([]handed, len(probes))
	for i, p := range probes {
		all[i] = handed{Spec: p.Spec, Timeout: probe.InSeconds(p.Timeout)}
		switch prober := p.Prober.(type) {
		case *dnsprobe.Lookup:
			all[i].DNS = prober
		case *httpprobe.Request:
			all[i].HTTP = &wireRequest{URL: prober.URL.String(), Request: prober}
		default:
			if p.Kind != probe.KindHost {
				return nil, fmt.Errorf("probe %q cannot be handed on: it is of kind %v", p.Name, p.Kind)
			}
		}
	}
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(all)
	return bytes.TrimSpace(text.Bytes()), err
}

// UnmarshalProbes reads what MarshalProbes writes. The looks are given by look.
func UnmarshalProbes(text []byte, look probe.Prober) ([]*probe.Probe, error) {
	var all []handed
	if err := json.Unmarshal(text, &all); err != nil {
		return nil, fmt.Errorf("the attempts are not what netwatchd writes: %w", err)
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

func (h handed) prober(look probe.Prober) (probe.Prober, error) {
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
	return nil, errors.New("says nothing of what to do")
}
