package forms

import (
	"io"
	"net/http"
	"slices"

	"netwatchd/internal/lab/responses"
)

// A fault is one thing that is wrong, and the cause that netwatchd must name without a configuration.
type fault struct {
	name   string
	inject func(n *internet, f form, version string)
	runs   bool   // only a run of the agent shows it: the command is backtest, not check
	waits  bool   // the run ends by its timeout, of 90 seconds without a configuration
	cause  string // for every form that except does not list
	class  string // of the decisive evidence, under that cause; empty: not checked
	// except are the forms for which something else holds, by name.
	except map[string]other
	// only are the forms to which the fault applies, if they are few; for the others elsewhere holds.
	only      []string
	elsewhere other
	// everyRun are the forms with which the fault is played in every test run; -matrix plays all.
	everyRun []string
}

// An other is what holds for a form instead: another cause, or nothing, because the fault does not exist there. Both
// have a reason.
type other struct {
	cause, class, why string
	says              string // part of the title; empty: not checked
}

// expected is what must be said of the fault with a form.
func (s fault) expected(f form, version string) other {
	if version == oldest && f.brokenOldest != "" {
		return other{why: f.brokenOldest}
	}
	if o, ok := s.except[f.name]; ok {
		return o
	}
	if len(s.only) > 0 && !slices.Contains(s.only, f.name) {
		return s.elsewhere
	}
	if s.name == routing && version == oldest {
		return other{cause: "healthy", why: oldest + " does not request it"}
	}
	return other{cause: s.cause, class: s.class}
}

const (
	ollama  = "ollama"
	byProxy = ".env with a proxy"
	routing = "routing discovery fails"
)

// With ollama nothing is between the agent and the service. With a proxy names are looked up there.
var (
	noName  = other{why: "localhost is not looked up"}
	noTLS   = other{why: "plain HTTP"}
	noCDN   = other{why: "no CDN"}
	noLogin = other{why: "no sign-in"}
	thereBy = other{cause: "resolver_degraded", why: "the proxy looks the name up", says: "the service is reached without it"}
)

var faults = []fault{
	{name: "the resolver answers NXDOMAIN for the service's name",
		inject: func(n *internet, f form, version string) { n.missing.Store(f.host(version), true) },
		cause:  "resolver", class: "dns.name_not_resolved",
		except: map[string]other{ollama: noName, byProxy: thereBy}, everyRun: []string{"API key"}},
	{name: "the resolver is down", inject: func(n *internet, _ form, _ string) { n.stop("dns " + resolver) },
		cause: "resolver", class: "dns.unreachable",
		except: map[string]other{ollama: noName, byProxy: thereBy}, everyRun: []string{"ChatGPT"}},
	{name: "the service refuses connections", inject: filtered(reset),
		cause: "upstream", class: "tcp.refused",
		except: map[string]other{ollama: {why: "the local server is down: see below"},
			byProxy: {cause: "upstream", why: "a request without the proxy shows it"}},
		everyRun: []string{"custom provider"}},
	{name: "packets to the service are dropped", inject: filtered("drop"),
		cause: "upstream", class: "tcp.timed_out",
		except: map[string]other{ollama: {why: "the service is on this host"},
			byProxy: {cause: "upstream", why: "a request without the proxy shows it"}},
		everyRun: []string{"Azure"}},
	{name: "the service answers 503", inject: answers(http.StatusServiceUnavailable, "text/plain", "Service Unavailable"),
		cause: "upstream", class: "http.server_error", everyRun: []string{"openai_base_url"}},
	{name: "the service's TLS is inspected", inject: func(n *internet, f form, version string) { n.signedBy.Store(f.host(version), n.stranger) },
		cause: "interception", class: "tls.cert.authority_invalid",
		except: map[string]other{ollama: noTLS}, everyRun: []string{"ChatGPT and API key"}},
	{name: "the CDN answers with a challenge", inject: answers(http.StatusForbidden, "text/html",
		"<!DOCTYPE html><html><head><title>Just a moment...</title></head></html>", "Cf-Mitigated", "challenge", "Server", "cloudflare"),
		cause: "edge_blocked", class: "http.edge_blocked",
		except: map[string]other{ollama: noCDN}, everyRun: []string{"/etc/codex/config.toml"}},
	{name: "the service rejects the sign-in", runs: true, inject: func(n *internet, _ form, _ string) {
		n.mock.Behave(responses.Unauthorized)
		n.mock.RefusesRenewal.Store(true)
	}, cause: "account", class: "exec.unauthorized",
		except: map[string]other{ollama: noLogin}, everyRun: []string{"API key"}},
	{name: "turns hang, all else is fine", runs: true, waits: true,
		inject: func(n *internet, _ form, _ string) { n.mock.Behave(responses.StallHeaders) },
		cause:  "upstream", class: "exec.timed_out", everyRun: []string{"ChatGPT"}},
	{name: routing, inject: func(n *internet, _ form, _ string) { n.mock.RefusesRouting.Store(true) },
		cause: "upstream", only: []string{"ChatGPT", byProxy},
		elsewhere: other{cause: "healthy", why: "codex does not request it"}, everyRun: []string{"ChatGPT"}},
	{name: "the proxy or the local server is down", inject: func(n *internet, f form, _ string) {
		if f.local {
			n.stop(ollama)
		}
		n.stop("proxy")
	}, cause: "proxy", class: "proxy.refused", only: []string{ollama, byProxy}, elsewhere: other{why: "there is none"},
		everyRun: []string{ollama, byProxy}},
	{name: "the link is down", inject: func(n *internet, _ form, _ string) { n.must(n.host.Run("", "ip", "link", "set", "wan0", "down")) },
		cause: "host_offline", class: "local.no_interface",
		except: map[string]other{ollama: {cause: "resolver_degraded", why: "the service is on this host, and answers",
			says: "the service is reached without it"}},
		everyRun: []string{"CODEX_CA_CERTIFICATE", ollama}},
}

// filtered drops or rejects connections to the service.
func filtered(verdict string) func(*internet, form, string) {
	return func(n *internet, f form, version string) { n.filterHost(f.host(version), verdict) }
}

// reset is the verdict of a filter that refuses connections.
const reset = "reject with tcp reset"

// filterHost drops or rejects connections to a host.
func (n *internet) filterHost(host, verdict string) {
	address := addresses[host]
	n.filter("ip daddr "+address[0]+" tcp dport 443 "+verdict, "ip6 daddr "+address[1]+" tcp dport 443 "+verdict)
}

// answers makes the services answer every request with this.
func answers(status int, kind, body string, headers ...string) func(*internet, form, string) {
	return func(n *internet, _ form, _ string) {
		n.answerFor(func(*http.Request) bool { return true }, status, kind, body, headers...)
	}
}

// answerFor makes the services answer some requests with this. The headers are names and values in turn.
func (n *internet) answerFor(match func(*http.Request) bool, status int, kind, body string, headers ...string) {
	answer := func(rw http.ResponseWriter, r *http.Request) bool {
		if !match(r) {
			return false
		}
		rw.Header().Set("Content-Type", kind)
		for i := 0; i < len(headers); i += 2 {
			rw.Header().Set(headers[i], headers[i+1])
		}
		rw.WriteHeader(status)
		io.WriteString(rw, body)
		return true
	}
	n.answer.Store(&answer)
}
