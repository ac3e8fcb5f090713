// Package exposure tells what a run of an agent would send to someone who answers in place of its service.
package exposure

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"netwatchd/internal/agent"
	"netwatchd/internal/causes"
	"netwatchd/internal/diagnose"
	"netwatchd/internal/plan"
	"netwatchd/internal/probe"
	"netwatchd/internal/watch"
)

// An Exposure is what a run would send, and to whom.
type Exposure struct {
	Verdict diagnose.Verdict // names interception

	sends agent.Mode
	to    *probe.Result // the request of the service that someone else answers; nil: none was answered
}

// Of makes one round of probes, without the agent and its sandbox, and returns nil if nobody answers in place of a's
// service or of other sites. Whoever answers for other sites may answer for the service next, or may have answered for
// it unnoticed if it has no TLS.
func Of(ctx context.Context, p watch.Plan, a plan.Agent, version string) *Exposure {
	service := a.Service
	service.SandboxProbes = nil
	service.Tasks = slices.DeleteFunc(slices.Clone(service.Tasks), func(t watch.Task) bool { return t.Status })
	p.Services = []watch.Service{service}
	status := watch.Once(ctx, p, version).Services[0]
	if ctx.Err() != nil || !status.Names(causes.Interception) {
		return nil
	}
	e := &Exposure{Verdict: status.Verdict, sends: a.Sends}
	if status.Cause != causes.Interception { // none of the service's requests shows it
		return e
	}
	for _, results := range [][]probe.Result{status.Evidence, status.Results} {
		i := slices.IndexFunc(results, func(r probe.Result) bool {
			return r.Service == service.Name && r.Vantage == probe.FromHost && !r.OK() && (r.Peer != "" || r.Proxy != "")
		})
		if i >= 0 {
			e.to = &results[i]
			break
		}
	}
	return e
}

// String says it in two sentences. The first begins in lower case.
func (e *Exposure) String() string {
	return fmt.Sprintf("someone else answers %s. %s would go %s.", e.who(), e.what(), e.where())
}

func (e *Exposure) who() string {
	for _, f := range e.Verdict.Also {
		if f.Cause == causes.Interception {
			return fmt.Sprintf("in place of other sites (%s), perhaps also in place of the service", strings.TrimSuffix(f.Title, "."))
		}
	}
	return fmt.Sprintf("in place of the service (%s)", strings.TrimSuffix(e.Verdict.Title, "."))
}

func (e *Exposure) what() string {
	switch e.sends {
	case agent.APIKey:
		return "The run's prompt and your API key"
	case agent.ChatGPT, agent.ClaudeSignIn, agent.GoogleSignIn:
		return "The run's prompt and the token of your " + string(e.sends)
	case agent.ProviderCredentials:
		return "The run's prompt and the credentials of its provider"
	case agent.SignedOut:
		return "The run's prompt"
	}
	return "Whatever the run sends, credentials included,"
}

func (e *Exposure) where() string {
	r := e.to
	if r == nil {
		return "to whoever answers there"
	}
	where := "to " + r.Peer
	if r.Proxy != "" {
		where = "through the proxy " + r.Proxy
	}
	if r.TLS != nil && r.TLS.Issuer != "" {
		where += fmt.Sprintf(", which has a certificate issued by %q", r.TLS.Issuer)
	}
	if r.Class.Layer() == "tls" {
		where += ", if the agent accepts that certificate"
	}
	return where
}
