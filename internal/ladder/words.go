package ladder

import (
	"cmp"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"netwatchd/internal/causes"
	"netwatchd/internal/diagnose"
	"netwatchd/internal/humanize"
	"netwatchd/internal/probe"
)

// shortTexts describes the classes whose names do not say enough without their layer. The rung does not always name the
// layer: a failing proxy is on the edge's rung.
var shortTexts = map[probe.Class]string{
	probe.Unknown:              "unknown error",
	probe.Internal:             "netwatchd's own error",
	probe.LocalResources:       "out of sockets or memory",
	probe.DNSTimeout:           "no answer",
	probe.DNSServfail:          "SERVFAIL",
	probe.DNSFailed:            "malformed answer",
	probe.TCPReset:             "connection reset",
	probe.TCPClosed:            "connection closed",
	probe.TLSAuthorityInvalid:  "certificate not trusted",
	probe.TLSDateInvalid:       "certificate expired or not yet valid",
	probe.TLSNameInvalid:       "certificate for another name",
	probe.TLSUnexpectedIssuer:  "certificate from an unexpected issuer",
	probe.TLSTimedOut:          "TLS handshake timed out",
	probe.TLSClosed:            "closed during the TLS handshake",
	probe.TLSProtocolError:     "TLS protocol error",
	probe.TLSClientCertificate: "client certificate required",
	probe.ExecSignInMissing:    "no sign-in arrived",
	probe.ProxyRefused:         "proxy refused the connection",
	probe.ProxyUnreachable:     "proxy unreachable",
	probe.ProxyAuthRequired:    "proxy requires credentials",
	probe.ProxyFailed:          "not forwarded by the proxy",
	probe.HTTPClosed:           "closed without an answer",
	probe.HTTPProtocolError:    "HTTP protocol error",
	probe.HTTPEdgeBlocked:      "blocked by the CDN",
	probe.StreamCut:            "disconnected",
	probe.StreamIdleCut:        "disconnected when idle",
	probe.ExecConfigInvalid:    "invalid configuration",
	probe.ExecHomeUnwritable:   "home not writable",
	probe.ExecNotLoggedIn:      "signed out",
	probe.ExecNetwork:          "cannot reach its service",
	probe.ExecStreamCut:        "answer disconnected",
}

// short describes c on a rung: by default the name of the class without its layer, "refused" for tcp.refused.
func short(c probe.Class) string {
	if text, ok := shortTexts[c]; ok {
		return text
	}
	_, after, layered := strings.Cut(c.String(), ".")
	if !layered {
		return c.String()
	}
	return strings.NewReplacer("_", " ", ".", " ").Replace(after)
}

// passedText describes a rung on which everything is as expected.
func passedText(rung int, ok []probe.Result) string {
	first := ofService(ok)
	switch rung {
	case Host:
		if first.Vantage == probe.FromSandbox {
			return "sockets allowed"
		}
		return strings.Join(hostChecks(ok), ", ")
	case Resolver:
		if first.Role == probe.OfService && first.Kind == probe.KindDNS {
			return cmp.Or(answers(first), first.Target+" resolves")
		}
		return humanize.Count(len(servers(ok)), "nameserver") + " OK"
	case Edge:
		return strings.Join(slices.DeleteFunc([]string{hostOf(first.Peer), version(first)}, isEmpty), ", ")
	case Application:
		return answered(first) + ", as expected"
	case Stream:
		return streamed(ok)
	case Status:
		return cmp.Or(first.Output, "OK")
	}
	return "run succeeded"
}

// hostChecks names the checks of the host in a fixed order; it leaves out the sandbox check if there are others.
func hostChecks(rs []probe.Result) []string {
	var names []string
	for _, r := range rs {
		if r.Name != probe.CheckSandbox {
			names = append(names, hostCheckName(r.Name))
		}
	}
	if len(names) == 0 {
		return []string{"not sandboxed"}
	}
	slices.Sort(names)
	return names
}

func hostCheckName(name string) string {
	if name == probe.CheckResolvConf {
		return "resolv.conf"
	}
	return name
}

// failedText describes the failure of a rung.
func failedText(rung int, l *rungResults) string {
	first := ofService(l.failed)
	short := short(first.Class)
	switch rung {
	case Host:
		if first.Vantage == probe.FromSandbox {
			return "network " + short
		}
		if first.Name == probe.CheckSandbox {
			return "network access is denied to netwatchd itself"
		}
		return hostCheckName(first.Name) + ": " + cmp.Or(first.Why, short)
	case Resolver:
		if len(l.direct) > 0 {
			short += "; " + server(l.direct[0]) + " answers"
		}
		return short
	case Edge:
		if peer := hostOf(first.Peer); peer != "" {
			return short + " at " + peer
		}
		return short
	case Application:
		if first.Status > 0 {
			return fmt.Sprintf("%d: %s", first.Status, short)
		}
	}
	return short
}

func partialText(rung int, l *rungResults) string {
	all := len(l.ok) + len(l.failed)
	if rung != Resolver {
		return outOf(len(l.failed), all, "attempt") + " failed: " + short(l.failed[0].Class)
	}
	bad := servers(l.failed)
	if len(bad) == 0 {
		return short(l.failed[0].Class)
	}
	return bad[0] + ": " + short(l.failed[0].Class) + more(len(bad)-1)
}

func more(n int) string {
	if n <= 0 {
		return ""
	}
	return fmt.Sprintf(" (+%d)", n)
}

// ofService is the first attempt of the service itself, or else the first of rs.
func ofService(rs []probe.Result) probe.Result {
	i := slices.IndexFunc(rs, func(r probe.Result) bool { return r.Role == probe.OfService })
	return rs[max(i, 0)]
}

func answers(r probe.Result) string {
	if len(r.Answers) == 0 {
		return ""
	}
	return r.Target + ", " + humanize.Count(len(r.Answers), "answer")
}

func answered(r probe.Result) string {
	if r.Status > 0 {
		return fmt.Sprint(r.Status)
	}
	return "answer"
}

// heldFrom separates a stream that was held open from one that was only opened: no upgrade takes that long.
const heldFrom = 5 * time.Second

func streamed(ok []probe.Result) string {
	longest := slices.MaxFunc(ok, byElapsed)
	if held := longest.Elapsed.Duration(); held >= heldFrom {
		return "held for " + humanize.Latency(held)
	}
	if longest.Status > 0 && longest.Status != http.StatusSwitchingProtocols {
		return answered(longest) + ", as expected" // without a sign-in, an upgrade may be refused
	}
	return "opened"
}

func byElapsed(a, b probe.Result) int { return cmp.Compare(a.Elapsed, b.Elapsed) }

// took is the time the attempts spent on a rung: the fastest of the controls, because a slow one is a finding of its
// own.
func took(rung int, rs []probe.Result) probe.Seconds {
	if len(rs) == 0 || rung == Host {
		return 0
	}
	r := ofService(rs)
	if r.Class.Layer() == "local" {
		return 0 // this host refuses at once
	}
	switch rung {
	case Internet:
		return slices.MinFunc(rs, byElapsed).Elapsed
	case Edge:
		return r.Phases[probe.Connect] + r.Phases[probe.Handshake]
	case Application:
		return r.Phases[probe.Request] + r.Phases[probe.Response]
	case Stream:
		if slices.MaxFunc(rs, byElapsed).Elapsed.Duration() >= heldFrom {
			return 0
		}
	case Resolver:
		if r.Kind != probe.KindDNS {
			return r.Phases[probe.Resolve]
		}
	}
	return r.Elapsed
}

func outOf(some, all int, noun string) string {
	return fmt.Sprintf("%d of %s", some, humanize.Count(all, noun))
}

// servers are the nameservers queried in rs, without duplicates.
func servers(rs []probe.Result) []string {
	var names []string
	for _, r := range rs {
		if s := server(r); s != "" && r.Role != probe.OfService && !slices.Contains(names, s) {
			names = append(names, s)
		}
	}
	return names
}

func server(r probe.Result) string { return hostOf(r.Server) }

func version(r probe.Result) string {
	if r.TLS == nil {
		return ""
	}
	return r.TLS.Version
}

// hostOf strips the port, which the URL shows already.
func hostOf(address string) string {
	if host, _, err := net.SplitHostPort(address); err == nil {
		return host
	}
	return address
}

func isEmpty(s string) bool { return s == "" }

// Aside returns the small type below the title of a verdict: its note, and what is not the problem. It is empty for a
// healthy service without a note.
func Aside(v diagnose.Verdict) string {
	if v.Note == "" {
		if v.Cause == causes.Healthy {
			return ""
		}
		return v.Reassurance()
	}
	return strings.TrimSpace(strings.ToUpper(v.Note[:1]) + v.Note[1:] + ". " + v.Reassurance())
}

// MissingText describes an entry of a verdict's Missing.
func MissingText(name string) string {
	switch name {
	case "host":
		return "a result from this host"
	case "controls":
		return "a control that answers"
	case "direct":
		return "a direct resolver that answers"
	case "time":
		return "a timeout long enough to tell a slow connection from a broken one"
	case "date":
		return "a trusted Date header"
	case "http":
		return "an HTTP probe of the service"
	case "sandbox":
		return "a result from the sandbox"
	}
	return name
}
