package codex

import (
	"encoding/json"
	"fmt"
	"maps"
	"netwatchd/internal/agent"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// BuiltinProvider as Codex.Provider is the user's own provider with its retries. One run may then send thirty requests
// where one would do.
const BuiltinProvider = "builtin"

// provider returns how a run reaches the service: flags, and additions to its environment.
//
// The retries of codex's own provider cannot be turned off (codex refuses to have it redefined), so ours is another
// entry with the same address and, by requires_openai_auth, the same credentials. A provider of the user's is copied
// with its credentials. If the address cannot be known, codex selects it: a key goes nowhere but where codex would
// send it.
func (c Codex) provider(e Endpoint) (flags, env []string) {
	env = e.environment()
	if c.BaseURL != "" {
		e = Endpoint{Endpoint: agent.Endpoint{Mode: e.Mode}, provider: "openai", override: c.BaseURL}
	}
	unknown := e.BaseURL == nil && e.override == "" || e.override == "" && e.entry == nil && e.Mode == agent.SignedOut
	switch isolated := c.Provider != BuiltinProvider && !unknown; {
	case isolated && e.entry != nil:
		entry, secrets := withoutSecrets(e.entry)
		maps.Copy(entry, probeEntry)
		if _, named := entry["name"]; !named {
			entry["name"] = "probe"
		}
		if _, set := entry["base_url"]; !set {
			entry["base_url"] = e.BaseURL.String()
		}
		return settings(`model_provider="probe"`, "model_providers.probe="+inlineTOML(entry)), append(env, secrets...)
	case isolated:
		entry := maps.Clone(probeEntry)
		entry["name"], entry["requires_openai_auth"], entry["base_url"] = "probe", true, e.override
		if e.override == "" {
			entry["base_url"] = e.BaseURL.String()
		}
		return settings(`model_provider="probe"`, "model_providers.probe="+inlineTOML(entry)), env
	case e.provider == "openai" && e.override != "":
		// 0.104 reads the variable, 0.169 the setting, and each ignores the other.
		return settings("openai_base_url=" + quoted(e.override)), append(env, "OPENAI_BASE_URL="+e.override)
	case e.provider == "openai":
		return nil, env
	case e.entry == nil || e.builtin:
		return settings("model_provider=" + quoted(e.provider)), env
	}
	entry, secrets := withoutSecrets(e.entry)
	return settings("model_provider="+quoted(e.provider), "model_providers."+e.provider+"="+inlineTOML(entry)),
		append(env, secrets...)
}

// probeEntry is what our provider entry changes: one request, answered or not.
var probeEntry = map[string]any{
	"wire_api":            "responses",
	"request_max_retries": int64(0),
	"stream_max_retries":  int64(0),
	// The default of 300 s outlasts every deadline. A short answer never pauses for 15 s.
	"stream_idle_timeout_ms": int64(15_000),
	"supports_websockets":    false,
}

// sendsNoCredentials reports whether the provider is the user's own and its table names none: then an answer that no
// sign-in arrived is about this table, and not about something on the network path.
func (e Endpoint) sendsNoCredentials() bool {
	if e.Mode != agent.ProviderCredentials {
		return false
	}
	return !slices.ContainsFunc([]string{"env_key", "experimental_bearer_token", "http_headers", "env_http_headers",
		"query_params", "auth", "aws"}, func(key string) bool { return e.entry[key] != nil })
}

// environment returns what the user's codex reads from its .env, and the variables that its provider names. Our
// environment is not passed on to commands as a whole.
func (e Endpoint) environment() []string {
	var env []string
	for _, name := range e.pass {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	return append(env, e.env...)
}

// withoutSecrets returns a provider's table with its headers and its token moved into variables: everyone on the host
// can read a command line.
func withoutSecrets(table map[string]any) (entry map[string]any, env []string) {
	entry = maps.Clone(table)
	variable := func(value string) string {
		name := fmt.Sprintf("NETWATCHD_PROVIDER_%d", len(env))
		env = append(env, name+"="+value)
		return name
	}
	if token, _ := entry["experimental_bearer_token"].(string); token != "" {
		entry["env_key"] = variable(token)
		delete(entry, "experimental_bearer_token")
	}
	headers, _ := entry["http_headers"].(map[string]any)
	if len(headers) == 0 {
		return entry, env
	}
	named, _ := entry["env_http_headers"].(map[string]any)
	all := maps.Clone(named)
	if all == nil {
		all = make(map[string]any)
	}
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		if value, ok := headers[name].(string); ok {
			all[name] = variable(value)
		}
	}
	entry["env_http_headers"] = all
	delete(entry, "http_headers")
	return entry, env
}

// inlineTOML returns a decoded value as it is written on one line.
func inlineTOML(v any) string {
	switch v := v.(type) {
	case string:
		return quoted(v)
	case map[string]any:
		fields := make([]string, 0, len(v))
		for _, key := range slices.Sorted(maps.Keys(v)) {
			name := key
			if !bareKey.MatchString(key) {
				name = quoted(key)
			}
			fields = append(fields, name+"="+inlineTOML(v[key]))
		}
		return "{" + strings.Join(fields, ",") + "}"
	case []any:
		items := make([]string, len(v))
		for i, item := range v {
			items[i] = inlineTOML(item)
		}
		return "[" + strings.Join(items, ",") + "]"
	case float64:
		return strconv.FormatFloat(v, 'e', -1, 64)
	case time.Time:
		return v.Format(time.RFC3339Nano)
	}
	return fmt.Sprint(v)
}

var bareKey = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

// quoted returns a TOML string. The escapes of JSON are also TOML's.
func quoted(s string) string {
	b, _ := json.Marshal(s)
	return string(b)
}
