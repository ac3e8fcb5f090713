package gen

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
)

//go:embed schemas.yaml
var commandSchemas []byte

// printed are the schemas by the command whose --json they describe.
var printed = []struct{ file, schema, commands string }{
	{"status", "Check", "netwatchd check --json, status --json"},
	{"result", "Result", "netwatchd probe --json"},
	{"incidents", "Incidents", "netwatchd incidents --json"},
	{"record", "Record", "netwatchd explain ID --json"},
	{"backtest", "Backtest", "netwatchd backtest --json"},
	{"doctor", "Doctor", "netwatchd doctor --json"},
	{"store-check", "StoreCheck", "netwatchd store check --json"},
}

// schemas are JSON Schemas (2020-12) of what commands print. OpenAPI 3.1 has its schemas in this dialect, so those of
// the API are taken from there: one description, one meaning.
func schemas(root string, files map[string]string) error {
	text, err := os.ReadFile(filepath.Join(root, "internal/web/openapi.yaml"))
	if err != nil {
		return err
	}
	var api struct {
		Components struct {
			Schemas map[string]any
		}
	}
	if err := yaml.Unmarshal(text, &api); err != nil {
		return err
	}
	all := api.Components.Schemas
	var own map[string]any
	if err := yaml.Unmarshal(commandSchemas, &own); err != nil {
		return fmt.Errorf("schemas.yaml: %w", err)
	}
	for name, schema := range own {
		if all[name] != nil {
			return fmt.Errorf("schemas.yaml: %s is in openapi.yaml", name)
		}
		all[name] = schema
	}
	for _, p := range printed {
		document, err := document(all, p.file, p.schema, p.commands)
		if err != nil {
			return err
		}
		files["docs/schemas/"+p.file+".json"] = document
	}
	return nil
}

const fromComponents = "#/components/schemas/"

var reference = regexp.MustCompile(fromComponents + `(\w+)`)

// document returns the schema of one file, with those that it refers to.
func document(all map[string]any, file, schema, commands string) (string, error) {
	defs := make(map[string]any)
	var gather func(name string) error
	gather = func(name string) error {
		if defs[name] != nil {
			return nil
		}
		if all[name] == nil {
			return fmt.Errorf("%s: no schema %s", file, name)
		}
		defs[name] = all[name]
		text, err := json.Marshal(all[name])
		if err != nil {
			return err
		}
		for _, m := range reference.FindAllStringSubmatch(string(text), -1) {
			if err := gather(m[1]); err != nil {
				return err
			}
		}
		return nil
	}
	if err := gather(schema); err != nil {
		return "", err
	}
	id := "urn:netwatchd:schema:v1:" + file
	defs[schema] = named(defs[schema].(map[string]any), id)
	var b strings.Builder
	encoder := json.NewEncoder(&b)
	encoder.SetIndent("", " ")
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(map[string]any{
		"$schema": "https://json-schema.org/draft/2020-12/schema",
		"$id":     id,
		"title":   commands,
		"$ref":    fromComponents + schema,
		"$defs":   defs,
	})
	return strings.ReplaceAll(b.String(), fromComponents, "#/$defs/"), err
}

// named returns schema with the field that names it in a document.
func named(schema map[string]any, id string) map[string]any {
	properties, _ := schema["properties"].(map[string]any)
	properties = maps.Clone(properties)
	properties["schema"] = map[string]any{"const": id,
		"description": "The schema of the whole document, with its version. Absent from older versions."}
	schema = maps.Clone(schema)
	schema["properties"] = properties
	return schema
}
