package redact

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// knownLength is the shortest secret that is replaced because it is known. A shorter one is a part of too many words.
const knownLength = 4

// known are secrets that this process holds apart from its environment: those of its configuration, and those it
// sends. They are the process's and not an instance's, because every text that is kept or shown passes [String].
var known struct {
	mu       sync.Mutex
	bySource map[string][2][]string // the current secrets of each source, and those before them
	forms    atomic.Pointer[[]string]
}

// Know makes [String] replace these secrets wherever they stand, in plain, JSON, percent-encoded and base64 form. They
// take the place of earlier ones from the same source. Of those the latest stay known: a response may still repeat a
// password that was rotated a moment ago.
func Know(source string, secrets ...string) {
	known.mu.Lock()
	defer known.mu.Unlock()
	secrets = slices.DeleteFunc(slices.Clone(secrets), func(s string) bool { return len(s) < knownLength })
	before := known.bySource[source]
	if slices.Equal(before[0], secrets) {
		return
	}
	if known.bySource == nil {
		known.bySource = make(map[string][2][]string)
	}
	known.bySource[source] = [2][]string{secrets, before[0]}
	var all []string
	for _, generations := range slices.Collect(maps.Values(known.bySource)) {
		all = slices.Concat(all, generations[0], generations[1])
	}
	all = formsOf(all)
	known.forms.Store(&all)
}

// formsOf returns secrets as they stand in text, in JSON, in URLs and in base64, the longest first: one may be a
// part of another.
func formsOf(secrets []string) []string {
	var all []string
	for _, s := range secrets {
		quoted, _ := json.Marshal(s) // a string never fails
		all = append(all, s, strings.Trim(string(quoted), `"`), url.QueryEscape(s), url.PathEscape(s),
			base64.StdEncoding.EncodeToString([]byte(s)), base64.RawURLEncoding.EncodeToString([]byte(s)))
	}
	slices.SortFunc(all, func(a, b string) int {
		if len(a) != len(b) {
			return len(b) - len(a)
		}
		return strings.Compare(a, b)
	})
	return slices.Compact(all)
}

func withoutKnown(text string) string {
	if forms := known.forms.Load(); forms != nil {
		for _, secret := range *forms {
			text = strings.ReplaceAll(text, secret, Mark)
		}
	}
	return text
}

// isParameter reports whether a URL's query parameter of this name is a secret.
func isParameter(name string) bool {
	return Secret(name) || slices.Contains(parameters, strings.ToLower(name))
}

// parameters are names that say "secret" only in a URL.
var parameters = []string{"key", "sig", "auth", "code", "state"}

// InURL returns the secrets of a URL: its password, or the user if that stands alone, and parameters with a secret's
// name.
func InURL(u *url.URL) (all []string) {
	if u == nil {
		return nil
	}
	if password, ok := u.User.Password(); ok {
		all = append(all, password)
	} else if u.User != nil {
		all = append(all, u.User.Username())
	}
	for name, values := range u.Query() {
		if isParameter(name) {
			all = append(all, values...)
		}
	}
	slices.Sort(all)
	return all
}

// Args returns the arguments of a command without secrets, and the secrets. The value of an option is the next
// argument, so that they cannot be looked at one by one.
func Args(args []string) (clean, secrets []string) {
	clean = make([]string, len(args))
	for i, arg := range args {
		clean[i] = String(arg)
		if i == 0 || arg == "" {
			continue
		}
		if option := args[i-1]; takesSecret(option, arg) {
			clean[i], secrets = Mark, append(secrets, arg)
		} else if name, value, ok := strings.Cut(arg, "="); ok && Secret(strings.TrimLeft(name, "-")) && value != "" {
			clean[i], secrets = name+"="+Mark, append(secrets, value)
		}
	}
	return clean, secrets
}

// takesSecret reports whether value is the secret of an option: --password, or -u as curl has it.
func takesSecret(option, value string) bool {
	name := strings.TrimLeft(option, "-")
	switch {
	case name == option || strings.Contains(option, "=") || strings.HasPrefix(value, "--"):
		return false
	case Secret(name):
		return true
	}
	user, password, ok := strings.Cut(value, ":")
	return ok && user != "" && password != "" && slices.Contains([]string{"-u", "--user", "--proxy-user", "-U"}, option)
}
