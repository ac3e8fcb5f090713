package overview_test

import (
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"netwatchd/internal/causes"
	"netwatchd/internal/diagnose"
	"netwatchd/internal/diagnose/diagnosetest"
	"netwatchd/internal/overview"
	"netwatchd/internal/probe"
)

var scenes = sync.OnceValue(func() map[string]diagnose.Round {
	all := make(map[string]diagnose.Round)
	for _, s := range diagnosetest.Scenes() {
		all[s.Name] = s.Round
	}
	return all
})

// judged is the verdict on a service in the scene of that name. Each service is at an address of its own.
func judged(service, scene string) overview.Service {
	round, known := scenes()[scene]
	if !known {
		panic("no scene " + scene)
	}
	round.Service, round.Results = service, slices.Clone(round.Results)
	for i := range round.Results {
		if r := &round.Results[i]; r.Role == probe.OfService {
			r.Service, r.Target = service, strings.ReplaceAll(r.Target, "chatgpt.com", service+".example")
		}
	}
	v := diagnose.Of(round)
	return overview.Service{Verdict: &v, Results: round.Results}
}

func of(name string, c causes.Cause) overview.Service {
	return overview.Service{Verdict: &diagnose.Verdict{Service: name, Cause: c, Title: name + ": " + c.About().Title}}
}

func TestSentence(t *testing.T) {
	several := func(c causes.Cause, names ...string) (all []overview.Service) {
		for _, name := range names {
			all = append(all, of(name, c))
		}
		return all
	}
	for _, test := range []struct {
		want     string
		services []overview.Service
	}{
		{"", nil},
		{"codex works", several(causes.Healthy, "codex")},
		{"codex and claude work", slices.Concat(several(causes.Healthy, "codex"), several(causes.Degraded, "claude"))},
		{"all 4 services work", several(causes.Healthy, "a", "b", "c", "d")},
		{"claude works; codex does not: the service is down",
			slices.Concat(several(causes.Upstream, "codex"), several(causes.Healthy, "claude"))},
		{"codex does not work: the service is down; claude does not work: the agent's account is rejected",
			slices.Concat(several(causes.Upstream, "codex"), several(causes.Account, "claude"))},
		{"codex, claude and gemini do not work: this host is offline",
			several(causes.HostOffline, "codex", "claude", "gemini")},
		{"wiki works; 4 services do not: this host is offline",
			slices.Concat(several(causes.HostOffline, "a", "b", "c", "d"), several(causes.Healthy, "wiki"))},
		{"a does not work: the service is down; b does not work: the service is down; " +
			"c does not work: the service is down; 2 more services do not", several(causes.Upstream, "a", "b", "c", "d", "e")},
		{"claude works; codex works only outside the sandbox",
			slices.Concat(several(causes.Sandbox, "codex"), several(causes.Healthy, "claude"))},
		{"claude works; codex works, but the agent's sandbox has network access, although it should be closed",
			slices.Concat(several(causes.SandboxOpen, "codex"), several(causes.Healthy, "claude"))},
		{"claude works; it is not known whether codex and gemini work",
			slices.Concat(several(causes.Inconclusive, "codex"), several(causes.Healthy, "claude"),
				several(causes.Starting, "gemini"))},
	} {
		if got := overview.Of(test.services).String(); got != test.want {
			t.Errorf("got  %q\nwant %q", got, test.want)
		}
	}
}

// A fault of a part of the host that services share is one fault, also where its verdicts name each service's address.
func TestHostFaults(t *testing.T) {
	for _, scene := range []string{
		"no default route", "resolver drops", "proxy dead", "proxy inspects TLS by its own CA",
		"firewall refuses everything", "self sandboxed",
	} {
		all := []overview.Service{judged("codex", scene), judged("wiki", "503"), judged("claude", scene),
			judged("shop", "nothing wrong")}
		got := overview.Of(all)
		if len(got.HostFaults) != 1 || !slices.Equal(got.HostFaults[0].Services, []string{"codex", "claude"}) {
			t.Errorf("%s: %+v, want one fault of codex and claude", scene, got.HostFaults)
			continue
		}
		if got.SameAs("claude") != "codex" || got.SameAs("codex") != "" || got.SameAs("wiki") != "" {
			t.Errorf("%s: told by %q, %q, %q", scene, got.SameAs("claude"), got.SameAs("codex"), got.SameAs("wiki"))
		}
		if diff := cmp.Diff([]string{"codex"}, got.SharedWith("claude")); diff != "" {
			t.Errorf("%s: %s", scene, diff)
		}
	}
}

// What two services suffer from is not one fault because the cause is the same.
func TestSeparateFaults(t *testing.T) {
	for _, scene := range []string{"503", "403 challenge of a CDN", "usage limit"} {
		if got := overview.Of([]overview.Service{judged("codex", scene), judged("claude", scene)}); got.HostFaults != nil {
			t.Errorf("%s: %+v, want none", scene, got.HostFaults)
		}
	}
	a, b := judged("codex", "proxy dead"), judged("claude", "proxy dead")
	b.Evidence = slices.Clone(b.Evidence)
	b.Evidence[0].Proxy, b.Title = "http://other.example:3128", "claude: another proxy refuses connections"
	if overview.Same(a, b) {
		t.Error("two proxies are one fault")
	}
}
