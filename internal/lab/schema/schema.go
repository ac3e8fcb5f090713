// Package schema compares what commands print with the JSON Schemas of docs/schemas.
package schema

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// Check fails the test if text is not valid by docs/schemas/NAME.json, or has a field that the schema does not describe.
func Check(t testing.TB, name, text string) {
	t.Helper()
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader([]byte(text)))
	if err != nil {
		t.Errorf("%s: %v\n%s", name, err, text)
		return
	}
	if err := compiled(t, name).Validate(value); err != nil {
		t.Errorf("%s: %v\n%s", name, err, text)
	}
	if document, _ := value.(map[string]any); document["schema"] == nil {
		t.Errorf("%s: the document does not name its schema\n%s", name, text)
	}
}

// compiled returns the schema, made strict: a client must accept fields that are added later, the test must not.
func compiled(t testing.TB, name string) *jsonschema.Schema {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(top(t), "docs/schemas", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	strict(document)
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource("urn:test", document); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("urn:test")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// top is the top of the source tree, above the directory of the test.
func top(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for dir != filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		dir = filepath.Dir(dir)
	}
	t.Fatal("no go.mod above the directory of the test")
	return ""
}

// strict refuses fields that are not described. A schema that others are made of by allOf stays open at its top: the
// outer one describes the other fields.
func strict(document any) {
	root, _ := document.(map[string]any)
	delete(root, "$id") // it is compiled under another name
	defs, _ := root["$defs"].(map[string]any)
	part := make(map[any]bool)
	each(document, func(schema map[string]any) {
		parts, _ := schema["allOf"].([]any)
		for _, p := range parts {
			if p, ok := p.(map[string]any); ok {
				part[p["$ref"]] = true
			}
		}
	})
	for name, def := range defs {
		each(def, func(schema map[string]any) {
			if _, ok := schema["properties"].(map[string]any); ok {
				schema["unevaluatedProperties"] = false
			}
		})
		if def, ok := def.(map[string]any); ok && part["#/$defs/"+name] {
			delete(def, "unevaluatedProperties")
		}
	}
}

// each calls f for value and for every object in it.
func each(value any, f func(map[string]any)) {
	switch v := value.(type) {
	case map[string]any:
		for _, inner := range v {
			each(inner, f)
		}
		f(v)
	case []any:
		for _, inner := range v {
			each(inner, f)
		}
	}
}
