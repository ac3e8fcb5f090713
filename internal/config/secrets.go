package config

import (
	"fmt"
	"net/url"
	"slices"

	"netwatchd/internal/redact"
	"netwatchd/internal/strictyaml"
)

// A plainSecret is a secret that stands in the configuration itself.
type plainSecret struct {
	path   string // where
	value  string
	advice string // what to do instead; empty: nothing, it was read from a file
}

const (
	adviseHeader = "put it in a file or an environment variable: {file: /path} or {env: NAME}"
	adviseURL    = "make this file readable only by netwatchd"
	advisePush   = "send it as a header instead, from a file or an environment variable, " +
		"or make this file readable only by netwatchd"
	adviseCommand = "let the command read it from a file or an environment variable"
)

// plainSecrets returns the secrets that stand in the configuration itself, in its order.
func (c *Config) plainSecrets() (all []plainSecret) {
	add := func(path, advice string, secrets ...string) {
		for _, s := range secrets {
			if s != "" {
				all = append(all, plainSecret{path, s, advice})
			}
		}
	}
	for _, x := range c.Controls {
		add("controls: "+strictyaml.Quote(x.Name)+": url", adviseURL, redact.InURL(x.URL)...)
	}
	for _, s := range c.Services {
		for _, p := range s.Probes {
			path := fmt.Sprintf("services: %s: probes: %s: ", strictyaml.Quote(s.Name), strictyaml.Quote(p.Name))
			add(path+"target", adviseURL, redact.InURL(p.URL)...)
			_, secrets := redact.Args(p.Command)
			add(path+"command", adviseCommand, secrets...)
			add(path+p.Preset+".base_url", adviseURL, inURLText(p.Codex.BaseURL)...)
			if p.ProxyFile != "" {
				add(path+"proxy_file", "", inURLText(p.Proxy)...)
			} else {
				add(path+"proxy", adviseURL, inURLText(p.Proxy)...)
			}
		}
		if s.Sandbox != nil {
			_, secrets := redact.Args(s.Sandbox.Command)
			add("services: "+strictyaml.Quote(s.Name)+": sandbox.command", adviseCommand, secrets...)
		}
	}
	for _, r := range slices.Concat(c.Push.RemoteWrite, c.Push.OTLP) {
		path := "push: " + strictyaml.Quote(r.Name) + ": "
		add(path+"url", advisePush, inURLText(r.URL)...)
		for _, h := range r.Headers {
			if redact.Named(h.Name, h.Value) != h.Value {
				add(path+"headers."+h.Name, adviseHeader, h.Value)
			}
		}
	}
	return all
}

func inURLText(text string) []string {
	u, err := url.Parse(text)
	if err != nil {
		return nil
	}
	return redact.InURL(u)
}

// minPlainSecret is the length from which a secret in the file is removed wherever it appears. A shorter one, like
// ?key=open, is a word: removing it would tear holes into everything. Where it stands after its name, it is removed
// too.
const minPlainSecret = 8

// PlainSecrets returns the secrets that stand in the configuration itself, so that they can be removed from what is
// logged and kept.
func (c *Config) PlainSecrets() []string {
	var all []string
	for _, s := range c.plainSecrets() {
		if len(s.value) >= minPlainSecret {
			all = append(all, s.value)
		}
	}
	return all
}

// Warnings returns what is valid but unwise, with what to do instead: each secret that stands in the file, permissions
// that are too wide, and listening to others without authentication.
func (c *Config) Warnings() []string {
	var all []string
	for _, s := range c.plainSecrets() {
		if s.advice != "" {
			all = append(all, fmt.Sprintf("%s: %s: holds a secret: %s", c.Origin(), s.path, s.advice))
		}
	}
	all = slices.Compact(all)
	for _, w := range c.PermissionWarnings() {
		all = append(all, w.String())
	}
	if exposed := c.Web.ExposureWarning(c.Web.Listen); exposed != "" {
		all = append(all, exposed)
	}
	return all
}
