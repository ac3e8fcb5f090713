// Package claudeconf reads the files from which Claude Code takes its settings, merges them, and says what they allow
// the commands that claude runs.
//
// Measured with 2.1.332: a mock of the model asked the real claude for a command that requested several hosts, and was
// itself at the address of one settings file or another.
package claudeconf

import (
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

// Policy reads the files. A scalar of the administrator's wins over the user's; lists are merged. The settings of a
// project are not read, because nobody knows where the agent will work.
func (s Setup) Policy() Policy {
	p := Policy{Write: filepath.Join(s.Dir, "settings.json")}
	files, notes := s.Files()
	p.Notes = notes
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

// add merges a file. Without its allowed hosts, if only the administrator's count.
func (p *Policy) add(f File, notAllowed bool) {
	set := func(to *bool, from *bool) bool {
		if from == nil {
			return false
		}
		*to = *from
		return true
	}
	if set(&p.Enabled, f.Sandbox.Enabled) {
		p.File = f.Path
	}
	set(&p.Weaker, f.Sandbox.Weaker)
	network := f.Sandbox.Network
	set(&p.Unix, network.AllUnix)
	p.OwnProxy = p.OwnProxy || network.HTTPProxy != nil
	if !notAllowed {
		p.Allowed = slices.Concat(p.Allowed, rules(network.Allowed, "sandbox.network.allowedDomains", f.Path),
			rules(fetched(f.Permissions.Allow), "permissions.allow", f.Path))
	}
	p.Denied = slices.Concat(p.Denied, rules(network.Denied, "sandbox.network.deniedDomains", f.Path),
		rules(fetched(f.Permissions.Deny), "permissions.deny", f.Path))
}

func rules(patterns []string, key, file string) (all []Rule) {
	for _, pattern := range patterns {
		all = append(all, Rule{Pattern: pattern, Key: key, File: file})
	}
	return all
}
