// Package redact takes secrets out of text before it is kept or shown.
//
// An incident record is attached to bug reports: a token in it is a token on the internet. Where in doubt, what
// looks like a secret goes; a record that says too little can be asked about, one that says too much cannot be taken
// back.
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

// A pattern finds secrets; with is what stands there instead, as in [regexp.Regexp.ReplaceAllString]. It is tried,
// and compiled, only for texts that hold one of the signs, in lower case: a millisecond for a line of text would be
// too long otherwise, and nearly no line holds any.
type pattern struct {
	name   string
	find   func() *regexp.Regexp
	with   string
	signs  []string              // nil: nameSigns
	unless func() *regexp.Regexp // nil, or what it finds by mistake

	bit uint64 // its own among all patterns
}

// lazily compiles an expression when it is first needed: a daemon whose services are healthy needs few of these, and
// together they take a third of a megabyte.
func lazily(expression string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expression) })
}

// What the name of a secret ends in: OPENAI_API_KEY, refresh_token, x-api-key, accesstoken. Some words do so by
// themselves only, or "compat" would hold a personal access token. Plurals are left out: "input_tokens" is a price.
const (
	anywhere = `(?:` + keys + `[-_]?key|secret|secrets|token|password|passwd|passphrase|credential|credentials)`
	keys     = `(?:api|access|private|secret|account|auth|app|application|subscription|service|master|license|` +
		`consumer|shared|deploy|routing|write|storage|admin|integration)`
	alone = `(?:authorization|cookie|encryption[-_]?key|signing[-_]?key|session[-_]?key|` +
		`passcode|pwd|session[-_]?id|sessionid|signature|bearer|jwt|pat|csrf|xsrf|otp|totp|psk|assertion|code[-_]?verifier)`
	names = `(?:[A-Za-z0-9_.-]*` + anywhere + `|(?:[A-Za-z0-9_.-]*[-_.])?` + alone + `)`
)

// patterns find secrets by their form, before tokens are looked for: those that know where a secret ends come before
// those that guess.
var patterns = []pattern{
	// A key in PEM, also where its end was cut off.
	{name: "private key", find: lazily(`(?s)-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----.*?(?:-----END [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----|\z)`),
		with: Mark, signs: []string{"private key"}},
	// Credentials in a URL; the user's name goes too, since tokens are put there. The last @ before the path ends them.
	{name: "URL", find: lazily(`([A-Za-z][A-Za-z0-9+.-]*:\\?/\\?/)[^\s/?#"'<>\x60]*@`),
		with: "${1}" + Mark + "@", signs: []string{"@"}},
	// Cookies and authorization, to the end of the header: they hold blanks, semicolons and several values.
	{name: "header", find: lazily(`(?i)\b((?:set-)?cookie2?|(?:proxy-)?authorization)(\\?["']?\s*[:=]\s*)(?:\[secret\]|` + list + `|\\?"[^"\n]*"?|'[^'\n]*'?|[^\n"']+)`),
		with: "${1}${2}" + Mark, signs: []string{"cookie", "authorization"}},
	// Schemes of authorization wherever they stand. "Basic authentication" is no secret: the others must hold a digit or
	// end in padding.
	{name: "bearer", find: lazily(`(?i)\b(bearer)(\s+|\+)["']?[A-Za-z0-9._~+/=-]{8,}["']?`),
		with: "${1}${2}" + Mark, signs: []string{"bearer"}},
	{name: "scheme", find: lazily(`(?i)\b(basic|digest|negotiate|token|ssws)(\s+)["']?[A-Za-z._~+/-]*[0-9=][A-Za-z0-9._~+/=-]{5,}["']?`),
		with: "${1}${2}" + Mark, signs: []string{"basic", "digest", "negotiate", "token", "ssws"}},
	// URLs that are secrets themselves: who has one may post.
	{name: "Slack webhook", find: lazily(`(hooks\.slack\.com\\?/(?:services|workflows|triggers)\\?/)[A-Za-z0-9+/\\_-]{8,}`),
		with: "${1}" + Mark, signs: []string{"hooks.slack.com"}},
	{name: "Discord webhook", find: lazily(`(discord(?:app)?\.com\\?/api\\?/webhooks\\?/)[0-9]+\\?/[A-Za-z0-9_-]{8,}`),
		with: "${1}" + Mark, signs: []string{"webhooks"}},
	{name: "Teams webhook", find: lazily(`(webhook\.office\.com\\?/webhookb2\\?/)[^\s"'<>]+`),
		with: "${1}" + Mark, signs: []string{"webhookb2"}},
	// Tokens that have their mark in the middle or at the end.
	{name: "Azure client secret", find: lazily(`[A-Za-z0-9_~.]{3}[0-9]Q~[A-Za-z0-9_~.-]{16,}`),
		with: Mark, signs: []string{"q~"}},
	{name: "Telegram bot", find: lazily(`(\b|bot)[0-9]{5,16}:A[A-Za-z0-9_-]{32,36}`),
		with: "${1}" + Mark, signs: []string{":a"}},
	{name: "Facebook app", find: lazily(`\b[0-9]{15,16}(?:\||%7[Cc])[A-Za-z0-9_-]{20,40}`),
		with: Mark, signs: []string{"|", "%7c"}},
	{name: "MaxMind", find: lazily(`\b[A-Za-z0-9]{6}_[A-Za-z0-9]{29}_mmk`), with: Mark, signs: []string{"_mmk"}},
	{name: "Mailchimp", find: lazily(`\b[0-9a-f]{32}-us[0-9]{1,2}\b`), with: Mark, signs: []string{"-us"}},
	{name: "Terraform", find: lazily(`\b[A-Za-z0-9]{14}\.atlasv1\.[A-Za-z0-9_=-]{16,}`),
		with: Mark, signs: []string{"atlasv1"}},
	{name: "Authress", find: lazily(`\b(?:sc|ext|scauth|authress)_[A-Za-z0-9]{5,30}\.[A-Za-z0-9]{4,6}\.acc[_-][A-Za-z0-9-]{10,32}\.[A-Za-z0-9+/_=-]{16,}`),
		with: Mark, signs: []string{".acc_", ".acc-"}},
}

// named find secrets by the name before them: name = value, name: value, "name": "value", --name value,
// ?name=value&. They come after tokens, which may stand in place of a value.
var named = []pattern{
	{name: "name = value", find: lazily(`(?i)(\b` + names + `\\?["']?\s*(?:=>|:=|[:=])\s*)` + quotedValue),
		with:   "${1}" + Mark,
		unless: lazily(notSecret)},
	{name: "--name value", find: lazily(`(?i)(\B--?` + names + `\s+)` + quotedValue), with: "${1}" + Mark},
	{name: "list of arguments", find: lazily(`(?i)(["']--?` + names + `\\?["']\s*,\s*)` + quotedValue),
		with: "${1}" + Mark},
	{name: "XML", find: lazily(`(?i)(<` + names + `>)[^<\n]+`), with: "${1}" + Mark},
	{name: "XML attribute", find: lazily(`(?i)(\bkey=\\?["']` + names + `\\?["']\s+value=)` + quotedValue),
		with: "${1}" + Mark},
	{name: "parameter", find: lazily(`(?i)((?:[?&;]|\\u0026)(?:key|sig|auth|code|state)=)[^&\s"'#;\\]+`),
		with: "${1}" + Mark, signs: []string{"key=", "sig=", "auth=", "code=", "state="}},
	{name: "key = value", find: lazily(`(?i)(\b(?:key|auth)\\?["']?\s*[:=]\s*)` + longValue),
		with: "${1}" + Mark, signs: []string{"key", "auth"}},
	// Commands that take a password without a name.
	{name: "curl -u", find: lazily(`(?i)(\bcurl\b[^\n]*?\s(?:-u|--user|--proxy-user|-U)[\s=]*)(?:"[^"\n]*:[^"\n]*"|'[^'\n]*:[^'\n]*'|[^\s"':]+:[^\s"']+)`),
		with: "${1}" + Mark, signs: []string{"curl"}},
	{name: "sshpass -p", find: lazily(`(\bsshpass\s+-p\s*)` + quotedValue),
		with: "${1}" + Mark, signs: []string{"sshpass"}},
	{name: "netrc", find: lazily(`(?i)(\blogin\s+\S+\s+password\s+)\S+`), with: "${1}" + Mark, signs: []string{"login"}},
	{name: "SQL", find: lazily(`(?i)(\bidentified\s+(?:with\s+\S+\s+)?by\s+)` + quotedValue),
		with: "${1}" + Mark, signs: []string{"identified"}},
	{name: "redis", find: lazily(`(?i)(\b(?:requirepass|masterauth)\s+)` + quotedValue),
		with: "${1}" + Mark, signs: []string{"requirepass", "masterauth"}},
}

// notSecret is what "name = value" finds by mistake: a shell's directories, an HTTP status ("Failed to refresh
// token: 401 Unauthorized"), and the identifier of a session, as agents print it. In a cookie, a session's
// identifier is a secret, and no UUID.
const notSecret = `^(?:OLD)?PWD\\?["']?[=:]\s*\\?["']?[/~]|: [1-5][0-9]{2}$|` +
	`(?i)^\S*session[-_]?id\\?["']?\s*[=:]\s*\\?["']?[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b`

// A value ends where its quotes do, at a blank, or at what separates it from the next. An escaped quote does not end
// one. A list of texts is one value: Go and HAR files write headers so.
const (
	list        = `\[\s*\\?"[^\]\n]*\]?`
	quotedValue = `(?:\[secret\]|` + list + `|\\"[^"\\\n]*(?:\\")?|"(?:[^"\\\n]|\\.)*"?|'[^'\n]*'?|[^\s"',;&})\]]+)`
	longValue   = `(?:\\?["'])?[A-Za-z0-9._~+/=-]{16,}(?:\\?["'])?`
)

// nameSigns are in every name that names has.
var nameSigns = []string{"key", "secret", "token", "passw", "passphrase", "credential", "authorization", "cookie", "passcode",
	"pwd", "session", "signature", "bearer", "jwt", "pat", "csrf", "xsrf", "otp", "psk", "assertion", "verifier"}

// String is text without what looks like a secret, or is one of this process's own environment or configuration, in
// whatever form.
func String(text string) string { return withoutEncoded(plain(withoutEncodedParts(text))) }

// plain takes out what stands there as it is.
func plain(text string) string {
	text, split := splitEscapes(text)
	tried := signsIn(text)
	text = withoutPatterns(text, patterns, tried)
	text = withoutTokens(withoutDiscordBots(text))
	text = withoutPatterns(text, named, tried)
	text = withoutOpaque(text)
	if split {
		text = strings.ReplaceAll(text, splitter, "")
	}
	return withoutOwn(text)
}

// splitter is put after escapes of JSON: \nTOKEN is a word that begins with T, but for an expression it begins with n.
const splitter = "\x00"

var escape = lazily(`\\(?:[nrtbf]|u[0-9a-fA-F]{4})`)

func splitEscapes(text string) (_ string, split bool) {
	if !strings.Contains(text, `\`) || strings.Contains(text, splitter) {
		return text, false
	}
	return escape().ReplaceAllString(text, "${0}"+splitter), true
}

func withoutPatterns(text string, all []pattern, tried uint64) string {
	for _, p := range all {
		if tried&p.bit == 0 {
			continue
		}
		if p.unless == nil {
			text = p.find().ReplaceAllString(text, p.with)
			continue
		}
		text = p.find().ReplaceAllStringFunc(text, func(match string) string {
			if p.unless().MatchString(match) {
				return match
			}
			return p.find().ReplaceAllString(match, p.with)
		})
	}
	return text
}

func holds(low string, signs []string) bool {
	return slices.ContainsFunc(signs, func(sign string) bool { return strings.Contains(low, sign) })
}

// Named is a value by what its name says of it: all of it goes if that is the name of a secret.
func Named(name, value string) string {
	if value != "" && Secret(name) && !(isUUID(value) && sessionName().MatchString(name)) {
		return Mark
	}
	return String(value)
}

var sessionName = lazily(`(?i)session[-_]?id$`)

var secretName = lazily(`(?i)^` + names + `$`)

// Secret reports whether what goes by this name is a secret. A shell's PWD and OLDPWD are directories.
func Secret(name string) bool {
	return name != "PWD" && name != "OLDPWD" && holds(strings.ToLower(name), nameSigns) && secretName().MatchString(name)
}

// textLimit bounds each text: a result's own are short, and a server's header of a megabyte shows nothing that its
// first four kilobytes do not.
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
