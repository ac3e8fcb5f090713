package diagnosetest

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"netwatchd/internal/probe"
)

// Working is a round in which everything works. Rounds are written as who:how, one word per attempt:
//
//	sandbox link route conf           the host itself
//	dns head stream status exec       the service's probes, from the host; routing is the agent's routing discovery
//	stub builtin                      the run of exec against a stub, and with the agent's own provider
//	s.head                            the same inside the sandbox; d.head is the direct one, without the proxy
//	at.head                           the same at one address of the name (peer); #1, #2 tell several apart
//	ns1.ctl ns1.svc ns1.rnd           a configured nameserver, queried for a control, the service, a random name
//	pub.ctl pub.svc                   a public nameserver
//	musl                              the service's name, looked up by the rules of its client
//	nat64                             the lookup of NAT64 prefixes
//	c1 c2 c3, a1 a2 a3                controls by name, by address
//
// how is a class, with @phase where the class's usual phase does not fit, and (key=value,…) for facts. A later word
// replaces an earlier one about the same attempt; a * matches the attempts named so far; -who removes one.
const Working = `sandbox:ok link:ok route:ok(signals=ipv4|ipv6) conf:ok
	ns1.ctl:ok ns1.svc:ok(answers=104.18.32.47|2606:4700::1) ns1.rnd:ok
	pub.ctl:ok pub.svc:ok(answers=104.18.32.47|2606:4700::1)
	c1:ok(date=0s) c2:ok(date=0s) c3:ok(date=0s) a1:ok a2:ok a3:ok
	dns:ok(answers=104.18.32.47|2606:4700::1) head:ok(status=405) stream:ok exec:ok `

// bare is a round of the service's probes alone.
const bare = `dns:ok head:ok(status=405) `

// Offline, after [Working], is what fails when no packet leaves the host's network.
const Offline = ` ns1.*:dns.timeout pub.*:dns.timeout c*:dns.timeout a*:tcp.timed_out dns:dns.timeout head:dns.timeout
	stream:dns.timeout exec:exec.network`

// SandboxClosed adds the sandbox probes as they fail in a sandbox without network.
const SandboxClosed = ` s.dns:local.denied@resolve s.head:local.denied@resolve(why=operation.not.permitted)`

// start is when every attempt of a scene began.
var start = time.Date(2026, 2, 20, 2, 22, 45, 0, time.UTC)

// Results returns the results that words describe (see [Working]), in the order in which words first name them. It
// panics if words are malformed.
func Results(words string) []probe.Result {
	var order []string
	results := make(map[string]probe.Result)
	for word := range strings.FieldsSeq(betweenFacts.ReplaceAllString(words, "$1")) {
		if unwanted, removes := strings.CutPrefix(word, "-"); removes {
			removed := matching(order, unwanted)
			if len(removed) == 0 {
				panicf("%q removes nothing", word)
			}
			order = slices.DeleteFunc(order, func(who string) bool { return slices.Contains(removed, who) })
			continue
		}
		who, how, found := strings.Cut(word, ":")
		if !found {
			panicf("%q has no class", word)
		}
		for _, one := range matching(order, who) {
			if !slices.Contains(order, one) {
				order = append(order, one)
			}
			results[one] = result(one, how)
		}
	}
	all := make([]probe.Result, 0, len(order))
	for _, who := range order {
		all = append(all, results[who])
	}
	return all
}

// betweenFacts is where a long word may continue on the next line.
var betweenFacts = regexp.MustCompile(`([,(])\s+`)

func panicf(format string, args ...any) { panic("diagnosetest: " + fmt.Sprintf(format, args...)) }

func matching(known []string, who string) []string {
	if !strings.Contains(who, "*") {
		return []string{who}
	}
	return slices.DeleteFunc(slices.Clone(known), func(one string) bool {
		if len(who) == 2 && (len(one) != 2 || one[1] > '9') { // c* are the controls, not conf
			return true
		}
		hit, _ := path.Match(who, one)
		return !hit
	})
}

func result(who, how string) probe.Result {
	r := probe.Result{Spec: spec(who), Start: start, Elapsed: 0.084}
	how, facts, _ := strings.Cut(strings.TrimSuffix(how, ")"), "(")
	class, phase, phased := strings.Cut(how, "@")
	if err := r.Class.UnmarshalText([]byte(class)); err != nil {
		panicf("%s: %v", who, err)
	}
	r.Phase = usualPhase(r.Kind, r.Class)
	if phased {
		if err := r.Phase.UnmarshalText([]byte(phase)); err != nil {
			panicf("%s: %v", who, err)
		}
	}
	if strings.HasPrefix(who, "ns1") {
		r.Server = "192.168.1.1:53"
	} else if strings.HasPrefix(who, "ns2") {
		r.Server = "192.168.1.2:53"
	} else if strings.HasPrefix(who, "pub") {
		r.Server = "1.1.1.1:53"
	}
	for fact := range strings.SplitSeq(facts, ",") {
		if fact != "" {
			set(&r, fact)
		}
	}
	return r
}

func spec(who string) probe.Spec {
	s := probe.Spec{Service: "codex"}
	who, _, _ = strings.Cut(who, "#")
	switch prefix, rest, dotted := strings.Cut(who, "."); {
	case dotted && prefix == "s":
		s.Vantage, who = probe.FromSandbox, rest
	case dotted && prefix == "d":
		s.Vantage, who = probe.Direct, rest
	case dotted && prefix == "at":
		s.Role, who = probe.ServiceAddress, rest
	case dotted:
		s.Kind, s.Name = probe.KindDNS, prefix
		if prefix == "pub" {
			s.Vantage = probe.Direct
		}
		s.Role = map[string]probe.Role{"ctl": probe.ResolverAsksControl, "svc": probe.ResolverAsksService,
			"rnd": probe.ResolverAsksCanary}[rest]
		return s
	}
	s.Name = who
	switch who {
	case "sandbox", "link", "route", "conf":
		s.Role, s.Kind = probe.OfHost, probe.KindHost
		if who == "conf" {
			s.Name = probe.CheckResolvConf
		}
	case "c1", "c2", "c3":
		s.Role, s.Kind = probe.ControlByName, probe.KindHTTP
	case "a1", "a2", "a3":
		s.Role, s.Kind, s.Name = probe.ControlByAddress, probe.KindHTTP, "c"+who[1:]
	case "musl":
		s.Role, s.Kind, s.Name, s.Target = probe.ResolvedAsClient, probe.KindDNS, "musl/codex", "chatgpt.com"
	case "dns":
		s.Kind, s.Target = probe.KindDNS, "chatgpt.com"
	case "head", "head4", "head6", "models":
		s.Kind, s.Target = probe.KindHTTP, "https://chatgpt.com/backend-api/codex/responses"
	case "routing":
		s.Kind, s.Target = probe.KindHTTP, "https://chatgpt.com/backend-api/wham/accounts/check"
	case "plain":
		s.Kind, s.Target = probe.KindHTTP, "http://chatgpt.com/"
	case "stream":
		s.Kind, s.Target = probe.KindStream, "wss://chatgpt.com/backend-api/codex/responses"
	case "status":
		s.Kind = probe.KindStatus
	case "exec":
		s.Kind = probe.KindExec
	case "builtin":
		s.Kind, s.Name = probe.KindExec, probe.BuiltinName("exec")
	case "stub":
		s.Kind, s.Role, s.Name = probe.KindExec, probe.AgentStub, probe.StubName("exec")
	case "nat64":
		s.Kind, s.Role = probe.KindDNS, probe.ResolverAsksPrefix
	default:
		panicf("no attempt is called %q", who)
	}
	return s
}

// usualPhase is where an attempt of kind k ends in class c, unless the word names another phase.
func usualPhase(k probe.Kind, c probe.Class) probe.Phase {
	switch {
	case k == probe.KindHost:
		return probe.NoPhase
	case k == probe.KindDNS:
		return probe.Resolve
	case k == probe.KindExec, k == probe.KindStatus:
		return probe.Executing
	}
	switch c.Layer() {
	case "dns":
		return probe.Resolve
	case "tcp", "local", "proxy":
		return probe.Connect
	case "tls":
		return probe.Handshake
	case "exec":
		return probe.NoPhase
	}
	if k == probe.KindStream {
		return probe.Streaming
	}
	return probe.Response
}

func set(r *probe.Result, fact string) {
	key, value, _ := strings.Cut(fact, "=")
	duration := func() time.Duration {
		d, err := time.ParseDuration(value)
		if err != nil {
			panicf("%v", err)
		}
		return d
	}
	if r.TLS == nil && slices.Contains([]string{"issuer", "subject", "expires", "cipher", "version", "link"}, key) {
		r.TLS = &probe.TLS{}
	}
	switch key {
	case "answers":
		r.Answers = strings.Split(value, "|")
	case "signals":
		r.Signals = strings.Split(value, "|")
	case "warn":
		r.Warnings = strings.Split(value, "|")
	case "status":
		r.Status, _ = strconv.Atoi(value)
	case "target":
		r.Target = value
	case "peer":
		r.Peer = value
	case "proxy":
		r.Proxy = value
	case "from":
		r.ProxyFrom = value
	case "note":
		r.Notes = append(r.Notes, strings.ReplaceAll(value, ".", " "))
	case "schemes":
		r.Headers = append(r.Headers, "Proxy-Authenticate: "+strings.ReplaceAll(value, "|", ", "))
	case "server":
		r.Server = strings.TrimSuffix(value, "-")
	case "refused":
		code, country, _ := strings.Cut(value, "|")
		r.Refusal = &probe.Refusal{Code: code, Country: country, Location: strings.Contains(code, "country") || country != ""}
	case "question":
		r.Question = strings.ReplaceAll(value, "/", " ")
	case "answers_to":
		r.AnswersTo = strings.ReplaceAll(value, "/", " ")
	case "route": // an interface, and what else is known of the route: "wg0|tunnel", "|own", "eth0|link"
		name, what, _ := strings.Cut(value, "|")
		r.Route = &probe.Route{Interface: name, Tunnel: what == "tunnel", Own: what == "own", OnLink: what == "link"}
	case "fullname":
		r.FullName = value
	case "rcode":
		r.RCode = value
	case "why":
		r.Why = strings.ReplaceAll(value, ".", " ")
	case "took":
		r.Elapsed = probe.InSeconds(duration())
	case "connect":
		r.Phases[probe.Connect] = probe.InSeconds(duration())
	case "waited":
		r.Phases[r.Phase] = probe.InSeconds(duration())
	case "date":
		r.Date = r.Start.Add(duration())
	case "issuer":
		r.TLS.Issuer = value
	case "link":
		r.TLS.ExpiredLink = strings.ReplaceAll(value, ".", " ")
	case "cipher":
		r.TLS.Cipher = value
	case "version":
		r.TLS.Version = strings.ReplaceAll(value, "S.", "S ")
	case "subject":
		r.TLS.Subject = value
	case "expires":
		r.TLS.NotAfter = r.Start.Add(duration())
	default:
		panicf("no fact is called %q", key)
	}
}
