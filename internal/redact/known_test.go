package redact

import (
	"encoding/base64"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A secret of the configuration is removed in every form, although nothing about it looks like one.
func TestKnow(t *testing.T) {
	const plain, odd = "correct horse", `a "b" c/d?e`
	t.Cleanup(func() { Know("test"); Know("test") })
	if got := String("said " + plain); got != "said "+plain {
		t.Fatalf("%q before it is known", got)
	}
	Know("test", plain, odd, "", "abc")
	for _, text := range []string{
		plain, odd, url.QueryEscape(plain), url.PathEscape(odd), `{"x":"a \"b\" c/d?e"}`,
		base64.StdEncoding.EncodeToString([]byte(plain)), base64.StdEncoding.EncodeToString([]byte("desk:" + plain)),
		strings.ToUpper("x") + plain + "y",
	} {
		if got := String("before " + text + " after"); !strings.Contains(got, Mark) || strings.Contains(got, plain) ||
			!strings.HasPrefix(got, "before ") || !strings.HasSuffix(got, " after") {
			t.Errorf("String(%q) = %q", text, got)
		}
	}
	if got := String("abc"); got != "abc" {
		t.Errorf("%q: a short secret tears holes", got)
	}
	Know("test", "another one")
	Know("test", "another one") // the same again is no rotation
	if got := String(plain); got != Mark {
		t.Errorf("%q was rotated a moment ago", got)
	}
	Know("test", "a third one")
	if got := String(plain); got != plain {
		t.Errorf("%q was rotated twice", got)
	}
}

func TestArgs(t *testing.T) {
	for _, test := range []struct {
		args, want string
		secrets    []string
	}{
		{"tool --password X1y2 --fast", "tool --password [secret] --fast", []string{"X1y2"}},
		{"tool --api-key=X1y2 run", "tool --api-key=[secret] run", []string{"X1y2"}},
		{"env API_TOKEN=X1y2 tool", "env API_TOKEN=[secret] tool", []string{"X1y2"}},
		{"curl -u me:X1y2 https://h/", "curl -u [secret] https://h/", []string{"me:X1y2"}},
		{"curl -u 1000 https://h/", "curl -u 1000 https://h/", nil},
		{"tool --token --verbose", "tool --token --verbose", nil},
		{"codex sandbox linux -- netwatchd probe", "codex sandbox linux -- netwatchd probe", nil},
		{"unshare --net --map-root-user --", "unshare --net --map-root-user --", nil},
	} {
		clean, secrets := Args(strings.Fields(test.args))
		if got := strings.Join(clean, " "); got != test.want || !slices.Equal(secrets, test.secrets) {
			t.Errorf("Args(%s) = %s, %q", test.args, got, secrets)
		}
	}
}

func TestInURL(t *testing.T) {
	for text, want := range map[string][]string{
		"https://h/p?x=1": nil,
		"https://h/p?sig=S&api_key=K&token=T&page=2": {"K", "S", "T"},
		"https://u:p@h/":   {"p"},
		"https://token@h/": {"token"},
	} {
		u, err := url.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, InURL(u)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
	}
	if InURL(nil) != nil {
		t.Error("no URL has a secret")
	}
}
