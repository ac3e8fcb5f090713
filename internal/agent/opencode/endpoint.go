package opencode

import (
	"maps"
	"slices"
	"strings"

	"netwatchd/internal/agent"
)

// A provider is what opencode knows of a service for models. Addresses and variables are those of the list that is
// built into opencode 1.18.33, from models.dev, and of its libraries.
type provider struct {
	id      string
	base    string   // the address; empty: it depends on an account or a region
	baseEnv string   // the variable that replaces it; empty: there is none
	keys    []string // variables that have a key
	passed  string   // the beginning of the names of all variables that a run needs; empty: those of the key alone

	// path is what probes request below the address, and answer the status without credentials, by the documentation;
	// zero: not known.
	path   string
	answer int
}

// providers are in the order in which they are preferred if nothing names a model and there are several sign-ins.
// opencode's own order then depends on its list of models.
var providers = []provider{
	{id: "anthropic", base: "https://api.anthropic.com/v1", baseEnv: "ANTHROPIC_BASE_URL", keys: []string{"ANTHROPIC_API_KEY"},
		path: "models", answer: 401},
	{id: "openai", base: "https://api.openai.com/v1", baseEnv: "OPENAI_BASE_URL", keys: []string{"OPENAI_API_KEY"},
		path: "models", answer: 401},
	{id: "google", base: "https://generativelanguage.googleapis.com/v1beta",
		keys: []string{"GOOGLE_API_KEY", "GOOGLE_GENERATIVE_AI_API_KEY", "GEMINI_API_KEY"}, path: "models", answer: 403},
	{id: ownProvider, base: "https://opencode.ai/zen/v1", keys: []string{"OPENCODE_API_KEY"}, path: "models"},
	{id: "openrouter", base: "https://openrouter.ai/api/v1", keys: []string{"OPENROUTER_API_KEY"}, path: "models"},
	{id: "deepseek", base: "https://api.deepseek.com", keys: []string{"DEEPSEEK_API_KEY"}, path: "models"},
	{id: "groq", base: "https://api.groq.com/openai/v1", keys: []string{"GROQ_API_KEY"}, path: "models"},
	{id: "mistral", base: "https://api.mistral.ai/v1", keys: []string{"MISTRAL_API_KEY"}, path: "models"},
	{id: "xai", base: "https://api.x.ai/v1", keys: []string{"XAI_API_KEY"}, path: "models"},
	{id: "zai", base: "https://api.z.ai/api/paas/v4", keys: []string{"ZHIPU_API_KEY"}, path: "models"},
	{id: "moonshotai", base: "https://api.moonshot.ai/v1", keys: []string{"MOONSHOT_API_KEY"}, path: "models"},
	// GITHUB_TOKEN is no sign of a sign-in: it is set for git.
	{id: "github-copilot", base: "https://api.githubcopilot.com", path: "models"},
	{id: "azure", keys: []string{"AZURE_API_KEY"}, passed: "AZURE_"},
	{id: "amazon-bedrock", keys: []string{"AWS_BEARER_TOKEN_BEDROCK"}, passed: "AWS_"},
	{id: "google-vertex", keys: []string{"GOOGLE_VERTEX_PROJECT"}, passed: "GOOGLE_"},
}

// ownProvider is opencode's own gateway. It has models that need no sign-in.
const ownProvider = "opencode"

// The sign-in at OpenAI goes to another service than a key.
const chatGPT = "https://chatgpt.com/backend-api/codex"

// providerOf returns what is known of a provider. One that is not in the list has its key in NAME_API_KEY, as most
// have.
func providerOf(id string) provider {
	for _, p := range providers {
		if p.id == id {
			return p
		}
	}
	return provider{id: id, keys: []string{strings.ToUpper(strings.ReplaceAll(id, "-", "_")) + "_API_KEY"}, path: "models"}
}

// endpoint is where opencode sends its requests, and how.
type endpoint struct {
	agent.Endpoint
	settings   settings
	provider   provider
	credential credential // of auth.json; empty: there is none for the provider
	model      string     // provider/model; empty: opencode chooses one of the provider
}

// endpoint follows opencode.
func (s setup) endpoint() endpoint {
	e := endpoint{Endpoint: agent.Endpoint{Mode: agent.SignedOut}}
	e.settings = s.readSettings(&e.Endpoint)
	credentials := s.credentials(&e.Endpoint)
	e.choose(s, credentials)
	e.credential = credentials[e.provider.id]
	e.Mode = e.modeOf(s, e.provider, e.credential)
	e.address(s)
	return e
}

// choose finds the model and its provider: the model of the settings, the one chosen last, one of the only provider in
// the settings, one of the first provider with a sign-in.
func (e *endpoint) choose(s setup, credentials map[string]credential) {
	usable := func(id string) bool { return e.modeOf(s, providerOf(id), credentials[id]) != agent.SignedOut }
	e.model = e.settings.Model
	if s.Model != "" {
		e.model = s.Model
	}
	if e.model == "" {
		for _, recent := range s.recentModels() {
			if id, _, _ := strings.Cut(recent, "/"); usable(id) {
				e.model = recent
				break
			}
		}
	}
	id, _, _ := strings.Cut(e.model, "/")
	configured := slices.Sorted(maps.Keys(e.settings.Providers))
	if id == "" && len(configured) == 1 {
		id = configured[0]
	}
	if id == "" {
		all := configured
		for _, p := range providers {
			all = append(all, p.id)
		}
		all = append(all, slices.Sorted(maps.Keys(credentials))...)
		if i := slices.IndexFunc(all, usable); i >= 0 {
			id = all[i]
		}
	}
	if id == "" {
		id = ownProvider
	}
	e.provider = providerOf(id)
}

// modeOf returns which credentials requests to the provider have. A provider in the settings with an address may need
// none.
func (e *endpoint) modeOf(s setup, p provider, c credential) agent.Mode {
	configured, ok := e.settings.Providers[p.id]
	if slices.Contains(e.settings.Disabled, p.id) ||
		len(e.settings.Enabled) > 0 && !slices.Contains(e.settings.Enabled, p.id) {
		return agent.SignedOut
	}
	hasKey := func(name string) bool { return s.variable(name) != "" }
	switch {
	case c.isUsable() && c.Type == "oauth":
		return agent.ProviderCredentials
	case c.isUsable(), configured.Options.Key != "", slices.ContainsFunc(p.keys, hasKey),
		slices.ContainsFunc(configured.Env, hasKey):
		return agent.APIKey
	case ok && (configured.Options.BaseURL != "" || configured.API != ""):
		return agent.ProviderCredentials
	}
	return agent.SignedOut
}

func (e *endpoint) address(s setup) {
	p, configured := e.provider, e.settings.Providers[e.provider.id]
	key := "provider." + p.id
	switch {
	case s.BaseURL != "":
		e.Set(s.BaseURL, "the probe's opencode.base_url", "")
	case configured.Options.BaseURL != "":
		e.Set(configured.Options.BaseURL, e.settings.from[p.id], key+".options.baseURL")
	case configured.API != "":
		e.Set(configured.API, e.settings.from[p.id], key+".api")
	case p.baseEnv != "" && s.variable(p.baseEnv) != "":
		e.Set(s.variable(p.baseEnv), p.baseEnv, "")
	case p.id == "openai" && e.credential.Type == "oauth":
		e.Set(chatGPT, "", "")
		e.ProbePath = "responses"
		return
	case p.base != "":
		e.Set(p.base, "", "")
	default:
		e.Source, e.Key = "the provider "+p.id, ""
		e.Notes = append(e.Notes, e.Origin()+": the address is not known, so only runs of opencode test it")
		return
	}
	e.ProbePath = p.path
	if e.BaseURL != nil && e.BaseURL.String() == p.base && p.answer != 0 {
		e.KnownAnswer, e.Answer = true, p.answer
	}
}
