package screen

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"time"

	"netwatchd/internal/causes"
	"netwatchd/internal/humanize"
	"netwatchd/internal/ladder"
	"netwatchd/internal/probe"
	"netwatchd/internal/statusline"
	"netwatchd/internal/watch"
)

const staleAfter = statusline.StaleAfter

// Inside writes what is known inside a sandbox: what is denied here, what the daemon on the host reported and how long
// ago, and the conclusion. Host is nil if the daemon's status could not be read; readErr says why.
func Inside(w io.Writer, local *watch.Status, host *watch.Status, age time.Duration, readErr error, o Options) error {
	p := &printer{Options: o}
	v := judgeInside(local.Sandboxed, host, age, readErr)
	if granted := grant(local); granted != "" && v.headline == itIsTheSandbox {
		v.advice = granted
	}
	proxied := throughProxy(local)
	if proxied != nil && proxied.OK() && local.Sandboxed.Denied {
		v = conclusion{ladder.OK,
			"This sandbox reaches the network only through its own proxy, and the proxy allows " + proxied.Service + ".",
			"Nothing, for programs that use HTTPS_PROXY. Other programs need network access."}
	}
	p.heading(v.mark, v.headline)
	p.labelled("here", plain, here(local.Sandboxed))
	p.proxy(proxied)
	p.host(host, age, readErr)
	p.labelled("do:", bold, v.advice)
	return p.to(w)
}

// throughProxy is the result of a request through the sandbox's own proxy; nil if there was none.
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

// proxy writes what the sandbox's own proxy did.
func (p *printer) proxy(r *probe.Result) {
	switch {
	case r == nil:
	case r.OK():
		p.labelled("proxy", plain,
			fmt.Sprintf("%s allows %s: %d in %s", r.Proxy, r.Service, r.Status, humanize.Latency(r.Elapsed.Duration())))
	default:
		p.labelled("proxy", plain, fmt.Sprintf("%s blocks %s: %s", r.Proxy, r.Service, r.Why))
	}
}

// A conclusion is what the sandbox and the host together show.
type conclusion struct {
	mark             ladder.Mark
	headline, advice string
}

func judgeInside(local watch.Sandboxed, host *watch.Status, age time.Duration, readErr error) conclusion {
	switch {
	case !local.Denied:
		return conclusion{ladder.Partial, "This process has network access.",
			"Run netwatchd check: it can test the service from here."}
	case host == nil || readErr != nil:
		return conclusion{
			ladder.Partial,
			"Network access is denied here. The state of the service cannot be seen from inside.",
			"Run this with network access, or start netwatchd on the host: its status can be read from here.",
		}
	case age > staleAfter:
		return conclusion{ladder.Partial, "Network access is denied here. The host's status is too old to say more.",
			"Run this with network access. On the host, find out why the daemon stopped: run netwatchd doctor."}
	}
	return judgeHost(host)
}

// judgeHost decides whether the sandbox alone is at fault, by the host's own verdicts.
func judgeHost(host *watch.Status) conclusion {
	for _, s := range worstFirst(host.Services) {
		if s.Cause.Fault() && s.Cause != causes.Sandbox && s.Cause != causes.SandboxOpen {
			return conclusion{ladder.Failed, "Network access is denied here, and the host has a problem too: " + headline(s),
				s.Advice + " After that, run this with network access."}
		}
		if ladder.MarkOf(s.Cause) == ladder.Partial && !s.Cause.Usable() || ladder.MarkOf(s.Cause) == ladder.Blocked {
			return conclusion{ladder.Partial, "Network access is denied here. The host has no clear verdict yet: " + headline(s),
				"Run this with network access, or try again in a minute."}
		}
	}
	return conclusion{ladder.Partial, itIsTheSandbox,
		"Run this with network access."}
}

const itIsTheSandbox = "It is the sandbox: network access is denied here and works on the host."

// grant returns how to let the sandbox reach the first service for which that is known; empty: for none.
func grant(local *watch.Status) string {
	for _, s := range local.Services {
		if s.Cause == causes.SelfSandboxed && s.Advice != causes.SelfSandboxed.About().Advice {
			return s.Advice
		}
	}
	return ""
}

// here is what is denied, with the signals that show it.
func here(local watch.Sandboxed) string {
	if !local.Denied {
		return "sockets can be opened"
	}
	texts := make([]string, 0, len(local.Signals))
	for _, signal := range local.Signals {
		if words := signalText(signal); words != "" {
			texts = append(texts, words)
		}
	}
	if len(texts) == 0 {
		return "denied"
	}
	return "denied: " + strings.Join(texts, ", ")
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
	"env_permission_profile":   "CODEX_PERMISSION_PROFILE is set",
	"env_sandbox_runtime":      "SANDBOX_RUNTIME=1",
	"ancestor_codex_sandbox":   "started by codex-linux-sandbox",
}

// signalText describes a signal; it is empty for one that only repeats another. Text that is not the name of a signal
// is returned unchanged.
func signalText(signal string) string {
	if words, ok := signalWords[signal]; ok {
		return words
	}
	if !strings.ContainsAny(signal, " (=") {
		return ""
	}
	return signal
}

// host writes what the daemon reported, and how old that is.
func (p *printer) host(host *watch.Status, age time.Duration, readErr error) {
	switch {
	case errors.Is(readErr, fs.ErrNotExist):
		p.labelled("host", plain,
			"no status from the host: the daemon is not running, or this sandbox hides its status file")
	case readErr != nil:
		p.labelled("host", plain, "no status from the host: "+readErr.Error())
	case host == nil:
		p.labelled("host", plain, "no status from the host")
	case age > staleAfter:
		p.labelled("host", amber, fmt.Sprintf("last status %s ago: the daemon has stopped", humanize.Span(age)))
	default:
		for i, s := range host.Services[:min(len(host.Services), inFull)] {
			p.labelled(first(i, "host"), plain, reached(host, s, age))
		}
	}
}

func reached(host *watch.Status, s watch.ServiceStatus, age time.Duration) string {
	if r := answered(s); r != nil && r.Kind == probe.KindHTTP {
		words := fmt.Sprintf("reached %s %s ago", s.Service, humanize.Span(age+host.At.Sub(r.Start)))
		if r.Status > 0 {
			words += fmt.Sprintf(" (%d in %s)", r.Status, humanize.Latency(r.Elapsed.Duration()))
		}
		return words
	}
	return fmt.Sprintf("%s ago: %s", humanize.Span(age), headline(s))
}
