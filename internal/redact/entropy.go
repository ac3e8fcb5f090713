package redact

import (
	"math"
	"slices"
	"strings"
)

// The last resort: a long word that nobody would write by hand, after a name that says "key". Of the many services
// only some have tokens that show what they are.

const (
	leastWord = 14 // the shortest such words are LinkedIn's and Sumo Logic's
	// nameReach is how far before a word its name is looked for, in octets, and nameWords in words: "Incorrect API key
	// provided: …".
	nameReach = 48
	nameWords = 4
)

// wordText is what such words are made of. What may follow them, as padding of base64 does, separates names from
// values.
var wordText = newAlphabet("a-zA-Z0-9+/_-")

// withoutOpaque returns text without long opaque words that stand after a name that says "key".
func withoutOpaque(text string) string {
	var b strings.Builder
	done, begin := 0, 0
	for i := 0; i <= len(text); i++ {
		if i < len(text) && (wordText[text[i]] || strings.HasPrefix(text[i:], `\/`)) {
			continue
		}
		if word := strings.TrimLeft(text[begin:i], `+-_/\`); len(word) >= leastWord && looksRandom(word) {
			if at := i - len(word); saysKey(text[max(0, at-nameReach):at], word) {
				b.WriteString(text[done:at] + Mark)
				done = i
			}
		}
		begin = i + 1
	}
	if done == 0 {
		return text
	}
	return b.String() + text[done:]
}

// looksRandom reports whether word has the entropy of a random one. Hexadecimal digits have at most 4 bits each, words
// of a language about 3.5; a word without digits must have more than those.
func looksRandom(word string) bool {
	digits, letters, others := 0, 0, 0
	var count [256]int
	for _, c := range []byte(word) {
		count[c]++
		switch {
		case c >= '0' && c <= '9':
			digits++
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z':
			letters++
		default:
			others++
		}
	}
	if letters == 0 || others > 4 && others*6 > len(word) { // a number or a time; a path, or words with hyphens
		return false
	}
	entropy := 0.0
	for _, n := range count {
		if n > 0 {
			p := float64(n) / float64(len(word))
			entropy -= p * math.Log2(p)
		}
	}
	switch {
	case digits == 0:
		return len(word) >= 20 && entropy >= 4.1
	case len(word) < 20:
		return digits >= 2 && entropy >= 3
	}
	return entropy >= 3.2
}

// keyWords say that the word after them is a secret.
var keyWords = []string{
	"key", "apikey", "token", "secret", "password", "passwd", "pwd", "passphrase", "passcode", "pass", "credential",
	"credentials", "creds", "cred", "auth", "oauth", "authorization", "bearer", "signature", "sig", "hmac", "psk",
	"jwt", "cookie", "webhook",
}

// keySuffixes are ends of words that are written together.
var keySuffixes = []string{
	"key", "token", "secret", "password", "passwd", "auth",
}

// services are names after which gitleaks takes a word for a secret of that service. Its tokens do not show what they
// are.
var services = []string{
	"adafruit", "adobe", "airtable", "algolia", "alibaba", "asana", "atlassian", "confluence", "jira", "beamer",
	"bitbucket", "bittrex", "meraki", "codecov", "cohere", "coinbase", "confluent", "contentful", "datadog",
	"discord", "droneci", "dropbox", "etsy", "facebook", "fastly", "finicity", "finnhub", "flickr", "freshbooks",
	"gitter", "gocardless", "heroku", "hubspot", "intercom", "jfrog", "kraken", "kucoin", "launchdarkly", "linkedin",
	"lob", "mailchimp", "mailgun", "mapbox", "mattermost", "messagebird", "netlify", "newrelic", "relic", "nytimes",
	"okta", "plaid", "privateai", "rapidapi", "sendbird", "sentry", "snyk", "sonar", "sourcegraph", "squarespace",
	"sumo", "sumologic", "travis", "twitch", "twitter", "typeform", "yandex", "zendesk", "openai", "anthropic",
	"deepseek", "mistral",
}

// harmless are words that say what the word after them is, whatever stands before: an identifier, a checksum, a place.
var harmless = []string{
	"id", "ids", "uuid", "guid", "ray", "request", "trace", "span", "thread", "sha", "sha1", "sha256", "sha512",
	"md5", "hash", "digest", "checksum", "fingerprint", "version", "commit", "revision", "rev", "etag", "file",
	"path", "dir", "url", "uri", "host", "name", "public", "pubkey", "model", "env", "length", "size", "expires",
	"expired", "at", "integrity", "exchange", "algorithm", "type",
}

// otherKeys are words before "key" that make it something else.
var otherKeys = []string{
	"public", "primary", "foreign", "cache", "host", "partition", "sort", "unique", "idempotency",
}

// saysKey reports whether before, the text before a word, names a secret.
func saysKey(before, word string) bool {
	if line := strings.LastIndexAny(before, "\n\r"); line >= 0 {
		before = before[line+1:]
	}
	names := lastWords(before)
	for i, name := range names {
		switch {
		case slices.Contains(harmless, name):
			return false
		case slices.Contains(keyWords, name) && i+1 < len(names) && slices.Contains(otherKeys, names[i+1]):
			return false
		case slices.Contains(keyWords, name), len(name) > 5 && endsInKey(name):
			return name != "monkey" && name != "turkey" && !isUUID(word)
		case i < 2 && slices.Contains(services, name):
			return strings.ContainsAny(before[strings.LastIndex(strings.ToLower(before), name):], "=:>,")
		}
	}
	return false
}

func endsInKey(name string) bool {
	return slices.ContainsFunc(keySuffixes, func(suffix string) bool { return strings.HasSuffix(name, suffix) })
}

// lastWords returns the last words of text in lower case, the nearest first. A word ends at what is no letter or
// digit, and between a lower-case and an upper-case letter: apiKey has two.
func lastWords(text string) []string {
	var all []string
	end := len(text)
	for end > 0 && len(all) < nameWords {
		if !isWord(text[end-1]) || text[end-1] == '_' {
			end--
			continue
		}
		begin := end
		for begin > 0 && isWord(text[begin-1]) && text[begin-1] != '_' {
			begin--
			if text[begin] >= 'A' && text[begin] <= 'Z' && begin > 0 && text[begin-1] >= 'a' && text[begin-1] <= 'z' {
				break
			}
		}
		all = append(all, strings.ToLower(text[begin:end]))
		end = begin
	}
	return all
}

func isUUID(word string) bool {
	if len(word) != 36 {
		return false
	}
	for i, c := range []byte(word) {
		if hyphen := i == 8 || i == 13 || i == 18 || i == 23; hyphen != (c == '-') || !hyphen && !isHex(c) {
			return false
		}
	}
	return true
}
