package connect

import (
	"cmp"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"netwatchd/internal/probe"
	"netwatchd/internal/redact"
)

// ProxyRefusal returns the error in a proxy's response, or nil if it did what was requested.
func ProxyRefusal(doing string, r Response) error {
	switch reason := r.Header.Get("X-Proxy-Error"); {
	case r.StatusCode == http.StatusProxyAuthRequired:
		return probe.Failf(probe.ProxyAuthRequired, "%s: got 407 (%s)%s", doing, challenges(r.Header), r.answer())
	case r.localProxy && strings.HasPrefix(reason, "blocked-by-"):
		// The proxy of an agent's sandbox, whose rules do not allow the host: Codex's managed proxy and sandbox-runtime send
		// "blocked-by-allowlist", sandbox-runtime also "blocked-by-sandbox-runtime". The proxy works, and the sandbox denies.
		return probe.Failf(probe.LocalDenied, "%s: got %d (x-proxy-error: %s): the sandbox's rules do not allow this host",
			doing, r.StatusCode, reason)
	case reason != "":
		return probe.Failf(probe.ProxyFailed, "%s: got %d (x-proxy-error: %s)", doing, r.StatusCode, reason)
	case r.StatusCode/100 != 2:
		return probe.Failf(probe.ProxyFailed, "%s: got %d", doing, r.StatusCode)
	}
	return nil
}

func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}

// answer says how a 407 can be answered. Credentials in a proxy's URL are sent as Basic, by the agents too: none of
// them speaks Negotiate or NTLM by itself.
func (r Response) answer() string {
	noPassword := takesNoPassword(r.Header)
	switch {
	case r.Credentials && noPassword:
		return ": the user:password@ of the proxy's URL was sent and refused, because the proxy accepts no password"
	case r.Credentials:
		return ": the user:password@ of the proxy's URL was sent and refused"
	case noPassword:
		return ": it accepts no password from the proxy's URL"
	}
	return ": put user:password@ into the proxy's URL"
}

// learnRefusal records how a 407 can be answered.
func (l *Attempt) learnRefusal(r Response) {
	if r.StatusCode != http.StatusProxyAuthRequired {
		return
	}
	if takesNoPassword(r.Header) {
		l.Progress.Warn(probe.WarnProxyNoPassword)
	}
	if r.Credentials {
		l.Progress.Warn(probe.WarnProxyCredentials)
	}
	if schemes := authSchemes(r.Header); len(schemes) > 0 {
		line := redact.Line("Proxy-Authenticate: "+strings.Join(schemes, ", "), QuoteLimit)
		l.Progress.Learn(func(f *probe.Facts) { f.Headers = append(f.Headers, line) })
	}
}

// challenges quotes what the proxy offers, each with its realm.
func challenges(h http.Header) string {
	all := strings.Join(h.Values("Proxy-Authenticate"), ", ")
	return redact.Quote(cmp.Or(all, "no scheme"), QuoteLimit)
}

func takesNoPassword(h http.Header) bool {
	schemes := authSchemes(h)
	isBasic := func(s string) bool { return strings.EqualFold(s, "Basic") }
	return len(schemes) > 0 && !slices.ContainsFunc(schemes, isBasic)
}

// authSchemes returns the schemes of all challenges, in order and each once. A header may be repeated, and one line may
// hold several challenges (RFC 9110, 11.6.1): a scheme is a word without a "=" at the start of a line or after a comma.
func authSchemes(h http.Header) []string {
	var schemes []string
	for _, line := range h.Values("Proxy-Authenticate") {
		for part := range strings.SplitSeq(line, ",") {
			word, _, _ := strings.Cut(strings.TrimSpace(part), " ")
			if word != "" && !strings.ContainsAny(word, "=\"") && !slices.Contains(schemes, word) {
				schemes = append(schemes, word)
			}
		}
	}
	return schemes
}
