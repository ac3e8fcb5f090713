// Package redact takes secrets out of text before it is kept or shown.
//
// An incident record is attached to bug reports: a token in it is a token on the internet. Where in doubt, what looks like
// a secret goes; a record that says too little can be asked about, one that says too much cannot be taken back.
package redact

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// Mark stands where a secret was.
const Mark = "[secret]"

// A pattern finds secrets; with is what stands there instead, as in [regexp.Regexp.ReplaceAllString]. It is tried, and compiled, only
// for texts that hold one of the signs, in lower case: a millisecond for a line of text would be too long otherwise, and nearly no
// line holds any.
type pattern struct {
	find  func() *regexp.Regexp
	with  string
	signs []string
}

// lazily compiles an expression when it is first needed: a daemon whose services are well needs few of these, and together they
// take a third of a megabyte.
func lazily(expression string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expression) })
}

// What the name of a secret ends in: OPENAI_API_KEY, refresh_token, x-api-key, accesstoken. Some words do so by themselves
// only, or "compat" would hold a personal access token. Plurals are left out: "input_tokens" is a price.
const (
	anywhere = `(?:api[-_]?key|access[-_]?key|private[-_]?key|secret[-_]?key|secret|secrets|token|password|passwd|passphrase|credential|credentials)`
	alone    = `(?:authorization|cookie|encryption[-_]?key|signing[-_]?key|passcode|pwd|session[-_]?id|sessionid|signature|bearer|jwt|pat|csrf|xsrf)`
	names    = `(?:[A-Za-z0-9_.-]*` + anywhere + `|(?:[A-Za-z0-9_.-]*[-_.])?` + alone + `)`
)

// patterns are tried in order: those that know where a secret ends come before those that guess.
var patterns = []pattern{
	// A key in PEM, also where its end was cut off.
	{lazily(`(?s)-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----.*?(?:-----END [A-Z0-9 ]*PRIVATE KEY-----|\z)`), Mark, []string{"private key"}},
	// Credentials in a URL; the user's name goes as well, since tokens are put there. The last @ before the path ends them.
	{lazily(`([A-Za-z][A-Za-z0-9+.-]*:\\?/\\?/)[^\s/?#"'<>\x60]*@`), "${1}" + Mark + "@", []string{"@"}},
	// Cookies and authorization, to the end of the header: they hold blanks, semicolons and several values.
	{lazily(`(?i)\b((?:set-)?cookie2?|(?:proxy-)?authorization)(["']?\s*[:=]\s*)(?:\[secret\]|\\?"[^"\n]*"?|'[^'\n]*'?|[^\n"']+)`), "${1}${2}" + Mark, []string{"cookie", "authorization"}},
	// Schemes of authorization wherever they stand. "Basic authentication" is no secret: the others must hold a digit or end
	// in padding.
	{lazily(`(?i)\b(bearer)(\s+|\+)["']?[A-Za-z0-9._~+/=-]{8,}["']?`), "${1}${2}" + Mark, []string{"bearer"}},
	{lazily(`(?i)\b(basic|digest|negotiate|token)(\s+)["']?[A-Za-z._~+/-]*[0-9=][A-Za-z0-9._~+/=-]{5,}["']?`), "${1}${2}" + Mark, []string{"basic", "digest", "negotiate", "token"}},
	// Keys and tokens that show what they are.
	{lazily(`\bsk-[A-Za-z0-9_-]{4,}[A-Za-z0-9._*~+/=-]*`), Mark, []string{"sk-"}},
	{lazily(`\beyJ[A-Za-z0-9_-]{5,}(?:\.[A-Za-z0-9_-]*){0,4}`), Mark, []string{"eyj"}}, // a JWT, or the first part of one
	{lazily(`\b(?:gh[pousr]_|github_pat_|glpat-|npm_|xox[a-z]-|sess-|rt_|rt\.|AIza|ya29\.|hf_|pypi-|dop_v1_|shp[a-z]{2}_)[A-Za-z0-9._-]{6,}`), Mark, []string{"gh", "glpat-", "npm_", "xox", "sess-", "rt_", "rt.", "aiza", "ya29.", "hf_", "pypi-", "dop_v1_", "shp"}},
	{lazily(`\b(?:AKIA|ASIA)[A-Z0-9]{12,}`), Mark, []string{"akia", "asia"}},
	// name = value, name: value, "name": "value", --name value, ?name=value&: by the end of the name.
	{lazily(`(?i)(\b` + names + `\\?["']?\s*(?:=>|[:=])\s*)` + quotedValue), "${1}" + Mark, nameSigns},
	{lazily(`(?i)(\B--?` + names + `\s+)` + quotedValue), "${1}" + Mark, nameSigns},
	{lazily(`(?i)(["']--?` + names + `["']\s*,\s*)` + quotedValue), "${1}" + Mark, nameSigns},
	{lazily(`(?i)([?&;](?:key|sig|auth|code|state)=)[^&\s"'#;]+`), "${1}" + Mark, []string{"key=", "sig=", "auth=", "code=", "state="}},
	{lazily(`(?i)(\b(?:key|auth)\s*[:=]\s*)` + longValue), "${1}" + Mark, []string{"key", "auth"}},
}

// A value ends where its quotes do, at a blank, or at what separates it from the next. An escaped quote does not end one.
const (
	quotedValue = `(?:\[secret\]|\\"[^"\\\n]*(?:\\")?|"(?:[^"\\\n]|\\.)*"?|'[^'\n]*'?|[^\s"',;&})\]]+)`
	longValue   = `["']?[A-Za-z0-9._~+/=-]{16,}["']?`
)

// nameSigns are in every name that names has.
var nameSigns = []string{"key", "secret", "token", "passw", "passphrase", "credential", "authorization", "cookie", "passcode",
	"pwd", "session", "signature", "bearer", "jwt", "pat", "csrf", "xsrf"}

// String is text without what looks like a secret, or is one of this process's own environment, in whatever form.
func String(text string) string { return withoutEncoded(plain(text)) }

// plain takes out what stands there as it is.
func plain(text string) string {
	low := strings.ToLower(text)
	for _, p := range patterns {
		if holds(low, p.signs) {
			text = p.find().ReplaceAllString(text, p.with)
		}
	}
	return withoutOwn(text)
}

func holds(low string, signs []string) bool {
	return slices.ContainsFunc(signs, func(sign string) bool { return strings.Contains(low, sign) })
}

// Named is a value by what its name says of it: all of it goes if that is the name of a secret.
func Named(name, value string) string {
	if value != "" && Secret(name) {
		return Mark
	}
	return String(value)
}

var secretName = lazily(`(?i)^` + names + `$`)

// Secret reports whether what goes by this name is a secret. A shell's PWD and OLDPWD are directories.
func Secret(name string) bool {
	return name != "PWD" && name != "OLDPWD" && holds(strings.ToLower(name), nameSigns) && secretName().MatchString(name)
}

// textLimit bounds each text: a result's own are short, and a server's header of a megabyte shows nothing that its first
// four kilobytes do not.
const textLimit = 4 << 10

// JSON is a document with every text in it redacted and cut to a few kilobytes, whatever its shape.
func JSON(document []byte) ([]byte, error) {
	d := json.NewDecoder(bytes.NewReader(document))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, fmt.Errorf("redacting: %w", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, fmt.Errorf("redacting: there is more than one document")
	}
	return json.Marshal(walk("", v))
}

func walk(name string, v any) any {
	switch v := v.(type) {
	case string:
		return Named(name, cut(v))
	case []any:
		for i := range v {
			v[i] = walk(name, v[i])
		}
	case map[string]any:
		for key := range v {
			v[key] = walk(key, v[key])
		}
	}
	return v
}

func cut(text string) string {
	if len(text) <= textLimit {
		return text
	}
	return strings.ToValidUTF8(text[:textLimit], "") + "…"
}
