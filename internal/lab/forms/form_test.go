package forms

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"

	"netwatchd/internal/lab/responses"
)

// A form is one way in which codex is signed in and told where its service is.
type form struct {
	name  string
	files map[string]string // by path; a relative one is below the CODEX_HOME
	env   []string
	keys  []string // secrets that only the service may see; with a ChatGPT sign-in also its tokens

	chatGPT bool   // there is a ChatGPT sign-in
	local   bool   // the service is on this host
	proxied bool   // requests go through a proxy
	inspect bool   // the service's certificate is signed by an authority that only codex is told of
	turns   string // the URL of the agent's requests
	// everyVersion is set if each test run tries the form with every version.
	everyVersion bool
	// turnsOldest is the same for the oldest version, if it differs; brokenOldest is why that one cannot work with the form.
	turnsOldest, brokenOldest string
}

const (
	apiKey   = "sk-lab-api-key"
	withKey  = `{"OPENAI_API_KEY":"` + apiKey + `"}`
	provider = `model_provider = "mine"
[model_providers.mine]
name = "Mine"
base_url = "https://` + custom + `/v1"
env_key = "MINE_KEY"
`
	chatGPTTurns = "https://" + chatGPT + "/backend-api/codex/responses"
	apiTurns     = "https://" + api + "/v1/responses"
	customTurns  = "https://" + custom + "/v1/responses"
)

// forms are the ten forms that people use. Without a note, every version of codex behaves the same.
var forms = []form{
	{name: "API key", files: map[string]string{"auth.json": withKey}, keys: []string{apiKey}, turns: apiTurns},
	{name: "ChatGPT", chatGPT: true, turns: chatGPTTurns, everyVersion: true},
	{name: "ChatGPT and API key", chatGPT: true, files: map[string]string{"auth.json": withKey}, keys: []string{apiKey}, turns: apiTurns},
	{name: "custom provider", chatGPT: true, files: map[string]string{"config.toml": provider}, env: []string{"MINE_KEY=lab-mine-key"},
		keys: []string{"lab-mine-key"}, turns: customTurns},
	{name: "Azure", files: map[string]string{"config.toml": `model = "gpt-5.5"
model_provider = "azure"
[model_providers.azure]
name = "Azure"
base_url = "https://` + azure + `/openai"
env_key = "AZURE_OPENAI_API_KEY"
query_params = { api-version = "2025-04-01-preview" }
`}, env: []string{"AZURE_OPENAI_API_KEY=lab-azure-key"}, keys: []string{"lab-azure-key"},
		turns: "https://" + azure + "/openai/responses"},
	{name: "ollama", local: true, files: map[string]string{"config.toml": "model_provider = \"ollama\"\nmodel = \"gpt-oss:20b\"\n"},
		turns: "http://localhost:11434/v1/responses"},
	{name: "openai_base_url", files: map[string]string{"auth.json": withKey, "config.toml": "openai_base_url = \"https://" + gateway + "/v1\"\n"},
		keys: []string{apiKey}, turns: "https://" + gateway + "/v1/responses", turnsOldest: apiTurns, everyVersion: true}, // 0.104.0 does not read it
	{name: "/etc/codex/config.toml", files: map[string]string{"/etc/codex/config.toml": provider}, env: []string{"MINE_KEY=lab-mine-key"},
		keys: []string{"lab-mine-key"}, turns: customTurns},
	{name: ".env with a proxy", chatGPT: true, proxied: true,
		files: map[string]string{".env": "HTTPS_PROXY=http://" + proxyAddress + "\n"}, turns: chatGPTTurns},
	{name: "CODEX_CA_CERTIFICATE", inspect: true, files: map[string]string{"auth.json": withKey}, keys: []string{apiKey},
		env: []string{"CODEX_CA_CERTIFICATE=" + officeCA}, turns: apiTurns, brokenOldest: oldest + " does not read the variable"},
}

// officeCA is the certificate of the TLS inspection's authority, on the host.
const officeCA = "/etc/office-ca.pem"

const codexHome = userHome + "/.codex"

// url returns the URL of the agent's requests with this version.
func (f form) url(version string) string {
	if version == oldest && f.turnsOldest != "" {
		return f.turnsOldest
	}
	return f.turns
}

// host returns the name of the service with this version.
func (f form) host(version string) string {
	_, rest, _ := strings.Cut(f.url(version), "://")
	name, _, _ := strings.Cut(rest, "/")
	return name
}

// install writes the form's files on the host, and returns its keys.
func (n *internet) install(f form, version string) (keys []string) {
	n.t.Helper()
	keys = f.keys
	for path, text := range f.files {
		if !filepath.IsAbs(path) {
			path = filepath.Join(codexHome, path)
		}
		n.write(path, text)
	}
	if f.chatGPT {
		keys = append(keys[:len(keys):len(keys)], n.signIn(f.files["auth.json"])...)
	}
	if f.local {
		n.serveOllama()
	}
	n.office.Write(filepath.Join(n.dir, "office.pem"))
	office, err := os.ReadFile(filepath.Join(n.dir, "office.pem"))
	n.must(err)
	n.write(officeCA, string(office))
	if f.inspect {
		n.signedBy.Store(f.host(version), n.office)
	}
	return keys
}

// signIn adds a ChatGPT sign-in to auth.json, and returns its tokens.
func (n *internet) signIn(auth string) (tokens []string) {
	n.t.Helper()
	n.must(responses.SignIn(n.dir))
	text, err := os.ReadFile(filepath.Join(n.dir, "auth.json"))
	n.must(err)
	var file map[string]any
	n.must(json.Unmarshal(text, &file))
	if auth != "" { // codex writes no mode where it finds a key beside the tokens
		delete(file, "auth_mode")
		n.must(json.Unmarshal([]byte(auth), &file))
	}
	text, err = json.Marshal(file)
	n.must(err)
	n.write(codexHome+"/auth.json", string(text))
	for _, name := range []string{"access_token", "refresh_token"} {
		tokens = append(tokens, file["tokens"].(map[string]any)[name].(string))
	}
	return tokens
}
