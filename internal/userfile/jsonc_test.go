package userfile

import (
	"encoding/json"
	"testing"
)

func TestWithoutComments(t *testing.T) {
	for text, want := range map[string]string{
		`{"a": 1}`: `{"a":1}`,
		"// mine\n{\"a\": 1, // one\n\"b\": [1, 2,],\n}":   `{"a":1,"b":[1,2]}`,
		`{"a": /* "b": 2, */ 1, /**/}`:                     `{"a":1}`,
		`{"url": "https://x.test/a//b", "c": "/* \" ,] "}`: `{"c":"/* \" ,] ","url":"https://x.test/a//b"}`,
		`{"a": 1,,}`:        "",
		`{"a": 1 /* no end`: "",
		`{"a": "no end\`:    "",
		`/`:                 "",
		`// nothing`:        "",
	} {
		var v any
		got := ""
		if json.Unmarshal(WithoutComments([]byte(text)), &v) == nil {
			out, err := json.Marshal(v)
			if err != nil {
				t.Fatal(err)
			}
			got = string(out)
		}
		if got != want {
			t.Errorf("%s: got %s, want %s", text, got, want)
		}
	}
}

// FuzzWithoutComments: JSON stays what it is, and no text makes it panic.
func FuzzWithoutComments(f *testing.F) {
	f.Add([]byte(`{"a": [1, {"b": "//"}]} // x`))
	f.Add([]byte("/*\\\""))
	f.Fuzz(func(t *testing.T, text []byte) {
		plain := WithoutComments(text)
		var before, after any
		if json.Unmarshal(text, &before) != nil {
			return
		}
		if err := json.Unmarshal(plain, &after); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	})
}
