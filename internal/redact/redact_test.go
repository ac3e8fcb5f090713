package redact

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
	"os"
	"strings"
	"testing"
)

// planted is in every secret below: none of it may be left.
const planted = "Pl4nt3d"

func TestString(t *testing.T) {
	jwt := "eyJhbGciOiJSUzI1NiJ9.eyJ" + planted + "MTIzNDU2.c2ln" + planted
	tests := []struct{ text, want string }{
		{"Authorization: Bearer " + planted + "abcdef", "Authorization: [secret]"},
		{"curl -H 'Authorization: Basic " + planted + "Og==' https://x", "curl -H 'Authorization: [secret]' https://x"},
		{`{"authorization":"Bearer ` + planted + `xyz"}`, `{"authorization":[secret]}`},
		{"sent bearer " + planted + ".abc-def and failed", "sent bearer [secret] and failed"},
		{"Incorrect API key provided: sk-" + planted + "***abcd. Find yours", "Incorrect API key provided: [secret] Find yours"},
		{"key sk-proj-" + planted + "_A-b", "key [secret]"},
		{"jwt " + jwt + " end", "jwt [secret] end"},
		{"cut short: eyJhbGciOi" + planted, "cut short: [secret]"},
		{"http://user:" + planted + "@proxy.example:3128/", "http://[secret]@proxy.example:3128/"},
		{"socks5h://" + planted + "@10.0.0.1:1080", "socks5h://[secret]@10.0.0.1:1080"},
		{"http://us@er:pa@" + planted + "@proxy:1", "http://[secret]@proxy:1"},
		{`"url":"https:\/\/u:` + planted + `@h\/"`, `"url":"https:\/\/[secret]@h\/"`},
		{"https://h/p?api_key=" + planted + "&x=1", "https://h/p?api_key=[secret]&x=1"},
		{"https://h/p?sig=" + planted + "&x=1", "https://h/p?sig=[secret]&x=1"},
		{"https://h/cb?code=" + planted + "#top", "https://h/cb?code=[secret]#top"},
		{"Cookie: session=" + planted + "; theme=dark " + planted, "Cookie: [secret]"},
		{"set-cookie: __cf_bm=" + planted + "; path=/; HttpOnly\nserver: x", "set-cookie: [secret]\nserver: x"},
		{"OPENAI_API_KEY=" + planted, "OPENAI_API_KEY=[secret]"},
		{"export CODEX_API_KEY='" + planted + " with blanks'", "export CODEX_API_KEY=[secret]"},
		{`api_key = "` + planted + `"`, `api_key = [secret]`},
		{`experimental_bearer_token = "` + planted + `"`, `experimental_bearer_token = [secret]`},
		{`{"OPENAI_API_KEY":"` + planted + `","a":1}`, `{"OPENAI_API_KEY":[secret],"a":1}`},
		{`{"tokens":{"id_token":"` + jwt + `","refresh_token":"rt.1.` + planted + `","account_id":"a"}}`,
			`{"tokens":{"id_token":[secret],"refresh_token":[secret],"account_id":"a"}}`},
		{`{\"access_token\":\"` + planted + `\"}`, ""},
		{`"password": "with \" quote ` + planted + `"`, `"password": [secret]`},
		{"clientSecret: " + planted, "clientSecret: [secret]"},
		{"x-api-key: " + planted, "x-api-key: [secret]"},
		{"tool --api-key " + planted + " --fast", "tool --api-key [secret] --fast"},
		{"tool --password=" + planted, "tool --password=[secret]"},
		{`args = ["--token", "` + planted + `", "x"]`, `args = ["--token", [secret], "x"]`},
		{"ghp_" + planted + "0123456789 and github_pat_" + planted, "[secret] and [secret]"},
		{"AKIA" + strings.ToUpper(planted) + "ABCDEFG", "[secret]"},
		{"-----BEGIN OPENSSH PRIVATE KEY-----\n" + planted + "\n-----END OPENSSH PRIVATE KEY-----\nend", "[secret]\nend"},
		{"-----BEGIN PRIVATE KEY-----\n" + planted, "[secret]"},
	}
	for _, tt := range tests {
		got := String(tt.text)
		if strings.Contains(strings.ToLower(got), strings.ToLower(planted)) {
			t.Errorf("String(%q) = %q: the secret is still there", tt.text, got)
		}
		if tt.want != "" && got != tt.want {
			t.Errorf("String(%q)\n got %q\nwant %q", tt.text, got, tt.want)
		}
		if again := String(got); again != got {
			t.Errorf("String(%q) is not stable: %q", got, again)
		}
	}
}

// A secret in another form is a secret; so is what the environment calls one, whatever it looks like.
func TestOtherForms(t *testing.T) {
	const odd = `odd "value" / of ` + planted
	t.Setenv("DEPLOY_PASSWORD", odd)
	t.Setenv("HTTPS_PROXY", "http://me:"+planted+"Proxy@proxy:3128")
	t.Setenv("SHORT_TOKEN", "word")
	t.Setenv("OLDPWD", "/home/alice/project")
	before := own
	own = func() []string { return secretsOf(os.Environ()) }
	t.Cleanup(func() { own = before })
	quoted, _ := json.Marshal(odd)
	for _, secret := range []string{"Bearer " + planted + "abc", `{"refresh_token":"` + planted + `xyz"}`, "OPENAI_API_KEY=sk-" + planted, odd, "me:" + planted + "Proxy"} {
		for form, text := range map[string]string{
			"base64":     base64.StdEncoding.EncodeToString([]byte(secret)),
			"base64url":  base64.RawURLEncoding.EncodeToString([]byte(secret)),
			"cut short":  base64.StdEncoding.EncodeToString([]byte(secret + " and more"))[:len(secret)*4/3+5],
			"in a query": "https://h/?q=" + url.QueryEscape(secret) + "&x=1",
			"in a path":  "https://h/" + url.PathEscape(secret),
			"in JSON":    `{"said":` + string(quoted) + `}`,
		} {
			got := String("before " + text + " after")
			if strings.Contains(got, text) || strings.Contains(got, planted) {
				t.Errorf("%s of %s: %q", form, secret, got)
			}
			if !strings.HasPrefix(got, "before ") || !strings.HasSuffix(got, " after") {
				t.Errorf("%s of %s: %q; what stands beside it is gone", form, secret, got)
			}
		}
	}
	if got := String("a word"); got != "a word" {
		t.Errorf("%q: a short value tears holes", got)
	}
	if path := "/home/alice/project/bin/codex"; String(path) != path {
		t.Errorf("%q: the working directory is no password", String(path))
	}
}

// What a record is for must stay readable.
func TestKeepsTheRest(t *testing.T) {
	for _, text := range []string{
		"stream disconnected before completion: error sending request for url (https://chatgpt.com/backend-api/codex/responses)",
		`dial tcp 104.18.32.47:443: connect: operation not permitted`,
		`lookup chatgpt.com on 10.255.255.254:53: no such host`,
		"usage: 12 input_tokens, 3 output_tokens", `{"input_tokens":12,"cached_input_tokens":0}`,
		"model_reasoning_effort = \"high\"", `sandbox_mode = "workspace-write"`, "network_access = false",
		"tokens left: 12", "budget of 24 runs", "cf-ray 8f1e2d3c4b5a6978-FRA", "key usage", "author: nobody",
		"CODEX_SANDBOX_NETWORK_DISABLED=1", "SSL_CERT_FILE=/etc/ssl/ca.pem", "allow: POST", "me@example.com",
		"model_max_output_tokens = 1000", "env_key = \"OPENAI_API_KEY\"", "path: /home/me", "monkey: 12", "compat: yes",
		"your access token could not be refreshed", "unexpected token at line 3", "status 401: token expired",
		"basic authentication is required", "the token refreshed", "100% of 20%25", "https://h/a%20b?q=%2Fetc%2Fhosts",
		"sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", "aGVsbG8gd29ybGQsIGhvdyBhcmUgeW91",
		"/usr/lib/node_modules/@openai/codex/bin/codex.js",
	} {
		if got := String(text); got != text {
			t.Errorf("String(%q) = %q: nothing in it is a secret", text, got)
		}
	}
}

func TestJSON(t *testing.T) {
	got, err := JSON([]byte(`{"a":["x","sk-` + planted + `"],"refresh_token":"` + planted + `","n":12345678901234567,"nested":{"api_key":["` + planted + `"]},
		"long":"` + strings.Repeat("é", textLimit) + `"}`))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(got), planted) {
		t.Errorf("the secret is still there: %s", got)
	}
	if !strings.Contains(string(got), `"n":12345678901234567`) || len(got) > textLimit+200 {
		t.Errorf("got %d bytes, want numbers as they were and long texts cut", len(got))
	}
	for _, bad := range []string{"", "{", "{} {}"} {
		if _, err := JSON([]byte(bad)); err == nil {
			t.Errorf("JSON(%q): no error", bad)
		}
	}
}

func FuzzString(f *testing.F) {
	f.Add("Authorization: Bearer x", "https://a:b@c/?token=d")
	f.Fuzz(func(t *testing.T, before, after string) {
		secret := "sk-" + planted + "secretvalue"
		if got := String(before + " " + secret + " " + after); strings.Contains(got, secret) {
			t.Errorf("the secret is still there: %q", got)
		}
	})
}

func BenchmarkString(b *testing.B) {
	text := "stream disconnected before completion: error sending request for url (https://chatgpt.com/backend-api/codex/responses)"
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		String(text)
	}
}
