package claude

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"netwatchd/internal/agent"
	"netwatchd/internal/claudeconf"
	"netwatchd/internal/clientrules"
	"netwatchd/internal/userfile"
)

const defaultBaseURL = "https://api.anthropic.com"

// What probes request below a base URL. The first is what claude itself requests to open a connection early; the
// documentation says that the service answers 200 without credentials. Another server need not have it.
const (
	hello    = "api/hello"
	messages = "v1/messages"
)

// Variables of claude.
const (
	configDir  = "CLAUDE_CONFIG_DIR"
	baseURL    = "ANTHROPIC_BASE_URL"
	oauthToken = "CLAUDE_CODE_OAUTH_TOKEN" //nolint:gosec // the name of a variable
)

// system has the settings that an administrator makes. They win over the user's.
const system = "/etc/claude-code"

// setup is what decides how a claude behaves: its files and its environment.
type setup struct {
	agent.Settings

	dir     string // with settings.json and .credentials.json; empty: there is none
	account string // .claude.json
	system  string // the administrator's directory
	env     []string
}

func setupOf(s agent.Settings) setup {
	made := setup{Settings: s, system: system, env: os.Environ()}
	made.dir = s.Home
	if made.dir == "" {
		made.dir = os.Getenv(configDir)
	}
	if made.dir != "" {
		made.account = filepath.Join(made.dir, ".claude.json")
		return made
	}
	if home, err := os.UserHomeDir(); err == nil && home != "/" {
		made.dir, made.account = filepath.Join(home, ".claude"), filepath.Join(home, ".claude.json")
	}
	return made
}

// endpoint is where claude sends its requests, and how.
type endpoint struct {
	agent.Endpoint

	inFile   bool     // the sign-in is in a file of the user's
	helper   string   // the command that prints a key
	cloud    bool     // requests go to Bedrock, Vertex or Foundry
	settings []string // name=value that claude takes from its settings files
}

// endpoint follows claude. A variable in the administrator's settings wins over the user's settings, and that over the
// environment (measured with 2.1.332).
func (s setup) endpoint() endpoint {
	e := endpoint{}
	from := make(map[string]string) // by name of a variable: the file that sets it
	files, notes := claudeconf.Setup{Dir: s.dir, System: s.system}.Files()
	e.Notes = notes
	for _, file := range files {
		for _, entry := range file.Env {
			name, _, _ := strings.Cut(entry, "=")
			from[name] = file.Path
		}
		e.settings = append(e.settings, file.Env...)
		e.SetReach(slices.DeleteFunc(slices.Clone(file.Env), isReadAtStart), file.Path)
		if file.Helper != "" {
			e.helper = file.Helper
		}
	}
	s.signIn(&e)
	s.address(&e, from)
	return e
}

// isReadAtStart reports whether claude reads a variable before it reads its settings, so that it does not count there
// (measured with 2.1.332; NODE_EXTRA_CA_CERTS, CLAUDE_CODE_CERT_STORE and NODE_TLS_REJECT_UNAUTHORIZED do count).
func isReadAtStart(entry string) bool {
	return strings.HasPrefix(entry, "SSL_CERT_FILE=") || strings.HasPrefix(entry, "SSL_CERT_DIR=")
}

// read decodes a file of claude's, if there is one.
func (e *endpoint) read(path string, v any) {
	text, err := userfile.Read(path)
	if err == nil && json.Unmarshal(text, v) != nil {
		err = errors.New("is not valid JSON")
	}
	e.Note(path, err)
}

// variable returns what claude sees.
func (s setup) variable(e *endpoint, name string) string {
	value, _ := clientrules.EnvironmentOf(e.settings, s.env)(name)
	return strings.TrimSpace(value)
}

// The files with a sign-in, as far as they are read.
type (
	credentials struct {
		OAuth struct {
			Token   string `json:"accessToken"`
			Expires int64  `json:"expiresAt"` // Unix time in milliseconds
		} `json:"claudeAiOauth"`
	}
	account struct {
		Key string `json:"primaryApiKey"`
	}
)

// signIn finds the kind of sign-in. Claude prefers them in this order.
func (s setup) signIn(e *endpoint) {
	switch {
	case s.variable(e, "ANTHROPIC_AUTH_TOKEN") != "":
		e.Mode = agent.ProviderCredentials
	case s.variable(e, "ANTHROPIC_API_KEY") != "":
		e.Mode = agent.APIKey
	case e.helper != "":
		e.Mode = agent.APIKey
	case s.variable(e, oauthToken) != "":
		e.Mode = agent.ClaudeSignIn
	case s.hasFile(e):
		e.inFile = true
	default:
		e.Mode = agent.SignedOut
	}
}

func (s setup) hasFile(e *endpoint) bool {
	if s.dir == "" {
		return false
	}
	var file credentials
	var key account
	e.read(s.credentials(), &file)
	e.read(s.account, &key)
	switch {
	case file.OAuth.Token != "":
		e.Mode = agent.ClaudeSignIn
	case key.Key != "":
		e.Mode = agent.APIKey
	default:
		return false
	}
	return true
}

func (s setup) credentials() string { return filepath.Join(s.dir, ".credentials.json") }

// canRenew returns why claude could not save a renewed sign-in, or nil if it can, or if it need not.
func (s setup) canRenew(now time.Time) error {
	var file credentials
	text, err := userfile.Read(s.credentials())
	if errors.Is(err, fs.ErrNotExist) || json.Unmarshal(text, &file) != nil || file.OAuth.Token == "" {
		return nil // a key
	}
	return program.CanRenew(s.credentials(), time.UnixMilli(file.OAuth.Expires), now)
}

// clouds are the variables that send requests elsewhere, to an address that depends on a region and an account.
var clouds = []string{"CLAUDE_CODE_USE_BEDROCK", "CLAUDE_CODE_USE_VERTEX", "CLAUDE_CODE_USE_FOUNDRY"}

func (s setup) address(e *endpoint, from map[string]string) {
	for _, name := range clouds {
		if value := s.variable(e, name); value != "" && value != "0" && value != "false" {
			e.cloud, e.Mode, e.inFile = true, agent.ProviderCredentials, false
			e.Source, e.Key = named(name, from)
			e.Notes = append(e.Notes, e.Origin()+": the address is not known, so only runs of claude test it")
			return
		}
	}
	e.ProbePath = hello
	base := s.variable(e, baseURL)
	if base == "" {
		e.Set(defaultBaseURL, "", "")
		e.KnownAnswer = true
		return
	}
	source, key := named(baseURL, from)
	e.Set(base, source, key)
	e.KnownAnswer = e.BaseURL != nil && e.BaseURL.String() == defaultBaseURL
	if !e.KnownAnswer {
		e.ProbePath = messages
	}
}

// named returns the file that sets a variable and its key there, or else the variable.
func named(name string, from map[string]string) (source, key string) {
	if file := from[name]; file != "" {
		return file, "env." + name
	}
	return name, ""
}

func helperSettings(command string) string {
	text, _ := json.Marshal(map[string]string{"apiKeyHelper": command})
	return string(text)
}
