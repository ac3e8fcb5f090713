package screen

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"time"

	"netwatchd/internal/diagnose"
	"netwatchd/internal/humanize"
	"netwatchd/internal/ladder"
	"netwatchd/internal/probe"
	"netwatchd/internal/watch"
)

// StaleAfter is when the daemon's word counts no more: it is renewed every 15 s, so that four renewals were missed.
const StaleAfter = time.Minute

// Inside writes what can be said inside a sandbox: what is denied here, what the host's daemon saw and how long ago, and
// what follows. Host is nil where readErr says why the daemon's word could not be read.
func Inside(w io.Writer, local *watch.Status, host *watch.Status, age time.Duration, readErr error, o Options) error {
	p := &paper{Options: o}
	v := judgeInside(local.Sandboxed, host, age, readErr)
	proxied := throughProxy(local)
	if proxied != nil && proxied.OK() && local.Sandboxed.Denied {
		v = view{ladder.OK, "This sandbox has no network but its own proxy, and that lets " + proxied.Service + " through.",
			"Nothing, for a program that heeds HTTPS_PROXY; others need network access."}
	}
	p.heading(v.mark, v.headline)
	p.labelled("here", plain, here(local.Sandboxed))
	p.proxy(proxied)
	p.host(host, age, readErr)
	p.labelled("do:", bold, v.advice)
	return p.to(w)
}

// throughProxy is how a request fared that went to the sandbox's own proxy; nil: there was none.
func throughProxy(local *watch.Status) *probe.Result {
	for _, s := range local.Services {
		for _, r := range s.Results {
			if r.Kind == probe.KindHTTP && r.Role == probe.OfService && r.Proxy != "" {
				return &r
			}
		}
	}
	return nil
}

// proxy says what the sandbox's own proxy did.
func (p *paper) proxy(r *probe.Result) {
	switch {
	case r == nil:
	case r.OK():
		p.labelled("proxy", plain, fmt.Sprintf("%s lets %s through: %d in %s", r.Proxy, r.Service, r.Status, humanize.Latency(r.Elapsed.Duration())))
	default:
		p.labelled("proxy", plain, fmt.Sprintf("%s does not let %s through: %s", r.Proxy, r.Service, r.Why))
	}
}

// A view is what follows from both sides together.
type view struct {
	mark             ladder.Mark
	headline, advice string
}

func judgeInside(local watch.Sandboxed, host *watch.Status, age time.Duration, readErr error) view {
	switch {
	case !local.Denied:
		return view{ladder.Partly, "This process is not denied the network.",
			"Run netwatchd check: it can see for itself here."}
	case host == nil || readErr != nil:
		return view{ladder.Partly, "The network is denied here. Whether the service is well cannot be told from inside.",
			"Run this with network access, or start netwatchd on the host: its word can be read from in here."}
	case age > StaleAfter:
		return view{ladder.Partly, "The network is denied here. What the host saw is too old to tell more.",
			"Run this with network access; on the host, see why the daemon is silent: systemctl status netwatchd."}
	}
	return besides(host)
}

// besides is what the host's own verdicts leave of the sandbox's guilt.
func besides(host *watch.Status) view {
	for _, s := range worstFirst(host.Services) {
		if s.Cause.Fault() && s.Cause < diagnose.Sandbox {
			return view{ladder.Failed, "The network is denied here, and the host has trouble of its own: " + said(s),
				s.Advice + " The sandbox comes after that: this also has to run with network access."}
		}
		if markOf(s.Cause) == ladder.Partly && s.Cause < diagnose.ResolverDegraded || markOf(s.Cause) == ladder.Blocked {
			return view{ladder.Partly, "The network is denied here. The host cannot tell yet: " + said(s),
				"Run this with network access, or ask again in a minute."}
		}
	}
	return view{ladder.Partly, "It is the sandbox: the network is denied here and fine on the host.",
		"Run this with network access."}
}

// here is what is denied, and by which signs.
func here(local watch.Sandboxed) string {
	if !local.Denied {
		return "sockets open"
	}
	spoken := make([]string, 0, len(local.Signals))
	for _, signal := range local.Signals {
		if words := spell(signal); words != "" {
			spoken = append(spoken, words)
		}
	}
	if len(spoken) == 0 {
		return "denied"
	}
	return "denied: " + strings.Join(spoken, ", ")
}

var signalWords = map[string]string{
	"socket_inet_eperm":        "socket(AF_INET) is not permitted",
	"socket_inet_eacces":       "socket(AF_INET) is not permitted",
	"socket_inet_eafnosupport": "socket(AF_INET) is not supported for this process",
	"socket_unix_eperm":        "socket(AF_UNIX) is not permitted",
	"only_loopback":            "lo is the only interface",
	"env_network_disabled":     "CODEX_SANDBOX_NETWORK_DISABLED=1",
	"env_proxy_active":         "CODEX_NETWORK_PROXY_ACTIVE=1",
	"env_codex_ci":             "CODEX_CI=1",
	"ancestor_codex_sandbox":   "started by codex-linux-sandbox",
}

// spell says a signal as people know it; those that only repeat another stay unsaid, and what is no signal's name is
// said as it stands.
func spell(signal string) string {
	if words, ok := signalWords[signal]; ok {
		return words
	}
	if !strings.ContainsAny(signal, " (=") {
		return ""
	}
	return signal
}

// host is what the daemon saw, with its age.
func (p *paper) host(host *watch.Status, age time.Duration, readErr error) {
	switch {
	case errors.Is(readErr, fs.ErrNotExist):
		p.labelled("host", plain, "no word from there: no daemon is running, or this sandbox hides its status file")
	case readErr != nil:
		p.labelled("host", plain, "no word from there: "+readErr.Error())
	case host == nil:
		p.labelled("host", plain, "no word from there")
	case age > StaleAfter:
		p.labelled("host", amber, fmt.Sprintf("last heard of %s ago: the daemon there has stopped", humanize.Span(age)))
	default:
		for i, s := range host.Services[:min(len(host.Services), inFull)] {
			p.labelled(first(i, "host"), plain, reached(host, s, age))
		}
	}
}

func reached(host *watch.Status, s watch.Standing, age time.Duration) string {
	for _, r := range s.Results {
		if r.Kind == probe.KindHTTP && r.Role == probe.OfService && r.Vantage == probe.FromHost && r.OK() {
			words := fmt.Sprintf("reached %s %s ago", s.Service, humanize.Span(age+host.At.Sub(r.Start)))
			if r.Status > 0 {
				words += fmt.Sprintf(" (%d in %s)", r.Status, humanize.Latency(r.Elapsed.Duration()))
			}
			return words
		}
	}
	return fmt.Sprintf("%s ago: %s", humanize.Span(age), said(s))
}
