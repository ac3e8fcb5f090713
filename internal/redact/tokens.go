package redact

import (
	"slices"
	"strings"
)

// A token is a kind of secret that shows by its first characters what it is. Prefixes and lengths are facts of the
// services' own documentation and of gitleaks' rules (https://github.com/gitleaks/gitleaks, config/gitleaks.toml).
//
// Tokens are found by comparing each position of a text with all prefixes, and not by expressions behind a quick test
// for a few letters: that test had "gh" for tokens that begin with github_pat_, and was wrong for others.
type token struct {
	prefix string
	of     *alphabet // what follows the prefix
	least  int       // how many of these; fewer than a whole token has, since texts are cut off
}

// An alphabet is a set of octets.
type alphabet [256]bool

func newAlphabet(chars string) *alphabet {
	a := new(alphabet)
	for _, set := range []string{"a-z", "A-Z", "0-9"} {
		if !strings.Contains(chars, set) {
			continue
		}
		chars = strings.ReplaceAll(chars, set, "")
		for c := set[0]; c <= set[2]; c++ {
			a[c] = true
		}
	}
	for _, c := range []byte(chars) {
		a[c] = true
	}
	return a
}

var (
	hex        = newAlphabet("0-9abcdefABCDEF-")
	alnum      = newAlphabet("a-zA-Z0-9")
	upper      = newAlphabet("A-Z0-9-")
	word       = newAlphabet("a-zA-Z0-9_-")
	dotted     = newAlphabet("a-zA-Z0-9_.=-")
	base64Text = newAlphabet("a-zA-Z0-9+/=_-")
	// Services quote keys as sk-abc***xyz. What looks like a word, sk-test, is one too.
	masked = newAlphabet("a-zA-Z0-9_.*~+/=-")
)

var tokens = []token{
	// Of the agents and their models.
	{"sk-", masked, 4}, {"sess-", word, 16}, {"rt_", dotted, 16}, {"rt.", dotted, 6}, {"sk_", word, 16},
	{"rk_", word, 16}, {"gsk_", alnum, 16}, {"xai-", alnum, 16}, {"pplx-", alnum, 16}, {"hf_", alnum, 16},
	{"api_org_", alnum, 16}, {"r8_", alnum, 16}, {"csk-", alnum, 16}, {"fw_", alnum, 16}, {"tvly-", word, 16},
	{"jina_", word, 16}, {"lsv2_", word, 16}, {"pa-", word, 32}, {"nvapi-", word, 16}, {"AIza", word, 16},
	{"ya29.", dotted, 6}, {"1//0", word, 24}, {`1\/\/0`, word, 24}, {"GOCSPX-", word, 10}, {"ctx7sk-", word, 16},
	{"sk_live_", word, 10}, {"sk_test_", word, 10},
	// JSON in base64: a JWT, or the first part of one.
	{"eyJ", dotted, 5},
	// Of code hosts, registries and build services.
	{"ghp_", word, 6}, {"gho_", word, 6}, {"ghu_", word, 6}, {"ghs_", dotted, 6}, {"ghr_", word, 6},
	{"github_pat_", word, 6}, {"glpat-", dotted, 6}, {"glptt-", dotted, 10}, {"gldt-", dotted, 10},
	{"glrt-", dotted, 10}, {"glrtr-", dotted, 10}, {"glcbt-", dotted, 10}, {"glimt-", dotted, 10},
	{"glft-", dotted, 10}, {"glffct-", dotted, 10}, {"gloas-", dotted, 10}, {"glagent-", dotted, 10},
	{"glsoat-", dotted, 10}, {"_gitlab_session=", word, 10}, {"GR1348941", word, 10}, {"ATBB", base64Text, 24},
	{"ATATT3", base64Text, 24}, {"ATCTT3", base64Text, 24}, {"npm_", alnum, 20}, {"pypi-", word, 16},
	{"rubygems_", hex, 16}, {"CLOJARS_", alnum, 20}, {"oy2", alnum, 40}, {"cio", alnum, 32}, {"dckr_pat_", word, 10},
	{"dckr_oat_", word, 10}, {"AKCp", alnum, 40}, {"cmVmd", alnum, 40}, {"CCIPAT_", word, 16}, {"CCIPRJ_", word, 16},
	{"bkua_", hex, 20}, {"sgp_", word, 16}, {"squ_", hex, 20}, {"sqp_", hex, 20}, {"sqa_", hex, 20},
	{"jfrt@", base64Text, 16},
	// Of clouds and hosting.
	{"AKIA", upper, 12}, {"ASIA", upper, 12}, {"ABIA", upper, 12}, {"ACCA", upper, 12}, {"A3T", upper, 17},
	{"bedrock-api-key-", base64Text, 16}, {"ABSK", base64Text, 60}, {"LTAI", alnum, 12}, {"AQVN", word, 24},
	{"YC", word, 38}, {"t1.", dotted, 60}, {"dop_v1_", hex, 16}, {"doo_v1_", hex, 16}, {"dor_v1_", hex, 16},
	{"v1.0-", hex, 40}, {"cfut_", word, 20}, {"cfat_", word, 20}, {"fo1_", word, 24}, {"fm1a_", base64Text, 24},
	{"fm1r_", base64Text, 24}, {"fm2_", base64Text, 24}, {"FlyV1 ", base64Text, 16}, {"HRKU-", word, 20},
	{"rnd_", alnum, 20}, {"vcp_", alnum, 20}, {"vci_", alnum, 20}, {"vca_", alnum, 20}, {"vcr_", alnum, 20},
	{"vck_", alnum, 20}, {"nfp_", alnum, 20}, {"nfc_", alnum, 20}, {"tk-us-", word, 24}, {"pul-", hex, 20},
	{"dapi", hex, 30}, {"sha256~", word, 20}, {"tskey-", word, 10}, {"SCW", alnum, 17}, {"ops_eyJ", base64Text, 16},
	// Of databases and secret stores.
	{"hvs.", dotted, 10}, {"hvb.", dotted, 10}, {"hvr.", dotted, 10}, {"pscale_tkn_", dotted, 10},
	{"pscale_oauth_", dotted, 10}, {"pscale_pw_", dotted, 10}, {"4b1d", alnum, 36}, {"dp.pt.", alnum, 16},
	{"dp.st.", dotted, 16}, {"dp.ct.", alnum, 16}, {"dp.sa.", alnum, 16}, {"dp.scim.", alnum, 16},
	{"dp.audit.", alnum, 16}, {"A3-", upper, 24}, {"AGE-SECRET-KEY-", upper, 16}, {"sbp_", hex, 20},
	{"sb_secret_", word, 10}, {"napi_", alnum, 20}, {"essu_", base64Text, 20}, {"CCDB1_", word, 20},
	{"infra_", alnum, 24}, {"st.", dotted, 60},
	// Of monitoring, messages, payment and the rest.
	{"glc_", base64Text, 16}, {"glsa_", word, 16}, {"NRAK-", word, 16}, {"NRII-", word, 16}, {"NRJS-", hex, 16},
	{"NRRA-", word, 16}, {"dt0c01.", dotted, 16}, {"dt0s01.", dotted, 16}, {"sntrys_", base64Text, 16},
	{"sntryu_", hex, 16}, {"hcaik_", alnum, 20}, {"hcbik_", alnum, 20}, {"xoxb-", word, 6}, {"xoxp-", word, 6},
	{"xoxa-", word, 6}, {"xoxr-", word, 6}, {"xoxs-", word, 6}, {"xoxo-", word, 6}, {"xoxe-", word, 6},
	{"xoxe.", dotted, 6}, {"xoxc-", word, 6}, {"xoxd-", masked, 6}, {"xapp-", word, 10}, {"SG.", dotted, 20},
	{"xkeysib-", word, 16}, {"xsmtpsib-", word, 16}, {"key-", hex, 32}, {"pubkey-", hex, 32}, {"SK", hex, 32},
	{"shpat_", hex, 6}, {"shpca_", hex, 6}, {"shppa_", hex, 6}, {"shpss_", hex, 6}, {"rk_live_", word, 10},
	{"rk_test_", word, 10}, {"whsec_", base64Text, 16}, {"sq0atp-", word, 16}, {"sq0csp-", word, 16},
	{"EAAA", word, 40}, {"EAAM", alnum, 60}, {"EAAC", alnum, 60}, {"IGQV", word, 60}, {"EZAK", alnum, 30},
	{"EZTK", alnum, 30}, {"FLWSECK", word, 12}, {"shippo_live_", hex, 10}, {"shippo_test_", hex, 10},
	{"duffel_live_", dotted, 10}, {"duffel_test_", dotted, 10}, {"access-sandbox-", hex, 20},
	{"access-production-", hex, 20}, {"access-development-", hex, 20}, {"live_", word, 30}, {"test_", hex, 35},
	{"lin_api_", alnum, 16}, {"lin_oauth_", alnum, 16}, {"ntn_", alnum, 16}, {"secret_", alnum, 32},
	{"pat", dotted, 70}, {"figd_", word, 16}, {"figu_", word, 16}, {"figo_", word, 16}, {"fio-u-", dotted, 20},
	{"tfp_", dotted, 20}, {"PMAK-", hex, 16}, {"PMAT-", alnum, 16}, {"pnu_", alnum, 16}, {"rdme_", alnum, 20},
	{"ico-", alnum, 20}, {"API-", upper, 20}, {"p8e-", alnum, 20}, {"dnkey-", word, 20}, {"sm_aat_", alnum, 10},
	{"sm_pat_", alnum, 10}, {"sm_sat_", alnum, 10}, {"sl.", dotted, 60}, {"s-s4t2ud-", hex, 20},
	{"s-s4t2af-", hex, 20}, {"b_", word, 44}, {"waka_", hex, 20}, {"pk.eyJ", dotted, 20}, {"sk.eyJ", dotted, 20},
	{"tk.eyJ", dotted, 20}, {"sdk-", hex, 36}, {"api-", hex, 36}, {"mob-", hex, 36}, {"phx_", alnum, 20},
	{"phc_", alnum, 20}, {"ghost_", hex, 24}, {"re_", word, 24}, {"cal_live_", hex, 16}, {"cla_", word, 24},
	{"pk_live_", word, 10}, {"pk_test_", word, 10}, {"pat-na1-", hex, 20}, {"pat-eu1-", hex, 20}, {"ion_", alnum, 40},
}

// certain is the length from which a prefix is one wherever it stands. A shorter one must begin a word, or "task-list"
// would hold a key.
const certain = 7

// byStart has the tokens by the first two octets of their prefix, the longest prefix first.
var byStart = func() map[uint16][]token {
	all := make(map[uint16][]token)
	for _, t := range tokens {
		all[startAt(t.prefix, 0)] = append(all[startAt(t.prefix, 0)], t)
	}
	for _, some := range all {
		slices.SortStableFunc(some, func(a, b token) int { return len(b.prefix) - len(a.prefix) })
	}
	return all
}()

// starts is the set of byStart's keys. Nearly every position of a text is ruled out by it.
var starts = func() (set [1 << 16 / 64]uint64) {
	for start := range byStart {
		set[start/64] |= 1 << (start % 64)
	}
	return set
}()

func startAt(text string, i int) uint16 { return uint16(text[i])<<8 | uint16(text[i+1]) }

// withoutTokens returns text without tokens.
func withoutTokens(text string) string {
	var b strings.Builder
	done := 0
	for i := 0; i+1 < len(text); {
		n, start := 0, startAt(text, i)
		if starts[start/64]&(1<<(start%64)) != 0 {
			n = tokenAt(text, i, byStart[start])
		}
		if n == 0 {
			i++
			continue
		}
		b.WriteString(text[done:i] + Mark)
		i += n
		done = i
	}
	if done == 0 {
		return text
	}
	return b.String() + text[done:]
}

// tokenAt returns the length of the token at i, or 0.
func tokenAt(text string, i int, some []token) int {
	for _, t := range some {
		if !strings.HasPrefix(text[i:], t.prefix) || len(t.prefix) < certain && !beginsWord(text, i) {
			continue
		}
		end := i + len(t.prefix)
		for end < len(text) && (t.of[text[end]] || t.of['/'] && strings.HasPrefix(text[end:], `\/`)) { // as PHP writes JSON
			end++
		}
		if body := text[i+len(t.prefix) : end]; len(body) >= t.least && (t.of == masked || isOpaque(body)) {
			return end - i
		}
	}
	return 0
}

// beginsWord reports whether a word begins at i: after anything but a letter, a digit or an underscore, or after an
// escape of a URL (%3D), which ends in one.
func beginsWord(text string, i int) bool {
	return i == 0 || !isWord(text[i-1]) || i >= 3 && text[i-3] == '%' && isHex(text[i-2]) && isHex(text[i-1])
}

func isWord(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_'
}

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}

// unbroken is how many lower-case letters in a row are no word of an identifier: nearly all of those are shorter.
const unbroken = 16

// isOpaque reports whether body is not made of plain lower-case words, as npm_config_registry, rt_sigprocmask and
// hf_hub_download are.
func isOpaque(body string) bool {
	letters := 0
	for _, c := range []byte(body) {
		switch {
		case c >= 'a' && c <= 'z':
			if letters++; letters >= unbroken {
				return true
			}
		case c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '*':
			return true
		default:
			letters = 0
		}
	}
	return false
}

// withoutDiscordBots returns text without tokens of Discord bots: 23 to 28 octets that begin with M, N or O, 6, and
// 27 or more, with dots between them. An expression for it would be tried on every text with a dot.
func withoutDiscordBots(text string) string {
	for i := 0; i+8 < len(text); i++ {
		if text[i] != '.' || text[i+7] != '.' {
			continue
		}
		begin, end := i, i+8
		for begin > 0 && word[text[begin-1]] {
			begin--
		}
		for end < len(text) && word[text[end]] {
			end++
		}
		if first := i - begin; first < 23 || first > 28 || end-i-8 < 27 || strings.IndexByte("MNO", text[begin]) < 0 ||
			strings.ContainsFunc(text[i+1:i+7], func(r rune) bool { return r > 127 || !word[r] }) {
			continue
		}
		text = text[:begin] + Mark + text[end:]
		i = begin + len(Mark)
	}
	return text
}
