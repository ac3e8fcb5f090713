package clientrules_test

import (
	"path"
	"slices"
	"strings"
	"testing"

	"netwatchd/internal/clientrules"
)

// files are those of testdata/trust.tsv: the authorities in each, and what is wrong with it.
var files = map[string]struct{ holds, wrong string }{
	"X": {holds: "X"}, "Y": {holds: "Y"}, "S": {holds: "S"}, "XTRUSTED": {holds: "X"},
	"XHALF": {"X", "is cut off"}, "X+BROKEN": {"X", "is damaged"}, "BROKEN+X": {"X", "is damaged"},
	"EMPTY": {wrong: "is empty"}, "GARBAGE": {wrong: "is not PEM"}, "DIR": {wrong: "is a directory"},
	"NONE": {wrong: "does not exist"}, "FIFO": {wrong: "is a named pipe"},
}

// dirs are those of testdata/trust.tsv: the authorities in each, and those in files named by a hash.
var dirs = map[string]struct{ holds, hashed string }{
	"XDIR": {"X", "X"}, "XUNHASHED": {"X", ""}, "YDIR": {"Y", "Y"},
}

func read(b clientrules.Bundle) *clientrules.UnusableError {
	f := files[b.Path]
	if f.wrong == "" {
		return nil
	}
	return &clientrules.UnusableError{Bundle: b, Why: f.wrong, Missing: b.Path == "NONE", Some: f.holds != "",
		Blocks: b.Path == "FIFO"}
}

// trusts reports whether a program with these roots trusts an authority, on a host as testdata/trust.tsv has it.
func trusts(r clientrules.Roots, authority string) bool {
	var all []string
	if r.System {
		all = append(all, "S", "Y")
	}
	if r.SystemDir {
		all = append(all, "S")
	}
	for _, b := range slices.Concat(r.Files, r.Partial) {
		all = append(all, files[b.Path].holds)
	}
	for _, b := range r.Leading {
		if b.Path != "BROKEN+X" {
			all = append(all, files[b.Path].holds)
		}
	}
	for _, b := range r.Dirs {
		if r.Hashed {
			all = append(all, dirs[b.Path].hashed)
		} else {
			all = append(all, dirs[b.Path].holds)
		}
	}
	if r.Unverified != "" {
		return true
	}
	return r.Blocked() == nil && slices.Contains(all, authority)
}

// notFollowed are the rows in which a program was seen to do otherwise, and why the rules do not say so.
var notFollowed = map[string]string{
	"claude X SSL_CERT_FILE=BROKEN+X":       "claude stops at the first damaged certificate; the rules have no order",
	"claude X SSL_CERT_FILE=XTRUSTED":       "claude skips OpenSSL's own format, which no company hands out",
	"claude X NODE_EXTRA_CA_CERTS=XTRUSTED": "the same",
	"bun X NODE_EXTRA_CA_CERTS=XTRUSTED":    "the same",
	"node X NODE_EXTRA_CA_CERTS=XTRUSTED":   "the same",
	"claude S CODEX_CA_CERTIFICATE=":        "claude does not read the variable: the run failed for another reason",
	"claude S CODEX_CA_CERTIFICATE=NONE":    "the same",
}

// The rules trust what the real programs were seen to trust.
func TestRoots(t *testing.T) {
	header, rows := table(t, "testdata/trust.tsv")
	checked := 0
	for _, row := range rows {
		for i, name := range header[2:] {
			var rules clientrules.Trusting
			if rules.UnmarshalText([]byte(name)) != nil {
				continue // a program whose rules are not ours to know
			}
			if row[i+2] == "" || notFollowed[name+" "+row[0]+" "+row[1]] != "" {
				continue
			}
			checked++
			r := rules.Roots(environment(row[1]), read)
			if got := trusts(r, row[0]); got != (row[i+2] == "yes") {
				t.Errorf("%s: %s with %s: trusted is %t, want %s: %+v", name, row[0], row[1], got, row[i+2], r)
			}
			if !r.Differ() && !trusts(r, "S") {
				t.Errorf("%s with %s: trusts less than this host, and says that it does not differ", name, row[1])
			}
		}
	}
	if checked < 400 {
		t.Errorf("only %d were compared", checked)
	}
}

func TestUnusableBundles(t *testing.T) {
	for env, want := range map[string]string{
		"CODEX_CA_CERTIFICATE=XHALF":                    "CODEX_CA_CERTIFICATE XHALF is cut off",
		"CODEX_CA_CERTIFICATE=NONE|SSL_CERT_FILE=EMPTY": "CODEX_CA_CERTIFICATE NONE does not exist, SSL_CERT_FILE EMPTY is empty",
		"SSL_CERT_FILE=DIR":                             "SSL_CERT_FILE DIR is a directory", // once, though it is asked for twice
		"SSL_CERT_FILE=X|SSL_CERT_DIR=NONE":             "",
	} {
		var got []string
		for _, u := range clientrules.CodexTrusting.Roots(environment(env), read).Unusable {
			got = append(got, u.Variable+" "+path.Base(u.Error()))
		}
		if text := strings.Join(got, ", "); text != want {
			t.Errorf("%s: got %q, want %q", env, text, want)
		}
	}
}

func TestCAVariable(t *testing.T) {
	for trusting, want := range map[clientrules.Trusting]string{
		clientrules.CodexTrusting: "CODEX_CA_CERTIFICATE", clientrules.OldCodexTrusting: "SSL_CERT_FILE",
		clientrules.ClaudeTrusting: "NODE_EXTRA_CA_CERTS", clientrules.GoTrusting: "",
		clientrules.BunTrusting: "NODE_EXTRA_CA_CERTS", clientrules.NodeTrusting: "NODE_EXTRA_CA_CERTS",
		clientrules.CopilotTrusting: "NODE_EXTRA_CA_CERTS",
	} {
		if got := trusting.CAVariable(); got != want {
			t.Errorf("%v: got %q, want %q", trusting, got, want)
		}
	}
}

// TestCopilotTrusts: copilot 1.0.102 was seen to trust a CA in each of these.
func TestCopilotTrusts(t *testing.T) {
	read := func(clientrules.Bundle) *clientrules.UnusableError { return nil }
	for env, want := range map[string]string{"NODE_EXTRA_CA_CERTS=/x.pem": "/x.pem", "SSL_CERT_FILE=/x.pem": "/x.pem",
		"SSL_CERT_DIR=/certs": "/certs", "NODE_TLS_REJECT_UNAUTHORIZED=0": ""} {
		roots := clientrules.CopilotTrusting.Roots(environment(env), read)
		var got strings.Builder
		for _, source := range roots.Sources() {
			got.WriteString(source.Path)
		}
		if got.String() != want || roots.Unverified != "" || roots.BuiltIn {
			t.Errorf("%s: %+v", env, roots)
		}
	}
}
