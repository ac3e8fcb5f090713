package agent

import (
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"netwatchd/internal/userfile"
)

// Mode is which credentials an agent sends.
type Mode string

const (
	SignedOut           Mode = "signed out"
	ChatGPT             Mode = "ChatGPT sign-in"
	ClaudeSignIn        Mode = "Claude sign-in"
	GoogleSignIn        Mode = "Google sign-in"
	GitHubSignIn        Mode = "GitHub sign-in"
	APIKey              Mode = "API key"
	ProviderCredentials Mode = "credentials of the provider"
)

// Endpoint is where an agent sends its requests, and which file or variable decided it. Only Reach may
// hold a secret.
type Endpoint struct {
	BaseURL     *url.URL // without credentials and parameters; nil: not known
	Source      string   // the file or variable that decided; empty: the default
	Key         string   // the key in that file; empty: the whole file
	Mode        Mode
	Routing     *url.URL // what the agent requests before every turn, with its sign-in: 401 without one; nil: nothing
	ProbePath   string   // what probes request below BaseURL
	KnownAnswer bool     // it is the agent's own service, whose answer to that is known
	Answer      int      // the status of that answer; zero: the one that the built-in service expects

	Proxy       string // the proxy that a file of the agent sets; "none"; empty: that of the environment
	ProxySource string // that file
	CAFile      string // PEM, trusted in addition to the system's roots
	Model       string // the one in the user's files; empty: the agent's default
	Notes       []string

	// Reach are the variables of proxies and certificates that a file of the agent sets, name=value. They replace those
	// of the environment. A proxy's URL may contain a password.
	Reach     []string
	ReachFile string // that file; empty: there are none
}

// Origin names the file or variable that decided, and the key in it.
func (e Endpoint) Origin() string {
	switch {
	case e.Source == "":
		return "the default"
	case e.Key == "":
		return e.Source
	}
	return e.Source + ", " + e.Key
}

// Listener returns the loopback address and port that the base URL points to, or "" if it points elsewhere.
func (e Endpoint) Listener() string {
	if e.BaseURL == nil {
		return ""
	}
	host := e.BaseURL.Hostname()
	if addr, err := netip.ParseAddr(host); host != "localhost" && (err != nil || !addr.IsLoopback()) {
		return ""
	}
	port := cmp.Or(e.BaseURL.Port(), map[string]string{"http": "80", "https": "443"}[e.BaseURL.Scheme])
	return net.JoinHostPort(host, port)
}

// NothingListens is what is wrong if a connection to Listener is refused.
func (e Endpoint) NothingListens() string {
	return fmt.Sprintf("the base URL %s (%s) points to %s, where nothing listens", e.BaseURL, e.Origin(), e.Listener())
}

// Note adds what is wrong with a file of the agent, if anything is.
func (e *Endpoint) Note(path string, err error) {
	e.Notes = append(e.Notes, userfile.Notes(path, err)...)
}

// Set takes base as the address. A base URL that is none is noted, and left unknown.
func (e *Endpoint) Set(base, source, key string) {
	e.Source, e.Key = source, key
	u, err := url.Parse(strings.TrimRight(strings.TrimSpace(base), "/"))
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		e.BaseURL = nil
		e.Notes = append(e.Notes, fmt.Sprintf("%s: the base URL is not an http or https URL", e.Origin()))
		return
	}
	// Parameters and credentials may be secrets. Probes do not need them.
	e.BaseURL = &url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}
}

// reachVariables decide how a client reaches its service.
var reachVariables = []string{"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "REQUEST_METHOD", "SSL_CERT_FILE",
	"SSL_CERT_DIR", "NODE_EXTRA_CA_CERTS", "NODE_TLS_REJECT_UNAUTHORIZED", "CLAUDE_CODE_CERT_STORE"}

// SetReach takes the variables of proxies and certificates from env, which the agent reads from file.
func (e *Endpoint) SetReach(env []string, file string) {
	for _, entry := range env {
		name, _, _ := strings.Cut(entry, "=")
		if slices.Contains(reachVariables, strings.ToUpper(name)) {
			e.Reach, e.ReachFile = append(e.Reach, entry), file
		}
	}
}
