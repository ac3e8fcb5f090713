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
)

var trustingNames = []string{GoTrusting: "go", CodexTrusting: "codex", OldCodexTrusting: "codex-0.104",
	ClaudeTrusting: "claude"}

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
	case ClaudeTrusting:
		return addedToNode
	}
	return ""
}

const (
	addedToCodex = "CODEX_CA_CERTIFICATE"
	addedToNode  = "NODE_EXTRA_CA_CERTS"
	certFile     = "SSL_CERT_FILE"
	certDir      = "SSL_CERT_DIR"
)

// The names of remarks about trust; see [SpellingsDiffer].
const (
	TrustedByAgentOnly = "ca_trusted_by_agent_only" // the program trusts the certificate's issuer, this host does not
	TrustedByHostOnly  = "ca_trusted_by_host_only"  // this host trusts the certificate's issuer, the program does not
	UnusableBundle     = "ca_bundle_unusable"       // a variable names a file that the program cannot use
)

// A Bundle is a file or directory with certificates, and the variable that names it.
type Bundle struct{ Variable, Path string }

// An UnusableError is why a program cannot use a file.
type UnusableError struct {
	Bundle
	Missing bool   // it does not exist
	Blocks  bool   // opening it never returns: it is a named pipe
	Why     string // "is a directory"
}

func (e *UnusableError) Error() string { return e.Path + " " + e.Why }

// Roots are the authorities that a program trusts.
type Roots struct {
	System    bool // this host's, as they are without any variable
	SystemDir bool // of this host's, only those in its directory, /etc/ssl/certs

	Files   []Bundle // whole, in PEM
	Partial []Bundle // in PEM; what is damaged is skipped
	Dirs    []Bundle
	Hashed  bool // of the files in Dirs, only those count that c_rehash(1) has named

	Unusable []*UnusableError
}

// Differ reports whether a variable makes a difference.
func (r Roots) Differ() bool {
	return !r.System || len(r.Files)+len(r.Partial)+len(r.Dirs)+len(r.Unusable) > 0
}

// Sources are the bundles in use, for people.
func (r Roots) Sources() []Bundle { return slices.Concat(r.Files, r.Partial, r.Dirs) }

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
		r.addToSystem(env, read)
		return r
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

// addToSystem adds what Claude Code finds, to this host's authorities unless both SSL_CERT_FILE and SSL_CERT_DIR are
// set. Of a damaged file the whole certificates count.
func (r *Roots) addToSystem(env Environment, read func(Bundle) *UnusableError) {
	r.System = value(env, certFile) == "" || value(env, certDir) == ""
	for _, name := range []string{addedToNode, certFile} {
		b := Bundle{name, value(env, name)}
		if b.Path == "" {
			continue
		}
		switch unusable := read(b); {
		case unusable == nil:
			r.Files = append(r.Files, b)
		case unusable.Missing || unusable.Blocks:
			r.Unusable = append(r.Unusable, unusable)
		default:
			r.Partial = append(r.Partial, b)
		}
	}
	r.addDirs(value(env, certDir))
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
