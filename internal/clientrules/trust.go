package clientrules

import (
	"slices"
	"strings"

	"netwatchd/internal/enum"
)

// Trusting is which certificate authorities a program trusts, by the variables that it reads. Each was measured with
// the real program; docs/clients.md has the table, and the laboratory asks the programs again.
type Trusting uint8

const (
	GoTrusting    Trusting = iota // crypto/x509: netwatchd's own, and near enough to OpenSSL's, which curl uses
	CodexTrusting                 // codex 0.169.0
	// OldCodexTrusting is that of codex before 0.116, which does not read CODEX_CA_CERTIFICATE: OpenSSL's.
	OldCodexTrusting
	ClaudeTrusting // claude 2.1.332
	BunTrusting    // opencode 1.18.33: the fetch of Bun 1.3.14
	NodeTrusting   // node 20, on which gemini 0.61.0 runs: this host's authorities do not count
	// CopilotTrusting is that of copilot 1.0.102: OpenSSL's, and NODE_EXTRA_CA_CERTS. NODE_TLS_REJECT_UNAUTHORIZED is
	// not read.
	CopilotTrusting
)

var trustingNames = []string{GoTrusting: "go", CodexTrusting: "codex", OldCodexTrusting: "codex-0.104",
	ClaudeTrusting: "claude", BunTrusting: "bun", NodeTrusting: "node", CopilotTrusting: "copilot"}

func (t Trusting) String() string                { return enum.String(trustingNames, t, "trusting") }
func (t Trusting) MarshalText() ([]byte, error)  { return []byte(t.String()), nil }
func (t *Trusting) UnmarshalText(b []byte) error { return enum.Parse(trustingNames, t, b, "trusting") }

// CAVariable returns the variable by which the program is told to trust one more authority; empty: none is known.
func (t Trusting) CAVariable() string {
	switch t {
	case CodexTrusting:
		return addedToCodex
	case OldCodexTrusting:
		return certFile
	case ClaudeTrusting, BunTrusting, NodeTrusting, CopilotTrusting:
		return addedToNode
	}
	return ""
}

const (
	addedToCodex = "CODEX_CA_CERTIFICATE"
	addedToNode  = "NODE_EXTRA_CA_CERTS"
	certFile     = "SSL_CERT_FILE"
	certDir      = "SSL_CERT_DIR"
	claudeStore  = "CLAUDE_CODE_CERT_STORE"
	unverified   = "NODE_TLS_REJECT_UNAUTHORIZED"
)

// The names of remarks about trust; see [SpellingsDiffer].
const (
	TrustedByAgentOnly = "ca_trusted_by_agent_only" // the program trusts the certificate's issuer, this host does not
	TrustedByHostOnly  = "ca_trusted_by_host_only"  // this host trusts the certificate's issuer, the program does not
	UnusableBundle     = "ca_bundle_unusable"       // a variable names a file that the program cannot use
	NotVerified        = "tls_not_verified"         // a variable makes the program accept every certificate
)

// A Bundle is a file or directory with certificates, and the variable that names it.
type Bundle struct{ Variable, Path string }

// An UnusableError is why a program cannot use a file.
type UnusableError struct {
	Bundle
	Missing bool   // it does not exist
	Some    bool   // it is damaged, and some of its certificates can be read
	Blocks  bool   // opening it never returns: it is a named pipe
	Why     string // "is a directory"
}

func (e *UnusableError) Error() string { return e.Path + " " + e.Why }

// Roots are the authorities that a program trusts.
type Roots struct {
	System    bool // this host's, as they are without any variable
	SystemDir bool // of this host's, only those in its directory, /etc/ssl/certs
	BuiltIn   bool // those that Mozilla includes, which are part of the program

	// Unverified is the variable by which the program accepts every certificate; empty: it does not.
	Unverified string

	Files   []Bundle // whole, in PEM
	Partial []Bundle // in PEM; what is damaged is skipped
	Leading []Bundle // in PEM; only what is before the first damaged certificate counts
	Dirs    []Bundle
	Hashed  bool // of the files in Dirs, only those count that c_rehash(1) has named

	Unusable []*UnusableError
	Damaged  []*UnusableError // those of Partial and Leading that read has seen
}

// Differ reports whether a variable makes a difference.
func (r Roots) Differ() bool {
	return !r.System || r.BuiltIn || r.Unverified != "" || len(r.Sources())+len(r.Unusable) > 0
}

// Sources are the bundles in use, for people.
func (r Roots) Sources() []Bundle { return slices.Concat(r.Files, r.Partial, r.Leading, r.Dirs) }

// Blocked returns the file at which the program waits for ever, or nil.
func (r Roots) Blocked() *UnusableError {
	i := slices.IndexFunc(r.Unusable, func(u *UnusableError) bool { return u.Blocks })
	if i < 0 {
		return nil
	}
	return r.Unusable[i]
}

// Roots returns what a program trusts. It calls read for each file that a variable names; read returns nil if all of
// the file is certificates in PEM.
//
// Codex since 0.116 uses two TLS libraries. If CODEX_CA_CERTIFICATE or, without it, SSL_CERT_FILE names a whole file,
// rustls trusts that file and what rustls-native-certs finds: the files of SSL_CERT_FILE and SSL_CERT_DIR if one of
// them is set, even to nothing, and otherwise this host's. A file that is not whole (missing, a directory, empty, with
// one certificate damaged or cut off) is ignored without a word, and the rest is left to OpenSSL, as in 0.104.0.
func (t Trusting) Roots(env Environment, read func(Bundle) *UnusableError) Roots {
	var r Roots
	switch t {
	case GoTrusting:
		return Roots{System: true}
	case ClaudeTrusting:
		r.addForClaude(env, read)
		return r
	case BunTrusting:
		r.addForBun(env, read)
		return r
	case NodeTrusting:
		r.BuiltIn, r.Unverified = true, acceptsAll(env)
		r.addReadable(&r.Leading, Bundle{addedToNode, value(env, addedToNode)}, read)
		return r
	case CopilotTrusting:
		r.addReadable(&r.Leading, Bundle{addedToNode, value(env, addedToNode)}, read)
	case CodexTrusting:
		custom := Bundle{addedToCodex, value(env, addedToCodex)}
		if custom.Path == "" {
			custom = Bundle{certFile, value(env, certFile)}
		}
		if custom.Path != "" && r.use(custom, read) {
			r.addNative(env)
			return r
		}
	}
	r.addOpenSSL(env, read)
	return r
}

// addForClaude adds what Claude Code finds: its own list, this host's unless both SSL_CERT_FILE and SSL_CERT_DIR are
// set, and the files of these and of NODE_EXTRA_CA_CERTS. CLAUDE_CODE_CERT_STORE=bundled leaves it its own list and
// the file of NODE_EXTRA_CA_CERTS. Of a damaged file the whole certificates count.
func (r *Roots) addForClaude(env Environment, read func(Bundle) *UnusableError) {
	r.BuiltIn, r.Unverified = true, acceptsAll(env)
	r.addReadable(&r.Partial, Bundle{addedToNode, value(env, addedToNode)}, read)
	if strings.TrimSpace(value(env, claudeStore)) == "bundled" {
		return
	}
	r.System = value(env, certFile) == "" || value(env, certDir) == ""
	r.addReadable(&r.Partial, Bundle{certFile, value(env, certFile)}, read)
	r.addDirs(value(env, certDir))
}

// acceptsAll returns the variable by which node, and Bun likewise, accept every certificate, if it is set so.
func acceptsAll(env Environment) string {
	if value(env, unverified) == "0" {
		return unverified
	}
	return ""
}

// addReadable adds a file for a program that uses what it can read of a damaged one, to list.
func (r *Roots) addReadable(list *[]Bundle, b Bundle, read func(Bundle) *UnusableError) {
	if b.Path == "" {
		return
	}
	switch unusable := read(b); {
	case unusable == nil:
		r.Files = append(r.Files, b)
	case unusable.Some:
		*list, r.Damaged = append(*list, b), append(r.Damaged, unusable)
	default:
		r.Unusable = append(r.Unusable, unusable)
	}
}

// addForBun adds what Bun finds, its own list among it. A file counts as a whole or not at all. SSL_CERT_DIR takes
// the place of this host's authorities as soon as it is set, even to nothing.
func (r *Roots) addForBun(env Environment, read func(Bundle) *UnusableError) {
	for _, name := range []string{addedToNode, certFile} {
		if b := (Bundle{name, value(env, name)}); b.Path != "" {
			r.use(b, read)
		}
	}
	dirs, isSet := env(certDir)
	r.System, r.Hashed, r.BuiltIn, r.Unverified = !isSet, true, true, acceptsAll(env)
	r.addDirs(dirs)
}

func value(env Environment, name string) string {
	value, _ := env(name)
	return value
}

// use adds a file if it is whole.
func (r *Roots) use(b Bundle, read func(Bundle) *UnusableError) bool {
	if unusable := read(b); unusable != nil {
		r.Unusable = append(r.Unusable, unusable)
		return false
	}
	r.Files = append(r.Files, b)
	return true
}

// addNative adds what rustls-native-certs 0.8 finds.
func (r *Roots) addNative(env Environment) {
	file, isFileSet := env(certFile)
	dirs, isDirSet := env(certDir)
	r.System = !isFileSet && !isDirSet
	if file != "" && file != r.Files[0].Path {
		r.Partial = append(r.Partial, Bundle{certFile, file})
	}
	r.addDirs(dirs)
}

func (r *Roots) addDirs(list string) {
	for dir := range strings.SplitSeq(list, ":") {
		if dir != "" {
			r.Dirs = append(r.Dirs, Bundle{certDir, dir})
		}
	}
}

// addOpenSSL adds what OpenSSL finds by openssl-probe: one file and one directory, each this host's if its variable is
// not set or names nothing. A file that exists and is not whole takes the place of this host's all the same. On Debian
// the directory holds the same authorities, so SSL_CERT_FILE adds to them.
func (r *Roots) addOpenSSL(env Environment, read func(Bundle) *UnusableError) {
	r.Hashed = true
	file := Bundle{certFile, value(env, certFile)}
	r.System = file.Path == ""
	if !r.System {
		known := slices.ContainsFunc(r.Unusable, func(u *UnusableError) bool { return u.Bundle == file })
		if known || !r.use(file, read) {
			r.System = r.Unusable[len(r.Unusable)-1].Missing
		}
	}
	dirs := value(env, certDir)
	r.SystemDir = dirs == ""
	r.addDirs(dirs)
}
