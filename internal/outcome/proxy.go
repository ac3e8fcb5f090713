package outcome

import (
	"cmp"
	"slices"
	"strings"

	"netwatchd/internal/clientrules"
	"netwatchd/internal/probe"
)

// Proxy says what is wrong with r's proxy, whose class is of the layer proxy. The name is that of the client that uses
// it, and forwards whether the proxy forwards other requests.
func Proxy(r *probe.Result, client string, forwards bool) string {
	switch proxy := namedProxy(r); {
	case r.Class == probe.ProxyRefused:
		return proxy + " refuses connections"
	case r.Class == probe.ProxyUnreachable:
		return proxy + " is unreachable"
	case r.Class == probe.ProxyAuthRequired:
		return unauthorizedProxy(r, cmp.Or(client, "the agent"))
	case r.Proxy == "" && r.Warned(clientrules.NotAProxyURL):
		return strings.Join(r.Notes, "; ")
	case forwards:
		return proxy + " does not forward requests to the service, but forwards others"
	default:
		return proxy + " does not forward requests"
	}
}

// namedProxy names r's proxy, and the variable that names it.
func namedProxy(r *probe.Result) string {
	proxy := strings.TrimSpace("the proxy " + r.Proxy)
	if r.ProxyFrom != "" {
		proxy += " (" + r.ProxyFrom + ")"
	}
	return proxy
}

func unauthorizedProxy(r *probe.Result, client string) string {
	proxy, schemes := namedProxy(r), proxySchemes(r)
	switch noPassword := r.Warned(probe.WarnProxyNoPassword); {
	case r.Warned(probe.WarnProxyCredentials) && noPassword:
		return proxy + " refuses the credentials in its URL: it accepts only " + schemes
	case r.Warned(probe.WarnProxyCredentials):
		return proxy + " refuses the credentials in its URL"
	case noPassword:
		return proxy + " requires a sign-in by " + schemes + ", which " + client + " cannot make"
	}
	return proxy + " requires credentials"
}

// proxySchemes are the ways to sign in that r's proxy offers: "Negotiate or NTLM".
func proxySchemes(r *probe.Result) string {
	for _, line := range r.Headers {
		if schemes, ok := strings.CutPrefix(line, "Proxy-Authenticate: "); ok {
			return strings.ReplaceAll(schemes, ", ", " or ")
		}
	}
	return "an unknown scheme"
}

// ProxyNotForwarding says that r's proxy was reached, and nothing behind it.
func ProxyNotForwarding(r *probe.Result) string {
	return namedProxy(r) + " accepts connections but does not forward them"
}

// ProxySwallowing says that r's proxy was reached and the service behind it was not, although it is reached without the
// proxy.
func ProxySwallowing(r *probe.Result, forwards bool) string {
	if forwards {
		return namedProxy(r) + " fails for the service alone, which is reached without it: it forwards other requests"
	}
	return ProxyNotForwarding(r) + ": the service is reached without it"
}

// ProxyAdvice says what to do about r's proxy; it is empty if nothing better is known than what fits every proxy.
func ProxyAdvice(r *probe.Result) string {
	switch {
	case r.Warned(clientrules.SpellingsDiffer) && r.Class != probe.ProxyAuthRequired:
		return "Set both spellings to the proxy that works: " + strings.Join(r.Notes, "; ") + "."
	case r.Warned(probe.WarnProxyNoPassword):
		return "Run a local helper that signs in for it, such as px or cntlm, and name that helper as the proxy, or ask " +
			"whoever runs the proxy for an exception."
	case r.Warned(probe.WarnProxyCredentials):
		return "Correct the user name and password in the proxy's URL, with special characters percent-encoded: they may " +
			"have expired, or the account may be locked."
	case r.Class == probe.ProxyAuthRequired:
		return "Put user:password@ into the proxy's URL, or the URL into proxy_file in the configuration."
	case r.Proxy == "" && r.Warned(clientrules.NotAProxyURL):
		return "Write it as http://host:port, or http://user:password@host:port with special characters " +
			"percent-encoded (# is %23), or remove the variable."
	}
	return ""
}

// ProxyNote says that two spellings of a variable name different proxies; it is empty if they do not.
func ProxyNote(r *probe.Result) string {
	if !r.Warned(clientrules.SpellingsDiffer) {
		return ""
	}
	return Notes(r)
}

// ProxiedLoopback says that r, a request to this host itself, failed behind a proxy.
func ProxiedLoopback(r *probe.Result) string {
	return "requests to " + Authority(r) + " on this host go through the proxy " + r.Proxy + ", which fails"
}

// What to do about a request to this host behind a proxy, and about one that the proxy swallows.
const (
	AdviceLoopback  = "Add the address to NO_PROXY, for example NO_PROXY=localhost,127.0.0.1,::1, in both spellings."
	AdviceSwallowed = "Ask whoever runs the proxy why the service fails through it, or add its name to NO_PROXY."
)

// IsProxiedLoopback reports whether r is a request to this host itself that failed behind a proxy. What listens there
// was not asked: see [probe.WarnBaseURL] for a server that is gone.
func IsProxiedLoopback(r *probe.Result) bool {
	return r.Warned(clientrules.LoopbackProxied) &&
		(r.Class.Layer() == "proxy" || r.Class == probe.HTTPServerError || r.Class == probe.HTTPEdgeBlocked || IsSwallowed(r))
}

// IsSwallowed reports whether r's proxy was reached and nothing came back from the server behind it: the proxy may
// have dropped or reset the connection as well as the server. A certificate says who answered.
func IsSwallowed(r *probe.Result) bool {
	switch {
	case r.Proxy == "" || r.Class == probe.TLSDateInvalid || IsForeignCertificate(r):
		return false
	case IsAnswered(r): // of a plain request the proxy may answer itself
		return r.Class == probe.HTTPServerError && strings.HasPrefix(r.Target, "http://")
	}
	return slices.Contains([]string{"tcp", "tls", "http"}, r.Class.Layer())
}
