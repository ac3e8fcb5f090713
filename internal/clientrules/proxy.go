package clientrules

import (
	"cmp"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"netwatchd/internal/enum"
	"netwatchd/internal/redact"
)

// Proxying is how a program's HTTP client chooses a proxy from the environment. Each was measured with the real
// program; docs/clients.md has the table, and the laboratory asks the programs again.
type Proxying uint8

const (
	GoProxying      Proxying = iota // net/http, and ALL_PROXY beside it: netwatchd's own
	CurlProxying                    // curl 7.88
	ReqwestProxying                 // codex 0.169.0: Rust's reqwest
	// OldReqwestProxying is that of codex 0.104.0, which compares the names in NO_PROXY with regard to case.
	OldReqwestProxying
	UndiciProxying // node with undici's EnvHttpProxyAgent; node's own fetch uses no proxy
	ClaudeProxying // claude 2.1.332
	BunProxying    // opencode 1.18.33: the fetch of Bun 1.3.14
	GeminiProxying // gemini 0.61.0: undici, with one proxy for every URL
	// CopilotProxying is that of copilot 1.0.102, of https URLs: it was not tried with others.
	CopilotProxying
)

var proxyingNames = []string{
	GoProxying: "go", CurlProxying: "curl", ReqwestProxying: "reqwest", OldReqwestProxying: "reqwest-0.11",
	UndiciProxying: "undici", ClaudeProxying: "claude",
	BunProxying: "bun", GeminiProxying: "gemini", CopilotProxying: "copilot",
}

func (p Proxying) String() string                { return enum.String(proxyingNames, p, "proxying") }
func (p Proxying) MarshalText() ([]byte, error)  { return []byte(p.String()), nil }
func (p *Proxying) UnmarshalText(b []byte) error { return enum.Parse(proxyingNames, p, b, "proxying") }

// proxyRules are the variables that a client reads, and how.
type proxyRules struct {
	// plain and secure are the variables for http and https URLs. The first list that gives a proxy wins; in a list, the
	// first variable that is set.
	plain, secure [][]string
	exempt        []string // NO_PROXY and its other spelling, in the same order
	emptyDecides  bool     // a variable that is set to nothing counts as set: its other spelling is not read
	emptyExempts  bool     // the same for those of exempt alone
	none          string   // a variable that turns proxies off when it is set; empty: none
	parse         func(value string) (proxy *url.URL, skip bool)
	isExempt      func(list, host, port string) bool
}

var rulesOf = map[Proxying]proxyRules{
	CurlProxying: {
		// HTTP_PROXY in upper case is not read: a CGI script would get it from a request's header (curl(1)).
		plain:  [][]string{{"http_proxy"}, {"all_proxy", "ALL_PROXY"}},
		secure: [][]string{{"https_proxy", "HTTPS_PROXY"}, {"all_proxy", "ALL_PROXY"}},
		exempt: []string{"no_proxy", "NO_PROXY"},
		parse:  strict(withOrWithoutScheme, "http", "https", "socks4", "socks4a", "socks5", "socks5h"), isExempt: exemptForCurl,
	},
	ReqwestProxying:    reqwest(strings.EqualFold),
	OldReqwestProxying: reqwest(isSameText),
	UndiciProxying: {
		plain:  [][]string{{"http_proxy", "HTTP_PROXY"}},
		secure: [][]string{{"https_proxy", "HTTPS_PROXY"}, {"http_proxy", "HTTP_PROXY"}},
		exempt: []string{"no_proxy", "NO_PROXY"}, emptyDecides: true,
		parse: strict(strings.TrimSpace, "http", "https"), isExempt: exemptForUndici,
	},
	ClaudeProxying: {
		plain: claudeVariables, secure: claudeVariables, exempt: []string{"no_proxy", "NO_PROXY"},
		parse: strict(strings.TrimSpace, "http", "https"), isExempt: exemptForClaude,
	},
	BunProxying: {
		plain: [][]string{{"http_proxy", "HTTP_PROXY"}}, secure: [][]string{{"https_proxy", "HTTPS_PROXY"}},
		exempt: []string{"no_proxy", "NO_PROXY"},
		parse:  func(value string) (*url.URL, bool) { return parseForBun(value), false }, isExempt: exemptForBun,
	},
	GeminiProxying: {
		plain: geminiVariables, secure: geminiVariables, exempt: []string{"NO_PROXY", "no_proxy"}, emptyExempts: true,
		parse: strict(strings.TrimSpace, "http", "https"), isExempt: exemptForUndici,
	},
	CopilotProxying: {
		plain:  [][]string{{"http_proxy", "HTTP_PROXY"}},
		secure: [][]string{{"https_proxy", "HTTPS_PROXY"}, {"http_proxy", "HTTP_PROXY"}},
		exempt: []string{"no_proxy", "NO_PROXY"},
		parse:  strict(withOrWithoutScheme, "http", "https"), isExempt: exemptForCopilot,
	},
}

// codexWebSocket are the rules of codex's WebSocket, which are not those of its requests: HTTP_PROXY is used too, and
// before ALL_PROXY; NO_PROXY may have ports and distinguishes case (measured with 0.169.0; 0.104.0 opens none). A
// stream may so go through a proxy while requests do not.
var codexWebSocket = proxyRules{
	secure: [][]string{{"HTTPS_PROXY", "https_proxy"}, {"HTTP_PROXY", "http_proxy"}, {"ALL_PROXY", "all_proxy"}},
	plain:  [][]string{{"HTTP_PROXY", "http_proxy"}, {"HTTPS_PROXY", "https_proxy"}, {"ALL_PROXY", "all_proxy"}},
	exempt: []string{"NO_PROXY", "no_proxy"}, emptyDecides: true,
	parse: strict(withOrWithoutScheme, "http", "https", "socks5", "socks5h"),
	isExempt: func(list, host, port string) bool {
		return slices.ContainsFunc(strings.Split(list, ","), func(entry string) bool {
			entry = strings.TrimSpace(entry)
			if name, ofPort, found := strings.Cut(entry, ":"); found && ofPort == port {
				entry = name
			}
			return isExemptForReqwest(entry, host, isSameText)
		})
	},
}

// claudeVariables are used for every URL, whatever its scheme.
var claudeVariables = [][]string{{"https_proxy", "HTTPS_PROXY"}, {"http_proxy", "HTTP_PROXY"}, {"all_proxy", "ALL_PROXY"}}

// geminiVariables are used for every URL, whatever its scheme.
var geminiVariables = [][]string{{"HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"}}

func isSameText(a, b string) bool { return a == b }

// reqwest reads a variable even if it is empty, upper case first, and skips what is no URL to it without a word
// (hyper-util, client/proxy/matcher.rs).
func reqwest(isSame func(a, b string) bool) proxyRules {
	return proxyRules{
		plain:  [][]string{{"HTTP_PROXY", "http_proxy"}, {"ALL_PROXY", "all_proxy"}},
		secure: [][]string{{"HTTPS_PROXY", "https_proxy"}, {"ALL_PROXY", "all_proxy"}},
		exempt: []string{"NO_PROXY", "no_proxy"}, emptyDecides: true, none: "REQUEST_METHOD",
		parse: parseForReqwest,
		isExempt: func(list, host, _ string) bool {
			return slices.ContainsFunc(strings.Split(list, ","), func(entry string) bool {
				return isExemptForReqwest(strings.TrimSpace(entry), host, isSame)
			})
		},
	}
}

// A ProxyChoice is how a client reaches a URL.
type ProxyChoice struct {
	Proxy    *url.URL // may have credentials; nil: none
	Variable string   // that names the proxy; empty: none
	Broken   string   // a variable that ends every request, because its value is not a proxy's URL; empty: none
	Skipped  []string // variables that are ignored, because their values are not a proxy's URL
}

// An Environment returns the value of a variable, and whether it is set.
type Environment func(name string) (value string, set bool)

// EnvironmentOf returns an environment of lists of name=value. The first list that has a variable decides, and in a
// list its last entry.
func EnvironmentOf(lists ...[]string) Environment {
	return func(name string) (value string, set bool) {
		for _, list := range lists {
			for _, entry := range slices.Backward(list) {
				if value, ok := strings.CutPrefix(entry, name+"="); ok {
					return value, true
				}
			}
		}
		return "", false
	}
}

// Choose returns how a client with these rules reaches u; the schemes ws and wss stand for a WebSocket. It knows every
// client but Go's, whose rules are in its own library.
func (p Proxying) Choose(env Environment, u *url.URL) ProxyChoice {
	rules, known := p.rules(u)
	if !known {
		return ProxyChoice{}
	}
	return rules.choose(env, u)
}

func (p Proxying) rules(u *url.URL) (r proxyRules, known bool) {
	if p == ReqwestProxying && (u.Scheme == "ws" || u.Scheme == "wss") {
		return codexWebSocket, true
	}
	r, known = rulesOf[p]
	if p == ClaudeProxying && u.Scheme == "https" { // only then a proxy needs no scheme
		r.parse = strict(withOrWithoutScheme, "http", "https")
	}
	return r, known
}

func (r proxyRules) choose(env Environment, u *url.URL) (c ProxyChoice) {
	if _, set := env(r.none); set && r.none != "" {
		return c
	}
	if list, _ := r.first(env, r.exempt); list != "" && r.isExempt(list, u.Hostname(), portOf(u)) {
		return c
	}
	for _, names := range r.variables(u) {
		value, name := r.first(env, names)
		if value == "" {
			continue
		}
		switch proxy, skip := r.parse(value); {
		case proxy != nil:
			c.Proxy, c.Variable = proxy, name
			return c
		case !skip:
			c.Broken = name
			return c
		}
		c.Skipped = append(c.Skipped, name)
	}
	return c
}

func (r proxyRules) variables(u *url.URL) [][]string {
	if u.Scheme == "https" || u.Scheme == "wss" {
		return r.secure
	}
	return r.plain
}

// first returns the value of the variable that decides, and its name.
func (r proxyRules) first(env Environment, names []string) (value, name string) {
	emptyDecides := r.emptyDecides || r.emptyExempts && slices.Equal(names, r.exempt)
	for _, name := range names {
		if value, set := env(name); set && (value != "" || emptyDecides) {
			return value, name
		}
	}
	return "", ""
}

// withOrWithoutScheme adds the scheme that is meant if there is none.
func withOrWithoutScheme(value string) string {
	if strings.Contains(value, "://") {
		return value
	}
	return "http://" + value
}

func portOf(u *url.URL) string {
	return cmp.Or(u.Port(), map[string]string{"http": "80", "ws": "80", "https": "443", "wss": "443"}[u.Scheme])
}

// strict returns a parser for a client whose every request fails if a value is not the URL of a proxy.
func strict(prepare func(string) string, schemes ...string) func(string) (proxy *url.URL, skip bool) {
	return func(value string) (*url.URL, bool) {
		if u, ok := parseProxy(prepare(value)); ok && slices.Contains(schemes, u.Scheme) {
			return u, false
		}
		return nil, false
	}
}

// parseForReqwest skips what Rust's http::Uri does not parse, and unknown schemes. A bad port is found only when it
// connects, so that every request fails; a # in a password ends the URL there, and makes one.
func parseForReqwest(value string) (proxy *url.URL, skip bool) {
	scheme, _, _ := strings.Cut(withOrWithoutScheme(value), "://")
	schemes := []string{"http", "https", "socks4", "socks4a", "socks5", "socks5h"}
	if strings.ContainsAny(value, " \t\r\n") || strings.HasPrefix(value, "/") ||
		!slices.Contains(schemes, strings.ToLower(scheme)) {
		return nil, true
	}
	u, ok := parseProxy(withOrWithoutScheme(value))
	switch {
	case ok:
		return u, false
	case strings.HasSuffix(value, "://"):
		return nil, true
	}
	return nil, false
}

// parseProxy parses the URL of a proxy. Unlike url.Parse it takes credentials as people write them: net/url refuses a
// % that no two digits follow, and these clients do not.
func parseProxy(value string) (*url.URL, bool) {
	scheme, rest, _ := strings.Cut(value, "://")
	if end := strings.IndexAny(rest, "/?#"); end >= 0 {
		rest = rest[:end]
	}
	at := strings.LastIndexByte(rest, '@')
	u, err := url.Parse(strings.ToLower(scheme) + "://" + rest[at+1:])
	if err != nil || u.Hostname() == "" || strings.ContainsAny(rest, " \t\r\n") {
		return nil, false
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return nil, false
		}
	}
	if at >= 0 {
		name, password, hasPassword := strings.Cut(rest[:at], ":")
		if u.User = url.User(unescape(name)); hasPassword {
			u.User = url.UserPassword(unescape(name), unescape(password))
		}
	}
	return u, true
}

// parseForBun returns nil for what makes every request of Bun fail: a scheme that is not http or https in lower case, a
// user without a password, credentials without a scheme. A password may have any character.
func parseForBun(value string) *url.URL {
	scheme, rest, found := strings.Cut(value, "://")
	if !found {
		scheme, rest = "http", value
	}
	at := strings.LastIndexByte(rest, '@')
	name, password, hasPassword := strings.Cut(rest[:max(at, 0)], ":")
	if scheme != "http" && scheme != "https" || at >= 0 && !(found && hasPassword) {
		return nil
	}
	u, ok := parseProxy(scheme + "://" + rest[at+1:])
	if !ok {
		return nil
	}
	if at >= 0 {
		u.User = url.UserPassword(unescape(name), unescape(password))
	}
	return u
}

func unescape(s string) string {
	if decoded, err := url.PathUnescape(s); err == nil {
		return decoded
	}
	return s
}

// isExemptForReqwest compares one entry of NO_PROXY: an address, a prefix, a name and all names below it, with or
// without a leading dot, or a lone *, which stands for every name and no address. A port makes an entry that nothing
// matches.
func isExemptForReqwest(entry, host string, isSame func(a, b string) bool) bool {
	if addr, err := netip.ParseAddr(host); err == nil {
		return containsAddress(entry, addr)
	}
	return entry == "*" || isNameOrBelow(strings.TrimPrefix(entry, "."), host, isSame)
}

func isNameOrBelow(name, host string, isSame func(a, b string) bool) bool {
	below := len(host) - len(name) - 1
	return name != "" && (isSame(name, host) || below > 0 && host[below] == '.' && isSame(name, host[below+1:]))
}

func containsAddress(entry string, addr netip.Addr) bool {
	if prefix, err := netip.ParsePrefix(entry); err == nil {
		return prefix.Masked().Contains(addr.Unmap())
	}
	one, err := netip.ParseAddr(strings.Trim(entry, "[]"))
	return err == nil && one.Unmap() == addr.Unmap()
}

// exemptForCurl follows curl 7.88's noproxy.c: entries are separated by commas or spaces, a name includes all names
// below it, a leading and a trailing dot do not matter, and * counts only as the whole list.
func exemptForCurl(list, host, _ string) bool {
	if list == "*" {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return slices.ContainsFunc(strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' }),
		func(entry string) bool {
			if err == nil {
				return containsAddress(entry, addr)
			}
			return isNameOrBelow(strings.TrimSuffix(strings.TrimPrefix(entry, "."), "."), host, strings.EqualFold)
		})
}

// exemptForClaude: entries are separated by commas or spaces and may have a port; a name, with or without *. or a
// leading dot, includes all names below it, and * is a wildcard anywhere in the list.
func exemptForClaude(list, host, port string) bool {
	addr, err := netip.ParseAddr(host)
	return slices.ContainsFunc(strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' }),
		func(entry string) bool {
			if name, ofPort, found := strings.Cut(entry, ":"); found && strings.Count(entry, ":") == 1 {
				if ofPort != port {
					return false
				}
				entry = name
			}
			if err == nil {
				return entry == "*" || containsAddress(entry, addr)
			}
			name := strings.TrimSuffix(strings.TrimPrefix(strings.TrimPrefix(entry, "*"), "."), ".")
			return entry == "*" || isNameOrBelow(name, host, strings.EqualFold)
		})
}

// exemptForCopilot is like exemptForClaude, but entries are separated by commas alone.
func exemptForCopilot(list, host, port string) bool {
	return slices.ContainsFunc(strings.Split(list, ","), func(entry string) bool {
		entry = strings.TrimSpace(entry)
		return !strings.Contains(entry, " ") && exemptForClaude(entry, host, port)
	})
}

// exemptForBun: entries are separated by commas alone, and one with a port stands for that port. * is a wildcard only
// by itself. An address is compared as a name: 0.0.1 includes 127.0.0.1, and a prefix nothing.
func exemptForBun(list, host, port string) bool {
	return slices.ContainsFunc(strings.Split(list, ","), func(entry string) bool {
		entry = strings.TrimPrefix(strings.TrimSpace(entry), ".")
		if strings.Contains(entry, ":") {
			return strings.EqualFold(entry, host+":"+port)
		}
		return entry == "*" || isNameOrBelow(entry, host, strings.EqualFold)
	})
}

// exemptForUndici follows undici 6: entries are separated by commas or spaces and may have a port. A leading dot, or
// *., stands for the names below, and a name without one only for itself.
func exemptForUndici(list, host, port string) bool {
	return list == "*" || slices.ContainsFunc(
		strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' }),
		func(entry string) bool {
			if name, ofPort, found := strings.Cut(entry, ":"); found && strings.Count(entry, ":") == 1 {
				if ofPort != port {
					return false
				}
				entry = name
			}
			entry = strings.ToLower(strings.TrimPrefix(entry, "*"))
			host := strings.ToLower(host)
			return entry == "" || host == entry || entry[0] == '.' && strings.HasSuffix(host, entry)
		})
}

// The names of remarks. They are a contract: they are among the warnings of a result.
const (
	SpellingsDiffer = "proxy_spellings_differ" // HTTPS_PROXY and https_proxy name different proxies
	LoopbackProxied = "proxy_for_loopback"     // requests to this host itself go through a proxy
	NotAProxyURL    = "proxy_not_a_url"        // a variable's value is not the URL of a proxy
)

// A Remark is what is odd about the settings that lead a client to a service, although it may work.
type Remark struct{ Name, Text string }

// ProxyRemarks returns what is odd about how the client reaches u by the choice c of its rules. The texts hold no
// credentials.
func (c Client) ProxyRemarks(env Environment, u *url.URL, choice ProxyChoice) []Remark {
	rules, known := c.Proxying.rules(u)
	if !known {
		return nil
	}
	var all []Remark
	add := func(name, format string, args ...any) { all = append(all, Remark{name, fmt.Sprintf(format, args...)}) }
	if choice.Broken != "" {
		add(NotAProxyURL, "%s is not the URL of a proxy, so every request of %s fails", choice.Broken, c.Name)
	}
	for _, name := range choice.Skipped {
		add(NotAProxyURL, "%s is not the URL of a proxy, so %s ignores it and connects %s", name, c.Name,
			throughOrDirectly(choice.Proxy))
	}
	for _, names := range slices.Concat(rules.variables(u), [][]string{rules.exempt}) {
		used, other := rules.differing(env, names)
		if other != "" && !rules.isMoot(env, u, choice, used, other) {
			add(SpellingsDiffer, "%s and %s differ: %s uses %s (%s), other programs use %s (%s)", used, other, c.Name,
				used, shownValue(env, used), other, shownValue(env, other))
		}
	}
	if choice.Proxy != nil && isLoopback(u.Hostname()) {
		add(LoopbackProxied, "%s sends requests to %s on this host through the proxy %s, because NO_PROXY does not exempt it",
			c.Name, u.Host, shownProxy(choice.Proxy))
	}
	return all
}

func throughOrDirectly(proxy *url.URL) string {
	if proxy == nil {
		return "without a proxy"
	}
	return "through " + shownProxy(proxy)
}

// differing returns the spelling that decides and the one that does not, if both are set and differ.
func (r proxyRules) differing(env Environment, names []string) (used, other string) {
	value, used := r.first(env, names)
	for _, name := range names {
		if second, _ := env(name); used != "" && name != used && second != "" && second != value {
			return used, name
		}
	}
	return "", ""
}

// isMoot reports whether u is reached in the same way, whichever of the two spellings decides.
func (r proxyRules) isMoot(env Environment, u *url.URL, choice ProxyChoice, used, other string) bool {
	value, _ := env(other)
	swapped := func(name string) (string, bool) {
		if name == used {
			return value, true
		}
		return env(name)
	}
	with := r.choose(swapped, u).Proxy
	if with == nil || choice.Proxy == nil {
		return with == choice.Proxy
	}
	return with.String() == choice.Proxy.String()
}

// shownLimit bounds a quoted value: a list in NO_PROXY may be 64 KB long.
const shownLimit = 60

// shownValue quotes a variable without credentials. What is not a URL may be a mistyped one, with a password.
func shownValue(env Environment, name string) string {
	value, _ := env(name)
	if strings.EqualFold(name, "NO_PROXY") {
		return cmp.Or(redact.Quote(value, shownLimit), "empty")
	}
	if value == "" {
		return "empty"
	}
	if u, ok := parseProxy(withOrWithoutScheme(value)); ok {
		return shownProxy(u)
	}
	return "not a URL"
}

// shownProxy quotes a proxy's URL without credentials.
func shownProxy(u *url.URL) string {
	return redact.Quote((&url.URL{Scheme: u.Scheme, Host: u.Host}).String(), shownLimit)
}

func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || err == nil && addr.Unmap().IsLoopback()
}
