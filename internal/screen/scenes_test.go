package screen

import (
	"fmt"
	"time"

	"netwatchd/internal/diagnose"
	"netwatchd/internal/doctor"
	"netwatchd/internal/probe"
	"netwatchd/internal/watch"
)

var noon = time.Date(2026, 2, 20, 12, 0, 0, 0, time.UTC)

const (
	url  = "https://chatgpt.com/backend-api/codex/responses"
	edge = "104.18.32.47:443"
)

func made(service, name string, kind probe.Kind, target string, ms float64) probe.Result {
	return probe.Result{
		Spec:    probe.Spec{Service: service, Name: name, Kind: kind, Target: target},
		Start:   noon.Add(-2 * time.Second),
		Elapsed: probe.Seconds(ms / 1000),
		Class:   probe.OK,
	}
}

func failed(r probe.Result, phase probe.Phase, class probe.Class, why string) probe.Result {
	r.Class, r.Why, r.Phase = class, why, phase
	switch {
	case phase < probe.Request:
		r.Status, r.TLS = 0, nil
		fallthrough
	case phase < probe.Connect:
		for p := phase + 1; int(p) < len(r.Phases); p++ {
			r.Phases[p] = 0
		}
	}
	if phase == probe.Resolve {
		r.Peer, r.Answers = "", nil
	}
	return r
}

func head() probe.Result {
	r := made("codex", "head", probe.KindHTTP, url, 84)
	r.Phase, r.Peer, r.Status = probe.Response, edge, 405
	r.TLS = &probe.TLS{Version: "TLS 1.3", Subject: "chatgpt.com", Issuer: "CN=WE1,O=Google Trust Services,C=US", NotAfter: noon.AddDate(0, 2, 3)}
	r.Phases = probe.Phases{probe.Resolve: .012, probe.Connect: .02, probe.Handshake: .03, probe.Request: .001, probe.Response: .021}
	r.RequestID = "9d1f0c3b2a7e5f60-FRA"
	return r
}

func dns() probe.Result {
	r := made("codex", "dns", probe.KindDNS, "chatgpt.com", 12)
	r.Phase, r.Answers = probe.Resolve, []string{"104.18.32.47", "172.64.155.209", "2606:4700:4400::6812:202f", "2a06:98c1:3100::ac40:9bd1"}
	return r
}

func stream() probe.Result {
	r := made("codex", "stream", probe.KindStream, "wss://chatgpt.com/backend-api/codex/responses", 60_090)
	r.Phase, r.Peer, r.Status = probe.Streaming, edge, 101
	return r
}

func agent() probe.Result {
	r := made("codex", "exec", probe.KindExec, "codex", 4200)
	r.Phase, r.Output = probe.Executing, "OK"
	return r
}

func ask(server string, role probe.Role, vantage probe.Vantage) probe.Result {
	r := made("resolvers", server+"/"+role.String()[len("resolver."):], probe.KindDNS, "chatgpt.com", 9)
	r.Role, r.Vantage, r.Server, r.Phase = role, vantage, server+":53", probe.Resolve
	return r
}

func control(name string, role probe.Role, ms float64) probe.Result {
	r := made("controls", name, probe.KindHTTP, "http://"+name+"/generate_204", ms)
	r.Role, r.Phase, r.Status = role, probe.Response, 204
	return r
}

func look(name string) probe.Result {
	r := made("host", name, probe.KindHost, "", 0.2)
	r.Role = probe.OfHost
	return r
}

func environment() []probe.Result {
	return []probe.Result{
		look(probe.LookSandbox), look(probe.LookLink), look(probe.LookRoute), look(probe.LookResolvConf),
		ask("10.0.0.1", probe.ResolverAsksControl, probe.FromHost), ask("10.0.0.1", probe.ResolverAsksService, probe.FromHost),
		ask("1.1.1.1", probe.ResolverAsksService, probe.Direct),
		control("gstatic", probe.ControlByName, 31), control("apple", probe.ControlByName, 45), control("cloudflare@1.1.1.1", probe.ControlByAddress, 18),
	}
}

// inSandbox is r as it ends where sockets are denied.
func inSandbox(r probe.Result) probe.Result {
	r = failed(r, probe.Resolve, probe.LocalDenied, "lookup chatgpt.com: dial udp 10.0.0.1:53: socket: operation not permitted")
	r.Vantage, r.Elapsed, r.Phases = probe.FromSandbox, 0.0004, probe.Phases{}
	return r
}

func inSandboxOK(r probe.Result) probe.Result {
	r.Vantage = probe.FromSandbox
	return r
}

func status(services ...watch.Standing) *watch.Status {
	return &watch.Status{At: noon, Version: "1.4.0", Services: services}
}

func standing(cause diagnose.Cause, title, advice string, own ...probe.Result) watch.Standing {
	s := watch.Standing{Since: noon.Add(-3*time.Minute - 12*time.Second), Delay: 1.2, Results: append(own, environment()...)}
	s.Verdict = diagnose.Verdict{Service: "codex", Cause: cause, Title: title, Advice: advice}
	if cause.Fault() {
		s.Severity = diagnose.Ticket
	}
	for _, r := range own {
		if !r.OK() && len(s.Evidence) < 4 {
			s.Evidence = append(s.Evidence, r)
		}
	}
	return s
}

func replace(all []probe.Result, with probe.Result) []probe.Result {
	for i, r := range all {
		if r.Name == with.Name && r.Vantage == with.Vantage && r.Service == with.Service {
			all[i] = with
		}
	}
	return all
}

func healthy() watch.Standing {
	return standing(diagnose.Healthy, "reachable", "Nothing to do.", dns(), head(), stream(), agent())
}

func healthyClosed() watch.Standing {
	return standing(diagnose.Healthy, "unreachable from the sandbox only - as configured. Your network and the API are fine",
		"Nothing is broken; allow network access for this run if the task needs it.",
		dns(), head(), stream(), agent(), inSandbox(dns()), inSandbox(head()))
}

func sandboxed() watch.Standing {
	s := healthyClosed()
	s.Cause, s.Severity = diagnose.Sandbox, diagnose.Ticket
	s.Title, s.Advice = "unreachable from the sandbox only", "Nothing is broken outside: allow network access for this run or for the sandbox, if the task needs it."
	s.Evidence = []probe.Result{inSandbox(head()), inSandbox(dns()), head()}
	return s
}

func resolver() watch.Standing {
	why := "lookup chatgpt.com on 10.0.0.1:53: read udp 10.0.0.5:41230->10.0.0.1:53: i/o timeout"
	badDNS, badHead := failed(dns(), probe.Resolve, probe.DNSTimeout, why), failed(head(), probe.Resolve, probe.DNSTimeout, why)
	badDNS.Elapsed = 1.8
	s := standing(diagnose.Resolver, "names do not resolve here; 1.1.1.1 resolves them", "Look at /etc/resolv.conf: replace 10.0.0.1, or try dig @1.1.1.1 chatgpt.com.",
		badDNS, badHead, inSandbox(dns()), inSandbox(head()))
	for i, r := range s.Results {
		switch {
		case r.Server == "10.0.0.1:53":
			s.Results[i] = failed(r, probe.Resolve, probe.DNSTimeout, why)
		case r.Role == probe.ControlByName:
			s.Results[i] = failed(r, probe.Resolve, probe.DNSTimeout, why)
		}
	}
	s.Evidence = []probe.Result{badDNS, ask("10.0.0.1", probe.ResolverAsksControl, probe.FromHost), ask("1.1.1.1", probe.ResolverAsksService, probe.Direct), control("cloudflare@1.1.1.1", probe.ControlByAddress, 18)}
	s.Evidence[1] = failed(s.Evidence[1], probe.Resolve, probe.DNSTimeout, why)
	s.Evidence[2].Answers = dns().Answers
	s.Blocked = []string{"head", "stream", "exec"}
	return s
}

func upstream() watch.Standing {
	bad := failed(head(), probe.Connect, probe.TCPRefused, "dial tcp 104.18.32.47:443: connect: connection refused")
	s := standing(diagnose.Upstream, "the service is down: 104.18.32.47 refuses connections", "Nothing to repair here: look at the service's status page and wait, or switch to another one.",
		dns(), bad, failed(stream(), probe.Connect, probe.TCPRefused, bad.Why))
	s.Severity = diagnose.Page
	s.Also = []diagnose.Finding{{Cause: diagnose.IPv6, Title: "IPv6 is broken, IPv4 works"}, {Cause: diagnose.ResolverDegraded, Title: "one of the nameservers does not work; names still resolve"}}
	s.Missing = []string{"sandbox", "control by address"}
	return s
}

func edgeBlocked() watch.Standing {
	bad := head()
	bad.Status = 403
	bad = failed(bad, probe.Response, probe.HTTPEdgeBlocked, "403 Forbidden with cf-mitigated: challenge; expected 405")
	return standing(diagnose.EdgeBlocked, "its CDN refuses this address", "Wait, ask less often, or leave by another address (VPN off, or another one); the evidence holds the request id for the operator.",
		dns(), bad, failed(stream(), probe.Response, probe.StreamUpgradeRefused, "403 Forbidden"), inSandboxOK(dns()), inSandboxOK(head()))
}

func offline() watch.Standing {
	s := standing(diagnose.HostOffline, "this host is offline: no default route", "Check the cable, the Wi-Fi or the VPN, and then the gateway: ip route; ping the gateway.")
	why := "connect: network is unreachable"
	for i, r := range s.Results {
		if r.Role != probe.OfHost {
			s.Results[i] = failed(r, probe.Connect, probe.LocalNoRoute, why)
		}
	}
	noRoute := failed(look(probe.LookRoute), probe.NoPhase, probe.LocalNoRoute, "no default route, neither IPv4 nor IPv6")
	s.Results = replace(s.Results, noRoute)
	bad := failed(head(), probe.Resolve, probe.DNSUnreachable, why)
	s.Results = append(s.Results, bad, failed(dns(), probe.Resolve, probe.DNSUnreachable, why))
	s.Evidence = []probe.Result{noRoute, bad}
	return s
}

func accountRefused() watch.Standing {
	bad := failed(agent(), probe.Executing, probe.ExecUsageLimit, "You've hit your usage limit. Upgrade to Pro, visit https://chatgpt.com/codex/settings/usage to purchase more credits or try again at 4:12 PM.")
	return standing(diagnose.Account, "the agent's account is refused: usage limit reached", "Look at the plan's usage page and wait for the limit to be lifted.",
		dns(), head(), stream(), bad)
}

func starting() watch.Standing {
	s := watch.Standing{Since: noon}
	s.Service, s.Cause, s.Title = "codex", diagnose.Starting, "codex: the first round is not over yet"
	return s
}

// hostile is what a server might say to a terminal.
func hostile() watch.Standing {
	s := edgeBlocked()
	s.Title += "\x1b]0;owned\x07"
	s.Evidence[0].Why = "\x1b[2J\x1b[H405 OK\r\n✓ codex: reachable \u202e drawkcab \u9f99 " + s.Evidence[0].Why
	s.Evidence[0].Name = "head\x1b[31m"
	s.Missing = []string{"a\nb"}
	return s
}

func unsure() watch.Standing {
	s := standing(diagnose.Inconclusive, "cannot tell whose fault it is: no control was reached", "Run netwatchd check for a full round; if controls or direct resolvers are never reached, configure others.",
		dns(), failed(head(), probe.Connect, probe.TCPTimedOut, "dial tcp 104.18.32.47:443: i/o timeout"))
	for i, r := range s.Results {
		if r.Role == probe.ControlByAddress || r.Role == probe.ControlByName {
			s.Results[i] = failed(r, probe.Connect, probe.TCPTimedOut, "i/o timeout")
		}
	}
	s.Missing = []string{"controls by name", "controls by address", "direct resolvers", "sandbox"}
	return s
}

func many(n int) []watch.Standing {
	all := make([]watch.Standing, n)
	for i := range all {
		all[i] = healthy()
		all[i].Service = fmt.Sprintf("shop-%03d", i)
		all[i].Since = noon.Add(-time.Duration(i) * 37 * time.Minute)
	}
	all[n/2] = upstream()
	all[n/2].Service = "payments.internal.example.com"
	all[1].Verdict = diagnose.Verdict{Service: "search", Cause: diagnose.Degraded, Title: "slow, or not always reachable", Severity: diagnose.Info}
	return all
}

var wellInstalled = []doctor.Finding{
	{Check: "configuration", Says: "the one built in: there is no file, and none is needed"},
	{Check: "codex", Says: "0.169.0, /usr/local/bin/codex"},
	{Check: "unit", Outcome: doctor.Note, Says: "systemd does not run here: netwatchd is started by something else, or by hand"},
}

var badlyInstalled = []doctor.Finding{
	{Check: "configuration", Says: "/etc/netwatchd/config.yaml has no faults"},
	{Check: "daemon", Outcome: doctor.Fault, Says: "127.0.0.1:19405 is taken by another program (HTTP 404 Not Found); networking is mirrored, so it may be a program of Windows",
		Do: []doctor.Change{{In: "/etc/netwatchd/config.yaml", Lines: []string{`web: {listen: ["127.0.0.1:19406"]}`}}}},
	{Check: "prometheus", Outcome: doctor.Advice, Says: "nobody has read /metrics since the daemon started",
		Do: []doctor.Change{{In: "prometheus.yml", Lines: []string{"scrape_configs:", "  - job_name: netwatchd"}}}},
	{Check: "wsl kept awake", Outcome: doctor.Unknown, Says: "the settings of Windows cannot be seen from here",
		Do: []doctor.Change{{In: `%USERPROFILE%\.wslconfig`, Lines: []string{"[general]", "instanceIdleTimeout=-1"}},
			{Lines: []string{"wsl.exe --shutdown # in Windows"}}}},
}
