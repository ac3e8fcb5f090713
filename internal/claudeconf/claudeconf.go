// Package claudeconf reads the files from which Claude Code takes its settings, merges them, and says what they allow
// the commands that claude runs.
//
// Measured with 2.1.332: a mock of the model asked the real claude for a command that requested several hosts.
package claudeconf

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"netwatchd/internal/redact"
	"netwatchd/internal/userfile"
)

// Setup is where claude's settings files are.
type Setup struct {
	Dir    string // the user's CLAUDE_CONFIG_DIR, else ~/.claude; empty: there is none
	System string // the administrator's: /etc/claude-code
}

// A Policy is what the settings allow the commands that claude runs. The zero value is claude's default: no sandbox.
type Policy struct {
	Enabled  bool   // commands run in the sandbox
	OwnProxy bool   // its proxy is one of the user's, whose rules are not known
	File     string // that decided on Enabled, abbreviated; empty: none does

	Allowed, Denied []Rule
	Unix            bool // commands may open Unix sockets
	Weaker          bool // enableWeakerNestedSandbox: for a container without the right to mount /proc

	Write string // the file to add a rule to: the user's, or the administrator's if only that counts
	Notes []string
}

// A Rule is one entry of a list of hosts.
type Rule struct {
	Pattern string // "example.com", "*.example.com", "*"; with ":443" for one port
	Key     string // "sandbox.network.allowedDomains"
	File    string // that has it, abbreviated
}

func (r Rule) String() string { return fmt.Sprintf("%s in %s", r.Key, r.File) }

// A file is what is read of a settings file. Claude ignores a whole file in which one of these has another type.
type file struct {
	Sandbox struct {
		Enabled *bool `json:"enabled"`
		Weaker  *bool `json:"enableWeakerNestedSandbox"`
		Network struct {
			Allowed     []string `json:"allowedDomains"`
			Denied      []string `json:"deniedDomains"`
			ManagedOnly *bool    `json:"allowManagedDomainsOnly"`
			AllUnix     *bool    `json:"allowAllUnixSockets"`
			HTTPProxy   *int     `json:"httpProxyPort"`
		} `json:"network"`
	} `json:"sandbox"`
	Permissions struct {
		Allow []string `json:"allow"`
		Deny  []string `json:"deny"`
	} `json:"permissions"`

	path    string
	managed bool
}

// Policy reads the files. A scalar of the administrator's wins over the user's; lists are merged. The settings of a
// project are not read, because nobody knows where the agent will work.
func (s Setup) Policy() Policy {
	p := Policy{Write: filepath.Join(s.Dir, "settings.json")}
	files := s.read(&p)
	managedOnly := false
	for _, f := range files {
		if f.managed && f.Sandbox.Network.ManagedOnly != nil {
			managedOnly = *f.Sandbox.Network.ManagedOnly
		}
	}
	for _, f := range files {
		p.add(f, managedOnly && !f.managed)
	}
	if managedOnly {
		p.Write = filepath.Join(s.System, managedFile)
	}
	p.Write = redact.Line(userfile.Short(p.Write), noteLimit)
	return p
}

const managedFile = "managed-settings.json"

// noteLimit is enough for a sentence and the longest path that people have, in bytes.
const noteLimit = 400

// read returns the files that can be read, the one that wins last.
func (s Setup) read(p *Policy) (files []file) {
	var paths []string
	if s.Dir != "" {
		paths = append(paths, filepath.Join(s.Dir, "settings.json"))
	}
	paths = append(paths, filepath.Join(s.System, managedFile))
	more, _ := filepath.Glob(filepath.Join(s.System, "managed-settings.d", "*.json")) // sorted
	for i, path := range append(paths, more...) {
		f := file{path: redact.Line(userfile.Short(path), noteLimit), managed: i > 0 || s.Dir == ""}
		text, err := userfile.Read(path)
		if err == nil {
			err = decode(text, &f)
		}
		p.Notes = append(p.Notes, userfile.Notes(path, err)...)
		if err == nil {
			files = append(files, f)
		}
	}
	return files
}

// decode names the problem without any content of the file, which may hold keys.
func decode(text []byte, f *file) error {
	err := json.Unmarshal(text, f)
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return fmt.Errorf("is ignored by claude: %s is a %s where it must be a %s", wrong.Field, wrong.Value, wrong.Type)
	}
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		line := 1
		for _, c := range text[:min(int(syntax.Offset), len(text))] {
			if c == '\n' {
				line++
			}
		}
		return fmt.Errorf("is not valid JSON at line %d, so claude ignores it", line)
	}
	return err
}

// add merges a file. Without its allowed hosts, if only the administrator's count.
func (p *Policy) add(f file, notAllowed bool) {
	set := func(to *bool, from *bool) bool {
		if from == nil {
			return false
		}
		*to = *from
		return true
	}
	if set(&p.Enabled, f.Sandbox.Enabled) {
		p.File = f.path
	}
	set(&p.Weaker, f.Sandbox.Weaker)
	network := f.Sandbox.Network
	set(&p.Unix, network.AllUnix)
	p.OwnProxy = p.OwnProxy || network.HTTPProxy != nil
	if !notAllowed {
		p.Allowed = slices.Concat(p.Allowed, rules(network.Allowed, "sandbox.network.allowedDomains", f.path),
			rules(fetched(f.Permissions.Allow), "permissions.allow", f.path))
	}
	p.Denied = slices.Concat(p.Denied, rules(network.Denied, "sandbox.network.deniedDomains", f.path),
		rules(fetched(f.Permissions.Deny), "permissions.deny", f.path))
}

func rules(patterns []string, key, file string) (all []Rule) {
	for _, pattern := range patterns {
		all = append(all, Rule{Pattern: pattern, Key: key, File: file})
	}
	return all
}
