package redact

import (
	"encoding/base64"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// Secrets in another form: percent-encoded as in URLs, or in base64 as in headers, Kubernetes and much that is only
// logged. What is decoded is looked at as plain text is; if there is a secret in it, all of it goes.
var percentEncoded = lazily(`[^\s"'<>]*%[0-9A-Fa-f]{2}[^\s"'<>]*`)

// withoutEncodedParts takes secrets out of each part of a percent-encoded URL, so that its other parts stay. It comes
// first: once a piece of an encoded secret has been recognized, the rest would not be.
func withoutEncodedParts(text string) string {
	if !strings.Contains(text, "%") {
		return text
	}
	return encodedPart().ReplaceAllStringFunc(text, func(part string) string {
		for _, unescape := range []func(string) (string, error){url.PathUnescape, url.QueryUnescape} {
			if decoded, err := unescape(part); err == nil && plain(decoded) != decoded {
				return Mark
			}
		}
		return part
	})
}

var encodedPart = lazily(`[^\s"'<>&?=;/#]*%[0-9A-Fa-f]{2}[^\s"'<>&?=;/#]*`)

func withoutEncoded(text string) string {
	if strings.Contains(text, "%") {
		text = percentEncoded().ReplaceAllStringFunc(text, func(run string) string {
			decoded, err := url.PathUnescape(run)
			if err != nil || plain(decoded) == decoded {
				return run
			}
			return Mark
		})
	}
	return withoutBase64(text)
}

// leastRun is the shortest run of base64 that is looked at: twelve bytes, less than any token.
const leastRun = 16

// withoutBase64 goes through text by hand: a regular expression would take three times as long as all the others
// together.
func withoutBase64(text string) string {
	var b strings.Builder
	done, begin := 0, 0
	for i := 0; i <= len(text); i++ {
		if i < len(text) && isBase64(text[i]) {
			continue
		}
		if decoded, ok := fromBase64(text[begin:i]); ok && plain(decoded) != decoded {
			b.WriteString(text[done:begin] + Mark)
			done = i
		}
		begin = i + 1
	}
	if done == 0 {
		return text
	}
	return b.String() + text[done:]
}

func isBase64(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' ||
		c == '+' || c == '/' || c == '-' || c == '_'
}

// fromBase64 is the text that run stands for, if it is one. Of one that was cut off the rest is read.
func fromBase64(run string) (string, bool) {
	if len(run) < leastRun {
		return "", false
	}
	run = strings.NewReplacer("-", "+", "_", "/").Replace(run)
	decoded, err := base64.RawStdEncoding.DecodeString(run[:len(run)-len(run)%4])
	if rest, restErr := base64.RawStdEncoding.DecodeString(run[len(run)-len(run)%4:]); restErr == nil {
		decoded = append(decoded, rest...)
	}
	text := strings.ToValidUTF8(string(decoded), "\ufffd")
	return text, err == nil && !strings.ContainsFunc(text, func(r rune) bool {
		return r == utf8.RuneError || unicode.IsControl(r) && !unicode.IsSpace(r)
	})
}

// ownLength is the least of what is taken for a secret only since the environment has it by such a name: shorter
// ones are words, and would tear holes into everything.
const ownLength = 8

// own are the secrets of this process's environment, as they are written: values that go by a secret's name, and
// passwords in URLs, those of proxies above all. A program that fails likes to print what it was given.
var own = sync.OnceValue(func() []string { return secretsOf(os.Environ()) })

func secretsOf(environment []string) (all []string) {
	for _, entry := range environment {
		name, value, _ := strings.Cut(entry, "=")
		if Secret(name) {
			all = append(all, value)
		}
		if u, err := url.Parse(value); err == nil && u.User != nil {
			password, _ := u.User.Password()
			all = append(all, password)
		}
	}
	all = slices.DeleteFunc(all, func(secret string) bool { return len(secret) < ownLength })
	return formsOf(all)
}

func withoutOwn(text string) string {
	for _, secret := range own() {
		text = strings.ReplaceAll(text, secret, Mark)
	}
	return withoutKnown(text)
}
