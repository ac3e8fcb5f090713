// Package clientrules knows how the clients of other programs reach a service: how they resolve its name, choose a
// proxy, trust certificates and order addresses. It is data and pure functions.
//
// netwatchd is a Go program, and its own client forgives what others do not: a service that netwatchd reaches may be
// out of reach for the agent. Each rule was measured with the real programs; docs/clients.md has the table.
package clientrules

import "netwatchd/internal/enum"

// A Client is how one program reaches things.
type Client struct {
	Name     string // for people: "codex"
	Resolver Resolver
	Proxying Proxying
	Trusting Trusting
}

// Codex is the client of OpenAI Codex: a static program, linked with musl.
func Codex() Client {
	return Client{Name: "codex", Resolver: Musl, Proxying: ReqwestProxying, Trusting: CodexTrusting}
}

// Claude is the client of Claude Code: a program made with Bun, linked with glibc.
func Claude() Client {
	return Client{Name: "claude", Resolver: Glibc, Proxying: ClaudeProxying, Trusting: ClaudeTrusting}
}

// Gemini is the client of Gemini CLI: a program for node, whose requests undici makes.
func Gemini() Client {
	return Client{Name: "gemini", Resolver: Glibc, Proxying: GeminiProxying, Trusting: NodeTrusting}
}

// Node is the client of other programs for node, if they use the proxies that the environment names.
func Node() Client {
	return Client{Name: "a program that runs on node", Resolver: Glibc, Proxying: UndiciProxying, Trusting: NodeTrusting}
}

// OpenCode is the client of opencode: a program made with Bun.
func OpenCode() Client {
	return Client{Name: "opencode", Resolver: Glibc, Proxying: BunProxying, Trusting: BunTrusting}
}

// Copilot is the client of GitHub Copilot CLI: a whole node linked with glibc, whose requests a library in Rust makes.
func Copilot() Client {
	return Client{Name: "copilot", Resolver: Glibc, Proxying: CopilotProxying, Trusting: CopilotTrusting}
}

// Curl is the client that a service has if nothing else is known of its programs.
func Curl() Client { return Client{Name: "curl", Resolver: Glibc, Proxying: CurlProxying} }

// A Resolver is the code that looks names up for a program.
type Resolver uint8

const (
	Glibc Resolver = iota // also node, Bun and Python, as most distributions build them
	Musl                  // static programs in Rust, and everything on Alpine Linux
	Go                    // Go's own; netwatchd has this one
)

var resolverNames = []string{Glibc: "glibc", Musl: "musl", Go: "go"}

func (r Resolver) String() string                { return enum.String(resolverNames, r, "resolver") }
func (r Resolver) MarshalText() ([]byte, error)  { return []byte(r.String()), nil }
func (r *Resolver) UnmarshalText(b []byte) error { return enum.Parse(resolverNames, r, b, "resolver") }
