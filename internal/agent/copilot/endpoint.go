package copilot

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"netwatchd/internal/agent"
	"netwatchd/internal/clientrules"
	"netwatchd/internal/probe/execprobe"
	"netwatchd/internal/userfile"
)

// Variables of copilot.
const (
	homeVariable = "COPILOT_HOME"
	providerURL  = "COPILOT_PROVIDER_BASE_URL" // a model of the user's own: nothing is requested of GitHub
	apiURL       = "COPILOT_API_URL"
)

// tokens are the variables with a token, in the order in which copilot prefers them, all before its own sign-in.
var tokens = []string{"COPILOT_GITHUB_TOKEN", "GH_TOKEN", "GITHUB_TOKEN"}

// hosts are the variables that name another GitHub than github.com.
var hosts = []string{"COPILOT_GH_HOST", "GH_HOST"}

const (
	gitHub         = "github.com"
	dataResidency  = ".ghe.com"
	defaultBaseURL = "https://api.githubcopilot.com"
	ownHosts       = ".githubcopilot.com"
)

// What probes request, without a sign-in. VS Code's "Copilot Chat Diagnostics" asks for _ping too; it is answered with
// 200. GitHub allows an address 60 requests an hour without a sign-in; rate_limit is the one that does not count (by
// its documentation), so it stands for copilot_internal/user, which copilot requests when it starts.
const (
	pingPath  = "_ping"
	limitPath = "rate_limit"
)

// setup is what decides how a copilot behaves.
type setup struct {
	dir   string // with config.json and settings.json; empty: there is none
	cache string // copilot-user-cache.json; empty: there is none
	env   []string
}

func setupOf(s agent.Settings) setup {
	made := setup{env: os.Environ()}
	made.dir = execprobe.FirstNonBlank(s.Home, os.Getenv(homeVariable))
	home, err := os.UserHomeDir()
	if err != nil || home == "/" {
		return made
	}
	made.cache = filepath.Join(home, ".cache/copilot/copilot-user-cache.json")
	if made.dir == "" {
		made.dir = filepath.Join(home, ".copilot")
	}
	return made
}

// variable returns the first of the variables that is not empty, and its name.
func (s setup) variable(names ...string) (value, name string) {
	for _, name := range names {
		value, _ := clientrules.EnvironmentOf(s.env)(name)
		if value = strings.TrimSpace(value); value != "" {
			return value, name
		}
	}
	return "", ""
}

// endpoint follows copilot (measured with 1.0.102).
func (s setup) endpoint() agent.Endpoint {
	e := agent.Endpoint{Mode: agent.SignedOut}
	s.proxy(&e)
	if base, name := s.variable(providerURL); base != "" {
		e.Mode = agent.ProviderCredentials
		e.Set(base, name, "")
		return e
	}
	s.signIn(&e)
	s.address(&e)
	return e
}

// config is what is read of config.json, which copilot writes. Older versions had other names in it (public).
type config struct {
	Users    []account `json:"loggedInUsers"`
	Last     *account  `json:"lastLoggedInUser"`
	OldUsers []account `json:"logged_in_users"`
	OldLast  *account  `json:"last_logged_in_user"`
}

type account struct {
	Login string `json:"login"`
}

// signIn finds the kind of sign-in. A token of copilot's own sign-in is in the keyring or in config.json; its user is
// in config.json in any case. A sign-in of gh, which copilot asks gh for, is not looked for.
func (s setup) signIn(e *agent.Endpoint) {
	if token, _ := s.variable(tokens...); token != "" {
		e.Mode = agent.GitHubSignIn
		return
	}
	var file config
	s.read(e, "config.json", &file)
	if len(file.Users)+len(file.OldUsers) > 0 || file.Last != nil || file.OldLast != nil {
		e.Mode = agent.GitHubSignIn
	}
}

// proxy takes the proxy of settings.json, which counts if the environment has none.
func (s setup) proxy(e *agent.Endpoint) {
	var file struct {
		Proxy string `json:"proxyUrl"`
	}
	path := s.read(e, "settings.json", &file)
	inEnvironment, _ := s.variable("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy")
	if file.Proxy != "" && inEnvironment == "" {
		e.SetReach([]string{"HTTPS_PROXY=" + file.Proxy, "HTTP_PROXY=" + file.Proxy}, userfile.Short(path))
	}
}

// read decodes a file of copilot's with comments, if there is one.
func (s setup) read(e *agent.Endpoint, name string, v any) (path string) {
	if s.dir == "" {
		return ""
	}
	path = filepath.Join(s.dir, name)
	e.Note(path, readCommented(path, v))
	return path
}

func readCommented(path string, v any) error {
	text, err := userfile.Read(path)
	if err == nil && json.Unmarshal(userfile.WithoutComments(text), v) != nil {
		return errors.New("is not valid JSON")
	}
	return err
}

// address sets where the requests for a model go, and what is requested of GitHub before.
func (s setup) address(e *agent.Endpoint) {
	host, byVariable := s.variable(hosts...)
	host = strings.ToLower(strings.TrimPrefix(strings.TrimPrefix(host, "https://"), "http://"))
	e.ProbePath = pingPath
	base, name := s.variable(apiURL)
	switch {
	case base != "":
		e.Set(base, name, "")
	case host != "" && host != gitHub && !strings.HasSuffix(host, dataResidency):
		e.Source = byVariable
		e.Notes = append(e.Notes, byVariable+" is not "+gitHub+" or a host below ghe.com: the address is not known")
		return
	case strings.HasSuffix(host, dataResidency):
		e.Set("https://copilot-api."+host, byVariable, "") // by the documentation
	default:
		e.Set(defaultBaseURL, "", "")
		if plan := s.cached(); plan != "" {
			e.Set(plan, userfile.Short(s.cache), "endpoints.api")
		}
	}
	if e.BaseURL == nil {
		return
	}
	routing := agent.Endpoint{}
	routing.Set("https://api."+execprobe.FirstNonBlank(host, gitHub)+"/"+limitPath, "", "")
	e.Routing = routing.BaseURL
	e.KnownAnswer = e.BaseURL.Scheme == "https" && e.BaseURL.Port() == "" && e.BaseURL.Path == "" &&
		strings.HasSuffix(strings.ToLower(e.BaseURL.Hostname()), ownHosts)
}

// users is what is read of the file in which copilot keeps GitHub's answers about its users. The answer names the
// address of the user's plan: api.individual.githubcopilot.com, api.business…, api.enterprise….
type users struct {
	Users map[string]struct {
		At       time.Time `json:"retrievedAt"`
		Response struct {
			Endpoints struct {
				API string `json:"api"`
			} `json:"endpoints"`
		} `json:"response"`
	} `json:"copilotUserCache"`
}

// cached returns the address that GitHub named last, or "" if there is none. The file is copilot's to delete and to
// change: what cannot be read is no fault. Its address counts only if it is one of copilot's own.
func (s setup) cached() (base string) {
	var file users
	if s.cache == "" || readCommented(s.cache, &file) != nil {
		return ""
	}
	var latest time.Time
	for _, user := range file.Users {
		u := user.Response.Endpoints.API
		if user.At.After(latest) && isOwn(u) {
			base, latest = u, user.At
		}
	}
	return base
}

func isOwn(base string) bool {
	var e agent.Endpoint
	e.Set(base, "", "")
	return e.BaseURL != nil && e.BaseURL.Scheme == "https" && slices.Contains([]string{"", "/"}, e.BaseURL.Path) &&
		strings.HasSuffix(strings.ToLower(e.BaseURL.Hostname()), ownHosts)
}
