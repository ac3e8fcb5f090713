package redact

import (
	"encoding/base64"
	"encoding/json"
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// vectors are shapes of secrets: {36:n} stands for 36 random characters of a set. None is a real one.
//
// Sets: d digits, h hexadecimal, a lower-case letters and digits, U upper-case ones and digits, n
// both, w with - and _, b base64.
var vectors = []string{
	// Agents and models.
	"sk-{20:n}T3BlbkFJ{20:n}", "sk-proj-{74:w}T3BlbkFJ{74:w}", "sk-svcacct-{58:w}T3BlbkFJ{58:w}",
	"sk-ant-api03-{93:w}AA", "sk-ant-admin01-{93:w}AA", "sk-or-v1-{64:h}", "sk-{32:h}", "sess-{40:n}",
	"rt_{43:w}.{43:w}", "rt.1.{60:w}", "gsk_{52:n}", "xai-{80:n}", "pplx-{48:n}", "hf_{34:n}", "api_org_{34:n}",
	"r8_{37:n}", "csk-{48:a}", "fw_{24:n}", "tvly-{32:n}", "jina_{32:h}{28:w}", "lsv2_pt_{32:h}_{10:h}", "pa-{43:w}",
	"nvapi-{64:w}", "AIza{35:w}", "ya29.{60:w}", "1//0{40:w}", "GOCSPX-{28:w}", "sk_{48:h}", "ctx7sk-{36:w}",
	"eyJ{20:n}.eyJ{40:w}.{43:w}", "eyJ{80:w}",
	// Code hosts, registries, builds.
	"ghp_{36:n}", "gho_{36:n}", "ghu_{36:n}", "ghs_{36:n}", "ghr_{36:n}", "github_pat_{22:n}_{59:n}",
	"github_pat_{82:w}", "glpat-{20:w}", "glpat-{27:w}.{2:a}.{9:a}", "glptt-{40:h}", "gldt-{20:w}", "glrt-{20:w}",
	"glrtr-{20:w}", "glcbt-{5:n}_{20:w}", "glimt-{25:w}", "glft-{20:w}", "glffct-{20:w}", "gloas-{64:n}",
	"glagent-{50:n}", "glsoat-{20:w}", "_gitlab_session={32:h}", "GR1348941{20:w}", "ATBB{32:n}", "ATATT3{186:w}",
	"ATCTT3{186:w}", "npm_{36:n}", "pypi-AgEIcHlwaS5vcmc{70:w}", "rubygems_{48:h}", "CLOJARS_{60:a}", "oy2{43:a}",
	"cio{32:n}", "dckr_pat_{27:w}", "dckr_oat_{32:w}", "AKCp{69:n}", "cmVmd{59:n}", "CCIPAT_{22:n}_{40:h}",
	"CCIPRJ_{22:n}_{40:h}", "bkua_{40:h}", "sgp_{40:h}", "sgp_{16:h}_{40:h}", "squ_{40:h}", "sqp_{40:h}",
	"sqa_{40:h}", "jfrt@{40:b}",
	// Clouds.
	"AKIA{16:U}", "ASIA{16:U}", "ABIA{16:U}", "ACCA{16:U}", "A3TX{16:U}", "ABSK{120:b}", "bedrock-api-key-{120:b}",
	"LTAI{20:a}", "AQVN{36:w}", "YC{38:w}", "t1.{60:w}.{86:w}", "dop_v1_{64:h}", "doo_v1_{64:h}", "dor_v1_{64:h}",
	"v1.0-{24:h}-{146:h}", "cfut_{40:n}", "cfat_{40:n}", "fo1_{43:w}", "fm1a_{100:b}", "fm1r_{100:b}", "fm2_{100:b}",
	"FlyV1 fm2_{100:b}", "HRKU-AA{58:w}", "rnd_{32:n}", "vcp_{32:n}", "vci_{32:n}", "vca_{32:n}", "vcr_{32:n}",
	"vck_{32:n}", "nfp_{36:n}", "nfc_{36:n}", "tk-us-{48:w}", "pul-{40:h}", "dapi{32:h}", "dapi{32:h}-2",
	"sha256~{43:w}", "tskey-auth-{12:n}CNTRL-{32:n}", "SCW{17:U}", "ops_eyJ{250:b}", "{3:n}7Q~{31:n}",
	// Databases, secret stores.
	"hvs.{90:w}", "hvb.{138:w}", "hvr.{90:w}", "pscale_tkn_{43:w}", "pscale_oauth_{43:w}", "pscale_pw_{43:w}",
	"4b1d{38:n}", "dp.pt.{43:n}", "dp.st.dev.{43:n}", "dp.ct.{43:n}", "dp.sa.{43:n}", "dp.scim.{43:n}",
	"dp.audit.{43:n}", "A3-{6:U}-{11:U}-{5:U}-{5:U}-{5:U}", "AGE-SECRET-KEY-1{58:U}", "sbp_{40:h}",
	"sb_secret_{22:w}_{8:w}", "napi_{64:a}", "essu_{80:b}", "CCDB1_{22:n}_{40:n}", "infra_{40:n}", "st.{40:w}.{40:w}",
	"{14:n}.atlasv1.{67:w}", "{6:n}_{29:n}_mmk",
	// Monitoring, messages, payment, the rest.
	"glc_{120:b}", "glsa_{32:n}_{8:h}", "NRAK-{27:U}", "NRII-{32:n}", "NRJS-{19:h}", "NRRA-{42:h}",
	"dt0c01.{24:U}.{64:U}", "dt0s01.{8:U}.{64:U}", "sntrys_eyJpYXQiO{60:b}_{43:b}", "sntryu_{64:h}", "hcaik_{58:a}",
	"hcbik_{58:a}", "xoxb-{12:d}-{12:d}-{24:n}", "xoxp-{12:d}-{12:d}-{12:d}-{32:h}", "xoxa-2-{40:n}", "xoxr-{40:n}",
	"xoxs-{10:d}-{10:d}-{10:d}-{10:h}", "xoxo-{10:d}-{10:d}-{10:d}-{10:h}", "xoxe-1-{146:U}", "xoxe.xoxp-1-{163:U}",
	"xoxc-{12:d}-{12:d}-{32:h}", "xoxd-{80:n}", "xapp-1-{11:U}-{13:d}-{64:h}", "SG.{22:w}.{43:w}",
	"xkeysib-{64:h}-{16:n}", "xsmtpsib-{64:h}-{16:n}", "key-{32:h}", "pubkey-{32:h}", "SK{32:h}", "shpat_{32:h}",
	"shpca_{32:h}", "shppa_{32:h}", "shpss_{32:h}", "sk_live_{24:n}", "sk_test_{24:n}", "rk_live_{24:n}",
	"rk_test_{24:n}", "rk_prod_{24:n}", "pk_live_{24:n}", "pk_test_{24:n}", "whsec_{32:b}", "sq0atp-{22:w}",
	"sq0csp-{43:w}", "EAAA{60:w}", "EAAM{120:n}", "EAAC{120:n}", "IGQV{120:w}", "EZAK{54:n}", "EZTK{54:n}",
	"FLWSECK_TEST-{32:h}-X", "shippo_live_{40:h}", "shippo_test_{40:h}", "duffel_live_{43:w}", "duffel_test_{43:w}",
	"access-sandbox-{8:h}-{4:h}-{4:h}-{4:h}-{12:h}", "access-production-{8:h}-{4:h}-{4:h}-{4:h}-{12:h}",
	"access-development-{8:h}-{4:h}-{4:h}-{4:h}-{12:h}", "live_{35:h}", "test_{35:h}", "lin_api_{40:n}",
	"lin_oauth_{64:h}", "ntn_{11:d}{35:n}", "secret_{43:n}", "pat{14:n}.{64:h}", "figd_{40:w}", "figu_{40:w}",
	"figo_{40:w}", "fio-u-{64:w}", "tfp_{59:w}", "PMAK-{24:h}-{34:h}", "PMAT-{26:U}", "pnu_{36:n}", "rdme_{70:a}",
	"ico-{32:n}", "API-{26:U}", "p8e-{32:a}", "dnkey-{26:a}-{52:a}", "sm_aat_{16:n}", "sm_pat_{16:n}",
	"sm_sat_{16:n}", "sl.{135:w}", "s-s4t2ud-{64:h}", "s-s4t2af-{64:h}", "b_{44:a}",
	"waka_{8:h}-{4:h}-{4:h}-{4:h}-{12:h}", "pk.eyJ{60:n}.{22:w}", "sk.eyJ{60:n}.{22:w}", "tk.eyJ{60:n}.{22:w}",
	"sdk-{8:h}-{4:h}-{4:h}-{4:h}-{12:h}", "api-{8:h}-{4:h}-{4:h}-{4:h}-{12:h}", "mob-{8:h}-{4:h}-{4:h}-{4:h}-{12:h}",
	"phx_{43:n}", "phc_{43:n}", "ghost_{24:h}:{64:h}", "re_{8:n}_{24:n}", "cal_live_{32:h}", "cla_{43:w}",
	"pat-na1-{8:h}-{4:h}-{4:h}-{4:h}-{12:h}", "pat-eu1-{8:h}-{4:h}-{4:h}-{4:h}-{12:h}", "ion_{44:n}",
	"{10:d}:AA{33:w}", "{16:d}|{27:w}", "M{23:n}.{6:w}.{38:w}", "{32:h}-us12", "sc_{10:a}.{5:a}.acc_{20:a}.{40:w}",
	"https://hooks.slack.com/services/T{10:U}/B{10:U}/{24:n}", "https://discord.com/api/webhooks/{18:d}/{68:w}",
	"https://acme.webhook.office.com/webhookb2/{8:h}-{4:h}-{4:h}-{4:h}-{12:h}@{8:h}-{4:h}-{4:h}-{4:h}-{12:h}/IncomingWebhook/{32:h}/{8:h}-{4:h}-{4:h}-{4:h}-{12:h}",
}

// namedVectors are secrets that only what stands before them makes known.
var namedVectors = []string{
	"AWS_SECRET_ACCESS_KEY={40:b}", "aws_session_token = {200:b}", "DD_API_KEY={32:h}", "DATADOG_APP_KEY: {40:h}",
	"x-api-key: {32:n}", "X-Auth-Key: {37:h}", "Ocp-Apim-Subscription-Key: {32:h}", "api_key_production = '{32:n}'",
	"apiKeyValue: \"{32:n}\"", "Incorrect API key provided: {32:n}.", "invalid token {40:h}", "adafruit_io = {32:a}",
	"fastly: {32:w}", "algolia = {32:a}", "HEROKU_API_KEY={8:h}-{4:h}-{4:h}-{4:h}-{12:h}",
	"twitter_access = {18:d}-{40:n}", "okta.client = 00{40:w}", "mattermost={26:a}", "sentry => {64:h}",
	"codecov: {32:a}", "kraken = {80:n}", "AccountKey={86:n}==", "SharedAccessKey={43:n}=",
	"SharedAccessSignature=sr=x&sig={43:n}%3D", "client_secret={40:w}", "<ClientSecret>{32:n}</ClientSecret>",
	"<add key=\"ClearTextPassword\" value=\"{20:n}\" />", "Authorization: token {40:h}", "authorization: SSWS {42:w}",
	"Authorization: ApiKey {60:b}", `"Authorization":["Bearer {40:n}"]`, `"X-Api-Key":["{40:n}","{40:n}"]`,
	"map[Authorization:[Basic {24:n}=] X-Key:[1]]", "Proxy-Authorization: Basic {24:n}",
	"curl -u me:{16:n} https://h.example/", "curl https://h.example/ --user 'me:{16:n}'", "sshpass -p {16:n} ssh h",
	"machine h login me password {16:n}", "CREATE USER x IDENTIFIED BY '{16:n}'", "requirepass {20:n}",
	"psql postgres://me:{20:n}@db.example/x", "PGPASSWORD={16:n} psql",
	"https://h.example/?X-Amz-Signature={64:h}&x=1", "https://h.example/p?sig={43:n}%3D&se=1",
	`{"auths":{"h.example":{"auth":"{60:n}="}}}`, "//registry.example/:_authToken={36:n}", "token: {40:n}",
	"otp={6:d}x{6:n}", "PSK={32:n}", "code_verifier={43:w}", "client_assertion={60:n}",
	"-----BEGIN PGP PRIVATE KEY BLOCK-----\n{64:b}\n-----END PGP PRIVATE KEY BLOCK-----",
	"-----BEGIN RSA PRIVATE KEY-----\n{64:b}\n{64:b}", "ENCRYPTION_KEY={44:b}", "webhook secret is {32:n}",
	"creds: {30:n}", "LICENSE_KEY={40:h}", `\"refresh_token\":\"{60:w}\"`, "--api-key {32:n} run",
	`["--password","{20:n}"]`,
}

var sets = map[string]string{
	"d": "0123456789", "h": "0123456789abcdef", "a": "abcdefghijklmnopqrstuvwxyz0123456789",
	"U": "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567",
	"n": "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
	"w": "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_",
	"b": "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
}

var placeholder = regexp.MustCompile(`\{(\d+):(\w)\}`)

// expand returns a secret of a shape, and its random parts.
func expand(r *rand.Rand, shape string) (secret string, parts []string) {
	secret = placeholder.ReplaceAllStringFunc(shape, func(p string) string {
		m := placeholder.FindStringSubmatch(p)
		n, _ := strconv.Atoi(m[1])
		part := make([]byte, n)
		for i := range part {
			part[i] = sets[m[2]][r.IntN(len(sets[m[2]]))]
		}
		for _, edge := range []int{0, n - 1} { // a hyphen at the end of a word is not a part of it
			if strings.IndexByte("-_+/", part[edge]) >= 0 {
				part[edge] = 'x'
			}
		}
		if n >= 6 {
			parts = append(parts, string(part))
		}
		return string(part)
	})
	return secret, parts
}

// leaked returns the first random part that is still in text.
func leaked(text string, parts []string) string {
	for _, form := range []string{text, unescaped(text)} {
		for _, part := range parts {
			half := len(part) > 20 && (strings.Contains(form, part[:12]) || strings.Contains(form, part[len(part)-12:]))
			if half || strings.Contains(form, part) {
				return part
			}
		}
	}
	return ""
}

func unescaped(text string) string {
	text = strings.ReplaceAll(text, `\/`, "/")
	if u, err := url.QueryUnescape(text); err == nil {
		return u
	}
	return text
}

func inJSON(text string) string {
	b, _ := json.Marshal(map[string]string{"message": "first line\n" + text})
	return string(b)
}

// Every secret is found alone in a line and in whatever stands around it.
func TestVectors(t *testing.T) {
	r := rand.New(rand.NewPCG(14, 3))
	contexts := map[string]func(string) string{
		"alone":        func(s string) string { return s },
		"in a line":    func(s string) string { return "the server said: " + s + " is not valid" },
		"in quotes":    func(s string) string { return `got "` + s + `", want another` },
		"in brackets":  func(s string) string { return "(" + s + ")" },
		"in lines":     func(s string) string { return "before\n" + s + "\nafter" },
		"in JSON":      inJSON,
		"escaped JSON": func(s string) string { return strings.ReplaceAll(inJSON(s), "/", `\/`) },
		"JSON in JSON": func(s string) string { return inJSON(inJSON(s)) },
		"in a query":   func(s string) string { return "https://h.example/p?x=" + url.QueryEscape(s) + "&y=1" },
		"in a path":    func(s string) string { return "https://h.example/p/" + url.PathEscape(s) + "/end" },
		"in base64":    func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) },
	}
	for _, shape := range vectors {
		tries := 8
		if strings.HasPrefix(shape, "github_pat_") {
			tries = 2000
		}
		for range tries {
			secret, parts := expand(r, shape)
			for name, context := range contexts {
				if tries > 8 && name != "alone" && r.IntN(20) > 0 {
					continue
				}
				text := context(secret)
				if name == "in base64" { // its parts are not in the text
					if got := String(text); strings.Contains(got, text) {
						t.Errorf("%s, %s: %s", shape, name, got)
					}
					continue
				}
				if got := String(text); leaked(got, parts) != "" {
					t.Errorf("%s, %s:\n%s\n%s", shape, name, text, got)
					break
				}
			}
			if t.Failed() {
				break
			}
		}
	}
}

func TestNamedVectors(t *testing.T) {
	r := rand.New(rand.NewPCG(14, 4))
	for _, shape := range namedVectors {
		for range 20 {
			secret, parts := expand(r, shape)
			for name, text := range map[string]string{"alone": secret, "in a line": "request failed: " + secret, "in JSON": inJSON(secret)} {
				if got := String(text); leaked(got, parts) != "" {
					t.Errorf("%s, %s:\n%s\n%s", shape, name, text, got)
					break
				}
			}
			if t.Failed() {
				break
			}
		}
	}
}

// Every token has a vector, and is found by its own row: a row that never matches, for whatever reason, is a mistake.
func TestEveryTokenHasAVector(t *testing.T) {
	r := rand.New(rand.NewPCG(14, 5))
	used := make(map[string]bool)
	for _, shape := range vectors {
		secret, _ := expand(r, shape)
		for _, row := range tokens {
			for _, form := range []string{secret, strings.ReplaceAll(secret, "/", `\/`)} {
				if strings.HasPrefix(form, row.prefix) && tokenAt(form, 0, []token{row}) > 0 {
					used[row.prefix] = true
				}
			}
		}
	}
	for _, row := range tokens {
		if !used[row.prefix] {
			t.Errorf("%q has no vector that it matches", row.prefix)
		}
	}
}

// The quick test before an expression must let pass whatever the expression finds. That for tokens once looked for
// "gh" in github_pat_, and found it by chance only.
func TestSignsAreInWhatPatternsFind(t *testing.T) {
	if len(patterns)+len(named) > 64 {
		t.Fatal("a pattern has no bit")
	}
	r := rand.New(rand.NewPCG(14, 6))
	texts := []string{"A cookie: x=1; y=2", "bearer abcdefgh12", "Basic dXNlcjpwYXNz", "x <token>abc</token>", "https://a:b@c/", "?state=abc&x=1", "key = abcdefghijklmnop1"}
	for _, shape := range slices.Concat(vectors, namedVectors) {
		for range 2 {
			secret, _ := expand(r, shape)
			texts = append(texts, secret, "x "+secret+" y", inJSON(secret))
		}
	}
	for _, p := range slices.Concat(patterns, named) {
		signs := p.signs
		if signs == nil {
			signs = nameSigns
		}
		found := false
		for _, text := range texts {
			match := p.find().FindString(text)
			found = found || match != ""
			if match != "" && !holds(strings.ToLower(match), signs) {
				t.Errorf("%s: %q has none of its signs", p.name, match)
			}
			if tried := signsIn(text)&p.bit != 0; tried != holds(strings.ToLower(text), signs) {
				t.Errorf("%s is tried on %q: %v", p.name, text, tried)
			}
		}
		if !found {
			t.Errorf("%s: no vector", p.name)
		}
	}
}

// Every name of a secret has one of nameSigns.
func TestNameSigns(t *testing.T) {
	all := strings.Replace(anywhere, keys, "x", 1) + "|" + alone
	for alternative := range strings.SplitSeq(all, "|") {
		name := strings.NewReplacer("(?:", "", ")", "", "[-_]?", "_").Replace(alternative)
		if !holds(name, nameSigns) {
			t.Errorf("%q has no sign", name)
		}
	}
	for _, name := range []string{"otp", "totp", "psk", "client_assertion", "code_verifier", "account_key", "authKey",
		"app-key", "pat", "sessionid"} {
		if !Secret(name) {
			t.Errorf("%q is no name of a secret", name)
		}
	}
}

// What helps to find a fault stays readable: identifiers of requests, checksums, versions, paths, names.
func TestIdentifiersStay(t *testing.T) {
	r := rand.New(rand.NewPCG(14, 7))
	for _, shape := range []string{
		"cf-ray: {16:h}-FRA", "x-request-id: {8:h}-{4:h}-{4:h}-{4:h}-{12:h}", "request id req_{24:n}",
		"x-oai-request-id: {32:h}", `"thread_id":"{8:h}-{4:h}-{4:h}-{4:h}-{12:h}"`, "trace id {32:h}",
		"traceparent: 00-{32:h}-{16:h}-01", "sha256:{64:h}", "commit {40:h}", "ETag: \"{32:h}\"",
		"version 0.104.0 ({40:h})", "/home/me/.cache/go-build/{2:h}/{64:h}-d", "/tmp/codex-{12:n}/socket",
		"token id {8:h}-{4:h}-{4:h}-{4:h}-{12:h}", "key fingerprint SHA256:{43:n}", "d{14:a}.cloudfront.net",
		"ec2-203-0-113-9.eu-central-1.compute.amazonaws.com", "2a06:98c1:3107::6812:202f", "image@sha256:{64:h}",
		"v0.0.0-20261019101427-{12:h}", "unit codex-{8:h}-{4:h}-{4:h}-{4:h}-{12:h}.scope",
		"rt_sigaction, rt_sigprocmask", "hf_hub_download failed", "npm_config_registry=https://registry.npmjs.org/",
		"npm_lifecycle_event", "https://chatgpt.com/backend-api/codex/responses", "task-list sk",
		"author me, authority example", "chatgpt-account", "service-worker-allowed",
		"access to /var/lib/netwatchd/store.db", "model gpt-5.1-codex-max", "test_connection_refused_by_firewall",
		"key exchange x25519mlkem768", "TLS_AES_128_GCM_SHA256", "api-version 2024-10-21", "public key {64:h}",
		"live_reload_enabled", "authentication at 2026-02-20T02:22:45.123Z failed", "token expired at 1771555365123",
		"secret_manager_is_disabled", "quad9 dns=AAABAAABAAAAAAAAA3d3dwdleGFtcGxlA2NvbQAAAQAB",
		"nameserver 10.255.255.254#53(10.255.255.254)",
		"pid 12345 of /usr/lib/node_modules/@openai/codex/bin/codex.js", "CODEX_SANDBOX_NETWORK_DISABLED=1", "xoxo",
		"sk-SK", "pa-system", "key-value-store", "api-gateway-timeouts",
	} {
		for range 50 {
			text, _ := expand(r, shape)
			if got := String(text); got != text {
				t.Errorf("%s\n got %s\nwant %s", shape, got, text)
				break
			}
		}
	}
}

// ownKeys are the keys that the recordings were made with, also as codex login status prints one.
var ownKeys = regexp.MustCompile(`sk-test\.|sk-mock|sk-proj-\*\*\*lmnop`)

// takenForSecrets are an id of opencode's that is as long and as random as a key, and a word of its help.
var takenForSecrets = regexp.MustCompile(`("sessionID":)"ses_[0-9A-Za-z]+"|(--password +)basic`)

// The recordings of real agents hold no secret. Nothing may be taken out of them but what their own names call one.
func TestRecordingsStayReadable(t *testing.T) {
	lines := 0
	err := filepath.WalkDir("../agent", func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.Contains(path, "/testdata/") {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(text)) {
			if len(line) > 4<<10 {
				continue // no text of this length is kept
			}
			lines++
			line = strings.NewReplacer("<uuid>", "0199a213-81c0-7800-8aa1-bbab2a035a53", "<work>", "/work").Replace(line)
			want := takenForSecrets.ReplaceAllString(ownKeys.ReplaceAllString(line, Mark), "$1$2"+Mark)
			if got := String(line); got != want {
				t.Errorf("%s\n got %s\nwant %s", path, strings.TrimSpace(got), strings.TrimSpace(want))
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if lines < 1000 {
		t.Errorf("only %d lines read", lines)
	}
}
