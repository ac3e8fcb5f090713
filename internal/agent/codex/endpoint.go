package codex

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"netwatchd/internal/agent"
	"netwatchd/internal/clientrules"
	"netwatchd/internal/codexconf"
	"netwatchd/internal/userfile"
)

// Endpoint is where codex sends its requests, and how.
type Endpoint struct {
	agent.Endpoint

	provider string         // the provider's name in the configuration
	entry    map[string]any // the provider's own table, or nil
	builtin  bool           // codex brings the provider along
	override string         // replaces the address of codex's own provider; it may have credentials
	env      []string       // name=value that codex reads from its .env
	envFile  string         // that file
	pass     []string       // variables that the provider's table names
}

// Where the API is, by the kind of sign-in.
const (
	chatGPTBaseURL = "https://chatgpt.com/backend-api/codex"
	apiBaseURL     = "https://api.openai.com/v1"
)

// routingURL is where codex asks for the workspace of a ChatGPT sign-in, before every turn. If the answer is not 200
// and has not the account in it, the turn fails: after 17 s of retries, or never if there is no answer (measured with
// 0.169.0 and 401, 403, 404, 429, 500, 503). Without credentials the service answers 401.
const (
	routingURL  = "https://chatgpt.com" + routingPath
	routingPath = "/backend-api/wham/accounts/check"
)

// What codex reads has changed between versions (each measured by its requests).
var (
	readsBaseURLSetting    = agent.Version{Minor: 116} // openai_base_url in config.toml; 0.113.0 does not
	ignoresBaseURLVariable = agent.Version{Minor: 121} // OPENAI_BASE_URL; 0.118.0 reads it
	readsCAVariable        = agent.Version{Minor: 116} // CODEX_CA_CERTIFICATE; 0.113.0 does not
	asksRouting            = agent.Version{Minor: 156} // routingURL; 0.155.0 does not
)

// refusesProfile is the first version that does not start with profile = "…" in config.toml; 0.130.0 accepts it. Since
// then --profile NAME selects the file NAME.config.toml, and only the command line can do so.
var refusesProfile = agent.Version{Minor: 136}

// codexSetup is what decides how a codex behaves: its files, its environment and its version.
type codexSetup struct {
	home    string        // CODEX_HOME; empty: there is none
	auth    string        // auth.json
	system  string        // /etc/codex
	env     []string      // what codex is started with
	version agent.Version // zero: unknown, taken as the newest
}

const codexSystem = "/etc/codex"

func (c Codex) setup(version agent.Version) codexSetup {
	s := codexSetup{system: codexSystem, env: slices.Concat(os.Environ(), c.Env), version: version}
	if home, err := c.usersHome(); err == nil {
		s.home, s.auth = home, c.authFile(home)
	}
	return s
}

func (s codexSetup) conf() codexconf.Setup {
	return codexconf.Setup{Home: s.home, System: s.system, RefusesProfile: s.since(refusesProfile),
		ReadsPermissions: s.since(readsPermissions), HasProxy: s.since(hasNetworkProxy)}
}

// since reports whether the version is v or later.
func (s codexSetup) since(v agent.Version) bool {
	return s.version == agent.Version{} || s.version.Compare(v) >= 0
}

// Endpoint returns where a codex of this version, run by this user, sends its requests. It reads files and the
// environment, and sends nothing. Path, Provider and BaseURL do not matter.
func (c Codex) Endpoint(version agent.Version) Endpoint {
	return c.setup(version).endpoint()
}

// endpoint follows codex: the profile, then managed_config.toml, the user's config.toml and the system's decide the
// provider. A provider of the user's has its own address. Codex's own has that of the sign-in's kind, unless a setting
// or variable replaces it. All of this was measured with 0.104.0 and 0.169.0, by a proxy that logged what was
// requested.
func (s codexSetup) endpoint() Endpoint {
	e := Endpoint{}
	e.env = s.dotenv(&e)
	c := s.conf().Configuration() // runs of netwatchd are in no project
	e.Notes = append(e.Notes, c.Notes...)
	s.signIn(&e)

	id, source := c.Text("model_provider")
	e.Model, _ = c.Text("model")
	e.provider = cmp.Or(id, "openai")
	switch base, known := s.localServer(e, e.provider); {
	case known:
		e.Mode, e.builtin, e.entry = agent.ProviderCredentials, true, map[string]any{"base_url": base}
		e.Set(base, source, fmt.Sprintf("model_provider = %q", id))
	case e.provider == "openai":
		s.ownProvider(&e, c)
	default:
		s.userProvider(&e, c, source)
	}
	if e.BaseURL != nil {
		e.ProbePath = "responses"
		e.KnownAnswer = e.BaseURL.String() == chatGPTBaseURL // a HEAD gets 405 with Allow: POST
		s.proxy(&e)
	}
	// Without a home, nothing shows who is signed in; most are with ChatGPT. chatgpt_base_url moves the request.
	if moved, _ := c.Text("chatgpt_base_url"); e.KnownAnswer && e.provider == "openai" && moved == "" &&
		(e.Mode == agent.ChatGPT || e.Mode == agent.SignedOut && s.home == "") && s.since(asksRouting) {
		e.Routing, _ = url.Parse(routingURL)
	}
	if file := lastValue(s.env, "CODEX_CA_CERTIFICATE"); file != "" && s.since(readsCAVariable) {
		e.CAFile = file
	}
	return e
}

// variable returns what codex sees: its .env replaces the environment (measured with 0.104.0).
func (s codexSetup) variable(e Endpoint, name string) (value, source string) {
	if value := lastValue(e.env, name); value != "" {
		return value, userfile.Short(filepath.Join(s.home, ".env"))
	}
	return lastValue(s.env, name), ""
}

func (s codexSetup) dotenv(e *Endpoint) []string {
	if s.home == "" {
		return nil
	}
	path := filepath.Join(s.home, ".env")
	entries, err := userfile.ReadDotenv(path)
	e.Note(path, err)
	e.SetReach(entries, userfile.Short(path))
	e.envFile = userfile.Short(path)
	return entries
}

// signIn finds the kind of sign-in.
func (s codexSetup) signIn(e *Endpoint) {
	if strings.TrimSpace(lastValue(s.env, "CODEX_API_KEY")) != "" {
		e.Mode, e.Source = agent.APIKey, "CODEX_API_KEY"
		return
	}
	e.Mode = agent.SignedOut
	if s.auth == "" {
		return
	}
	text, err := userfile.Read(s.auth)
	if err != nil {
		e.Note(s.auth, err)
		return
	}
	var file struct {
		Mode   string          `json:"auth_mode"`
		Key    string          `json:"OPENAI_API_KEY"`
		Tokens json.RawMessage `json:"tokens"`
	}
	if json.Unmarshal(text, &file) != nil {
		e.Note(s.auth, errors.New("is not valid JSON: sign in again with `codex login`"))
		return
	}
	hasTokens := len(file.Tokens) > 0 && string(file.Tokens) != "null"
	mode := strings.ToLower(file.Mode)
	switch {
	case mode == "apikey", mode == "" && file.Key != "":
		e.Mode = agent.APIKey
	case strings.HasPrefix(mode, "chatgpt"), hasTokens:
		e.Mode = agent.ChatGPT
	default:
		return
	}
	e.Source = userfile.Short(s.auth)
}

// modeBase is the address that the sign-in's kind selects. Without a sign-in it is that of a ChatGPT sign-in: a
// sign-in may be in a keyring, and most have that one.
func (e Endpoint) modeBase() string {
	if e.Mode == agent.APIKey {
		return apiBaseURL
	}
	return chatGPTBaseURL
}

func (s codexSetup) ownProvider(e *Endpoint, c codexconf.Configuration) {
	base, source := c.Text("openai_base_url")
	if base != "" && s.since(readsBaseURLSetting) {
		e.override = base
		e.Set(base, source, "openai_base_url")
		return
	}
	base, source = s.variable(*e, "OPENAI_BASE_URL")
	if base != "" && !s.since(ignoresBaseURLVariable) {
		e.override = base
		if source == "" {
			e.Set(base, "OPENAI_BASE_URL", "")
		} else {
			e.Set(base, source, "OPENAI_BASE_URL")
		}
		return
	}
	e.Set(e.modeBase(), e.Source, e.Key)
}

// localServer is the address of a provider that codex brings along for a model on this host.
func (s codexSetup) localServer(e Endpoint, id string) (base string, known bool) {
	port, known := map[string]string{"ollama": "11434", "lmstudio": "1234"}[id]
	if !known {
		return "", false
	}
	return cmp.Or(lastValue(s.env, "CODEX_OSS_BASE_URL"),
		"http://localhost:"+cmp.Or(lastValue(s.env, "CODEX_OSS_PORT"), port)+"/v1"), true
}

func (s codexSetup) userProvider(e *Endpoint, c codexconf.Configuration, source string) {
	key := "model_providers." + e.provider
	table, _ := c.Get("model_providers", e.provider)
	entry, ok := table.(map[string]any)
	if !ok {
		e.Source, e.Key = source, fmt.Sprintf("model_provider = %q", e.provider)
		e.Notes = append(e.Notes, fmt.Sprintf("%s: the address of this provider is not known, so only runs of codex test it",
			e.Origin()))
		return
	}
	e.entry = entry
	e.pass = namedVariables(entry)
	if needsSignIn, _ := entry["requires_openai_auth"].(bool); !needsSignIn {
		// Without an address it has that of codex's own provider, and so the sign-in.
		if base, _ := entry["base_url"].(string); base != "" {
			e.Mode = agent.ProviderCredentials
		}
	}
	if name, _ := entry["env_key"].(string); name != "" {
		if value, _ := s.variable(*e, name); value == "" {
			e.Notes = append(e.Notes, fmt.Sprintf("%s is not set here: %s, %s.env_key needs it", name, source, key))
		}
	}
	if base, source := c.Text("model_providers", e.provider, "base_url"); base != "" {
		e.Set(base, source, key+".base_url")
		return
	}
	e.Set(e.modeBase(), cmp.Or(e.Source, source), e.Key)
}

// namedVariables are the variables whose values a provider's table sends.
func namedVariables(entry map[string]any) []string {
	var names []string
	if name, _ := entry["env_key"].(string); name != "" {
		names = append(names, name)
	}
	headers, _ := entry["env_http_headers"].(map[string]any)
	for _, name := range headers {
		if name, ok := name.(string); ok && name != "" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// proxy is set if codex's .env sets one: the environment's is that of the probes anyway.
func (s codexSetup) proxy(e *Endpoint) {
	isProxy := func(entry string) bool {
		name, value, _ := strings.Cut(entry, "=")
		return value != "" && strings.HasSuffix(strings.ToUpper(name), "_PROXY")
	}
	if !slices.ContainsFunc(e.env, isProxy) {
		return
	}
	choice := codexClient(s.version).Proxying.Choose(clientrules.EnvironmentOf(e.env, s.env), e.BaseURL)
	if choice.Broken != "" || len(choice.Skipped) > 0 {
		e.Note(filepath.Join(s.home, ".env"), errors.New("sets a proxy that is not a URL"))
		return
	}
	e.Proxy, e.ProxySource = "none", e.envFile
	if choice.Proxy != nil {
		e.Proxy = choice.Proxy.String()
	}
}
