package screen

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
	"time"

	"netwatchd/internal/causes"
	"netwatchd/internal/diagnose"
	"netwatchd/internal/diagnose/diagnosetest"
	"netwatchd/internal/doctor"
	"netwatchd/internal/probe"
	"netwatchd/internal/watch"
)

var noon = time.Date(2026, 2, 20, 12, 0, 0, 0, time.UTC)

// diagnosed is the verdict of netwatchd on the scene of that name, with the results of its round. Edits change the results
// before the verdict.
func diagnosed(name string, edits ...func(*probe.Result)) watch.ServiceStatus {
	return diagnosedAs("codex", name, edits...)
}

func diagnosedAs(service, name string, edits ...func(*probe.Result)) watch.ServiceStatus {
	round, known := rounds()[name]
	if !known {
		panic("no scene " + name)
	}
	round.Service, round.Results = service, slices.Clone(round.Results)
	for i := range round.Results {
		r := &round.Results[i]
		r.Service = service
		realistic(r)
		for _, edit := range edits {
			edit(r)
		}
	}
	v := diagnose.Of(round)
	s := watch.ServiceStatus{Verdict: v, Since: noon.Add(-3*time.Minute - 12*time.Second), Results: round.Results}
	if v.Cause.Fault() {
		s.Delay = 1.2
	}
	return s
}

var rounds = sync.OnceValue(func() map[string]diagnose.Round {
	all := make(map[string]diagnose.Round)
	for _, s := range diagnosetest.Scenes() {
		all[s.Name] = s.Round
	}
	return all
})

// realistic adds the details that a scene leaves out, as the probers report them.
func realistic(r *probe.Result) {
	r.Start = noon.Add(-2 * time.Second)
	address := "104.18.32.47:443"
	switch {
	case r.Server != "":
		r.Name, r.Target, r.Elapsed = r.Server[:len(r.Server)-len(":53")]+"/"+r.Role.String()[len("resolver."):], "chatgpt.com", .009
	case r.Role == probe.ControlByName, r.Role == probe.ControlByAddress:
		site := map[string]string{"c1": "gstatic", "c2": "apple", "c3": "cloudflare"}[r.Name]
		r.Target, address = "http://"+site+".example/generate_204", "203.0.113.8:80"
		if r.Name = site; r.Role == probe.ControlByAddress {
			r.Name += "@203.0.113.8"
		}
		r.Elapsed = .031
	case r.Kind == probe.KindHost:
		r.Elapsed = .0002
	case r.Kind == probe.KindDNS:
		r.Elapsed = .012
	case r.Kind == probe.KindStream:
		r.Elapsed = 60.09
	case r.Kind == probe.KindExec:
		r.Target, r.Elapsed = "codex", 4.2
	}
	if r.Kind == probe.KindHTTP || r.Kind == probe.KindStream {
		enter(r, address)
	}
	if r.OK() {
		if r.Kind == probe.KindExec {
			r.Output = "OK"
		}
		return
	}
	r.Why = cmp.Or(errorText[r.Class], r.Why)
	if r.Class == probe.LocalDenied {
		r.Elapsed, r.Phases = .0004, probe.Phases{}
	}
}

// enter adds the phases that r went through, and what they showed.
func enter(r *probe.Result, address string) {
	if r.Phase > probe.Resolve {
		r.Phases[probe.Resolve], r.Phases[probe.Connect], r.Peer = .012, .02, address
	}
	if r.Phase > probe.Handshake && r.Role == probe.OfService {
		r.Phases[probe.Handshake], r.Phases[probe.Request], r.Phases[probe.Response] = .03, .001, .021
		r.TLS = &probe.TLS{Version: "TLS 1.3", Subject: "chatgpt.com", Issuer: "CN=WE1,O=Google Trust Services,C=US", NotAfter: noon.AddDate(0, 2, 3)}
	}
	if r.OK() && r.Role != probe.OfService {
		r.Status = 204
	}
}

var errorText = map[probe.Class]string{
	probe.LocalDenied:     "lookup chatgpt.com: dial udp 192.168.1.1:53: socket: operation not permitted",
	probe.LocalNoRoute:    "no default route, neither IPv4 nor IPv6",
	probe.DNSTimeout:      "lookup chatgpt.com on 192.168.1.1:53: read udp 192.168.1.5:41230->192.168.1.1:53: i/o timeout",
	probe.TCPRefused:      "dial tcp 104.18.32.47:443: connect: connection refused",
	probe.TCPTimedOut:     "dial tcp 203.0.113.8:80: i/o timeout",
	probe.HTTPEdgeBlocked: "403 Forbidden with cf-mitigated: challenge; expected 405",
	probe.HTTPServerError: "503 Service Unavailable; expected 405",
	probe.ExecUsageLimit: "You've hit your usage limit. Upgrade to Pro, visit https://chatgpt.com/codex/settings/usage to purchase more " +
		"credits or try again at 4:12 PM.",
}

func status(services ...watch.ServiceStatus) *watch.Status {
	return &watch.Status{At: noon, Version: "1.4.0", Services: services}
}

func healthy() watch.ServiceStatus        { return diagnosed("nothing wrong") }
func healthyClosed() watch.ServiceStatus  { return diagnosed("sandbox closed, wanted closed") }
func sandboxed() watch.ServiceStatus      { return diagnosed("sandbox closed, wanted open") }
func resolver() watch.ServiceStatus       { return diagnosed("resolver drops") }
func upstream() watch.ServiceStatus       { return upstreamOf("codex") }
func edgeBlocked() watch.ServiceStatus    { return diagnosed("403 challenge of a CDN") }
func offline() watch.ServiceStatus        { return diagnosed("no default route") }
func accountRefused() watch.ServiceStatus { return diagnosed("usage limit") }
func unsure() watch.ServiceStatus         { return diagnosed("503 and no control reached") }

// upstreamOf is a service that is down while a nameserver is dead too.
func upstreamOf(service string) watch.ServiceStatus {
	return diagnosedAs(service, "service down, second nameserver dead too", func(r *probe.Result) {
		switch r.Kind {
		case probe.KindStream:
			r.Class, r.Phase, r.Why, r.TLS = probe.TCPRefused, probe.Connect, errorText[probe.TCPRefused], nil
		case probe.KindExec:
			r.Class, r.Why, r.Output = probe.ExecNetwork, "stream disconnected before completion", ""
		}
	})
}

func starting() watch.ServiceStatus {
	s := watch.ServiceStatus{Since: noon}
	s.Service, s.Cause, s.Title, s.Advice = "codex", causes.Starting, causes.Starting.About().Title, causes.Starting.About().Advice
	return s
}

// hostile is what a server might send to a terminal.
func hostile() watch.ServiceStatus {
	s := diagnosed("403 challenge of a CDN", func(r *probe.Result) {
		if r.Class == probe.HTTPEdgeBlocked {
			r.Why = "\x1b[2J\x1b[H405 OK\r\n✓ codex: reachable \u202e drawkcab \u9f99 " + r.Why
			r.Name += "\x1b[31m"
		}
	})
	s.Title += "\x1b]0;owned\x07"
	s.Missing = []string{"a\nb"}
	return s
}

// head is the result of the service's http probe in the scene of that name.
func head(name string) probe.Result {
	for _, r := range diagnosed(name).Results {
		if r.Name == "head" && r.Vantage == probe.FromHost {
			r.RequestID = "9d1f0c3b2a7e5f60-FRA"
			return r
		}
	}
	panic("no head in " + name)
}

func many(n int) []watch.ServiceStatus {
	all := make([]watch.ServiceStatus, n)
	for i := range all {
		all[i] = diagnosedAs(fmt.Sprintf("shop-%03d", i), "nothing wrong")
		all[i].Since = noon.Add(-time.Duration(i) * 37 * time.Minute)
	}
	all[n/2] = upstreamOf("payments.internal.example.com")
	all[1].Verdict = diagnosedAs("search", "300 ms delay, bound 250 ms").Verdict
	return all
}

var wellInstalled = []doctor.Finding{
	{Check: "configuration", Message: "built-in defaults; no file is needed"},
	{Check: "codex", Message: "0.169.0, /usr/local/bin/codex"},
	{Check: "unit", Outcome: doctor.Note, Message: "systemd does not run here: netwatchd must be started by something else or by hand"},
}

var badlyInstalled = []doctor.Finding{
	{Check: "configuration", Message: "/etc/netwatchd/config.yaml is valid"},
	{Check: "daemon", Outcome: doctor.Fault, Message: "127.0.0.1:19405 is in use by another program (HTTP 404 Not Found); " +
		"networking is mirrored, so it may be a Windows program",
		Fix: []doctor.Change{{File: "/etc/netwatchd/config.yaml", Lines: []string{`web: {listen: ["127.0.0.1:19406"]}`}}}},
	{Check: "prometheus", Outcome: doctor.Advice, Message: "Prometheus has not read /metrics since the daemon started",
		Fix: []doctor.Change{{File: "prometheus.yml", Lines: []string{"scrape_configs:", "  - job_name: netwatchd"}}}},
	{Check: "wsl kept awake", Outcome: doctor.Unknown, Message: "the Windows settings cannot be read from here",
		Fix: []doctor.Change{{File: `%USERPROFILE%\.wslconfig`, Lines: []string{"[general]", "instanceIdleTimeout=-1"}},
			{Lines: []string{"wsl.exe --shutdown # in Windows"}}}},
}

func refusedByProxy() probe.Result {
	r := head("nothing wrong")
	r.Class, r.Phase, r.Status, r.Why = probe.ProxyFailed, probe.Connect, 0,
		"the proxy 127.0.0.1:39389 will not connect to chatgpt.com:443: 403 Forbidden (blocked-by-allowlist)"
	return r
}
