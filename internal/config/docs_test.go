package config

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"
)

const reference = "../../docs/configuration.md"

func TestTheReferenceHasTheKeysOfTheExample(t *testing.T) {
	var document yaml.Node
	if err := yaml.Unmarshal([]byte(exampleWithReceivers(t)), &document); err != nil {
		t.Fatal(err)
	}
	// Keys that the example cannot set without changing its meaning: the expected response to an upgrade, a proxy's
	// file, other sources of a secret, what a service has instead of the configuration's.
	want := []string{"services[].controls", "services[].resolvers.system", "services[].resolvers.files",
		"services[].resolvers.direct", "expect.status", "expect.headers", "expect.body", "expect.body_limit", "proxy_file",
		"basic_auth.password_env", "bearer_token_file", "bearer_token_env"}
	collect(document.Content[0], "", &want)
	slices.Sort(want)
	if diff := cmp.Diff(slices.Compact(want), documented(t)); diff != "" {
		t.Errorf("(-example +docs/configuration.md):\n%s", diff)
	}
}

// documented are the keys in the tables under "Keys".
func documented(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile(reference)
	if err != nil {
		t.Fatal(err)
	}
	_, tables, _ := strings.Cut(string(text), "## Keys")
	var keys []string
	for line := range strings.Lines(tables) {
		if cells := strings.Split(line, "|"); len(cells) > 3 {
			for _, key := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(cells[1], -1) {
				keys = append(keys, key[1])
			}
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// collect adds the paths of the leaves below node as the reference writes them: those of probes and receivers without
// the path of their list.
func collect(node *yaml.Node, path string, keys *[]string) {
	for _, list := range []string{"services[].probes", "push.remote_write", "push.otlp"} {
		path = strings.TrimPrefix(path, list+"[].")
	}
	mappings := []string{"controls[].expect", "expect.headers", "labels"} // documented as one value
	switch leaf := len(node.Content) == 0 || node.Content[0].Kind == yaml.ScalarNode; {
	case node.Kind == yaml.MappingNode && len(node.Content) > 0 && !slices.Contains(mappings, path):
		for i := 0; i < len(node.Content); i += 2 {
			collect(node.Content[i+1], strings.TrimPrefix(path+"."+node.Content[i].Value, "."), keys)
		}
	case node.Kind == yaml.SequenceNode && !leaf:
		if path == "services[].probes" || strings.HasPrefix(path, "push.") {
			*keys = append(*keys, path)
		}
		for _, item := range node.Content {
			collect(item, path+"[]", keys)
		}
	case path != "expect":
		*keys = append(*keys, path)
	}
}

func TestTheReferenceHasTheFlags(t *testing.T) {
	text, err := os.ReadFile(reference)
	if err != nil {
		t.Fatal(err)
	}
	flags := pflag.NewFlagSet("netwatchd", pflag.ContinueOnError)
	BindFlags(flags)
	flags.VisitAll(func(f *pflag.Flag) {
		row := regexp.MustCompile("(?m)^\\| `--" + regexp.QuoteMeta(f.Name) + "`.*\\| `" + variable(f.Name) + "`")
		if !row.Match(text) {
			t.Errorf("--%s with %s is not in %s", f.Name, variable(f.Name), reference)
		}
	})
}
