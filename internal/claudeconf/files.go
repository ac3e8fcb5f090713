package claudeconf

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"netwatchd/internal/redact"
	"netwatchd/internal/userfile"
)

// A File is what is read of a settings file.
type File struct {
	Path string // abbreviated

	Env     []string // name=value, in the order of their names
	Helper  string   // apiKeyHelper, a command that prints a key
	Sandbox sandbox

	Permissions permissions

	managed bool // the administrator's
}

type sandbox struct {
	Enabled *bool `json:"enabled"`
	Weaker  *bool `json:"enableWeakerNestedSandbox"`
	Network struct {
		Allowed     []string `json:"allowedDomains"`
		Denied      []string `json:"deniedDomains"`
		ManagedOnly *bool    `json:"allowManagedDomainsOnly"`
		AllUnix     *bool    `json:"allowAllUnixSockets"`
		HTTPProxy   *int     `json:"httpProxyPort"`
	} `json:"network"`
}

type permissions struct {
	Allow []string `json:"allow"`
	Deny  []string `json:"deny"`
}

const managedFile = "managed-settings.json"

// noteLimit is enough for a sentence and the longest path that people have, in bytes.
const noteLimit = 400

// Files returns the settings files that can be read, the one that wins last: the user's, then the administrator's,
// with those of managed-settings.d in the order of the bytes of their names. Claude ignores hidden files there. The
// notes say what is wrong with a file, without any content of it, which may be a key.
func (s Setup) Files() (files []File, notes []string) {
	var paths []string
	if s.Dir != "" {
		paths = append(paths, filepath.Join(s.Dir, "settings.json"))
	}
	ofUser := len(paths)
	paths = append(paths, filepath.Join(s.System, managedFile))
	more, _ := filepath.Glob(filepath.Join(s.System, "managed-settings.d", "*.json")) // sorted
	paths = append(paths, slices.DeleteFunc(more, isHidden)...)
	for i, path := range paths {
		f := File{Path: redact.Line(userfile.Short(path), noteLimit), managed: i >= ofUser}
		text, err := userfile.Read(path)
		if err != nil {
			notes = append(notes, userfile.Notes(path, err)...)
			continue
		}
		counts, err := f.decode(text)
		notes = append(notes, userfile.Notes(path, err)...)
		if counts {
			files = append(files, f)
		}
	}
	return files, notes
}

func isHidden(path string) bool { return strings.HasPrefix(filepath.Base(path), ".") }

// decode reads text, and reports whether claude uses the file. It ignores the whole file of a user in which one value
// has another type; of the administrator's it ignores that value alone, and takes sandbox.enabled for true then. It
// does not start if the administrator's file is not JSON, unless that is empty.
func (f *File) decode(text []byte) (counts bool, err error) {
	if f.managed && len(bytes.TrimSpace(text)) == 0 {
		return false, nil
	}
	var raw struct {
		Env         map[string]value `json:"env"`
		Helper      string           `json:"apiKeyHelper"`
		Sandbox     sandbox          `json:"sandbox"`
		Permissions permissions      `json:"permissions"`
	}
	err = f.explain(text, json.Unmarshal(text, &raw))
	wrongType := errors.Is(err, errType)
	if err != nil && !wrongType {
		return false, err
	}
	f.Helper, f.Sandbox, f.Permissions = raw.Helper, raw.Sandbox, raw.Permissions
	for _, name := range slices.Sorted(maps.Keys(raw.Env)) {
		v := raw.Env[name]
		if v.isList && err == nil {
			err = f.wrongType("env."+name, "list or an object", "string")
		}
		if !v.isList {
			f.Env = append(f.Env, name+"="+v.text)
		}
	}
	if f.managed && wrongType && isEnabledOddly(text) {
		f.Sandbox.Enabled = new(true)
	}
	return f.managed || err == nil, err
}

// errType is an error about a value of another type than claude expects.
var errType = errors.New("")

func (f *File) wrongType(key, is, must string) error {
	ignored := "is ignored by claude"
	if f.managed {
		ignored = "has a value that is ignored by claude"
	}
	return fmt.Errorf("%s: %s is a %s where it must be a %s%w", ignored, key, is, must, errType)
}

// explain names the problem of an error of the decoder.
func (f *File) explain(text []byte, err error) error {
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return f.wrongType(redact.Line(wrong.Field, noteLimit), wrong.Value, wrong.Type.String())
	}
	syntax, ok := errors.AsType[*json.SyntaxError](err)
	if !ok {
		return err
	}
	line := 1 + bytes.Count(text[:min(int(syntax.Offset), len(text))], []byte{'\n'})
	if f.managed {
		return fmt.Errorf("is not valid JSON at line %d, so claude does not start: fix or remove it", line)
	}
	return fmt.Errorf("is not valid JSON at line %d, so claude ignores it", line)
}

// isEnabledOddly reports whether sandbox.enabled is something other than true, false and null.
func isEnabledOddly(text []byte) bool {
	var f struct {
		Sandbox struct {
			Enabled any `json:"enabled"`
		} `json:"sandbox"`
	}
	_ = json.Unmarshal(text, &f) // decode has reported what is wrong
	_, isBool := f.Sandbox.Enabled.(bool)
	return f.Sandbox.Enabled != nil && !isBool
}

// A value is one of a variable. Claude takes a number, true and null by their text.
type value struct {
	text   string
	isList bool // a list or an object
}

// UnmarshalJSON never fails, so that the rest of the file is read.
func (v *value) UnmarshalJSON(text []byte) error {
	var s string
	switch {
	case bytes.HasPrefix(text, []byte("[")) || bytes.HasPrefix(text, []byte("{")):
		v.isList = true
	case json.Unmarshal(text, &s) == nil && string(text) != "null":
		v.text = s
	default:
		v.text = string(text)
	}
	return nil
}
