package connect

import (
	"cmp"
	"net/url"
	"os"
	"slices"
	"strings"

	"golang.org/x/net/http/httpproxy"

	"netwatchd/internal/clientrules"
	"netwatchd/internal/probe"
)

// errNotAProxy does not quote the URL, which may hold a password.
var errNotAProxy = probe.Failf(probe.Internal,
	"the proxy is not a valid URL: use http://host:port in the configuration or HTTPS_PROXY")

// variable returns what the client sees: its own file replaces the environment. The environment is read at each
// attempt; net/http would remember the first values.
func (r *Options) variable(name string) (value string, set bool) {
	if value, set := r.ownVariable(name); set {
		return value, true
	}
	return os.LookupEnv(name)
}

func (r *Options) ownVariable(name string) (value string, set bool) {
	return clientrules.EnvironmentOf(r.Env)(name)
}

// origin names a variable, with the client's own file if it is from there.
func (r *Options) origin(name string) string {
	if _, own := r.ownVariable(name); own {
		return name + " in " + r.EnvFile
	}
	return name
}

// ProxyFor returns the proxy that a request to u would use now; nil: none.
func (r Options) ProxyFor(u *url.URL) (*url.URL, error) {
	l := &Attempt{Options: r, Progress: new(Progress)}
	return l.proxyFor(u)
}

// proxyOfClient chooses the proxy of the environment by the client's rules.
func (l *Attempt) proxyOfClient(u *url.URL) (*url.URL, error) {
	if l.Rules.Proxying == clientrules.GoProxying {
		via, err := proxyOfGo(u)
		if err != nil {
			return nil, errNotAProxy
		}
		l.learnProxy(via, "")
		return via, nil
	}
	if l.WebSocket { // a client may have other rules for it
		stream := *u
		stream.Scheme = map[string]string{"http": "ws", "https": "wss"}[u.Scheme]
		u = &stream
	}
	choice := l.Rules.Proxying.Choose(l.variable, u)
	for _, remark := range l.Rules.ProxyRemarks(l.variable, u, choice) {
		l.remark(remark)
	}
	via := choice.Proxy
	switch {
	case choice.Broken != "":
		return nil, probe.Failf(probe.ProxyFailed, "%s is not the URL of a proxy: use http://host:port, or remove it",
			l.origin(choice.Broken))
	case via == nil:
		return nil, nil
	}
	l.learnProxy(via, l.origin(choice.Variable))
	if strings.HasPrefix(via.Scheme, "socks4") {
		return nil, probe.Failf(probe.Internal, "netwatchd cannot use a %s:// proxy, only http, https and socks5", via.Scheme)
	}
	return via, nil
}

// proxyOfGo follows net/http, and then ALL_PROXY, as curl(1) does.
func proxyOfGo(u *url.URL) (*url.URL, error) {
	c := httpproxy.FromEnvironment()
	all := cmp.Or(os.Getenv("ALL_PROXY"), os.Getenv("all_proxy"))
	c.HTTPProxy, c.HTTPSProxy = cmp.Or(c.HTTPProxy, all), cmp.Or(c.HTTPSProxy, all)
	if c.HTTPProxy == "" && c.HTTPSProxy == "" {
		return nil, nil
	}
	return c.ProxyFunc()(u)
}

func (l *Attempt) learnProxy(via *url.URL, from string) {
	if via != nil {
		l.Progress.Learn(func(f *probe.Facts) { f.Proxy, f.ProxyFrom = withoutCredentials(via), from })
	}
}

// remark records what is odd about the client's settings, once for an attempt of several requests.
func (l *Attempt) remark(r clientrules.Remark) {
	l.Progress.Learn(func(f *probe.Facts) {
		if !slices.Contains(f.Notes, r.Text) {
			f.Notes = append(f.Notes, r.Text)
		}
		if !slices.Contains(f.Warnings, r.Name) {
			f.Warnings = append(f.Warnings, r.Name)
		}
	})
}
