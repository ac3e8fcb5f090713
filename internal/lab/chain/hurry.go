package chain

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v3"
)

// A Hurry is how many times faster than in life the chain is run. Every wait of Prometheus and Alertmanager is divided by
// it, so that each stands to each other as shipped: what holds of their order in the hurry holds in life.
//
// What a machine takes for its own work cannot be hurried. It limits the hurry: see docs/alerting.md for what must fit
// between two evaluations.
type Hurry int

// waits are the keys of the three files that say how long.
var waits = []string{"scrape_interval", "evaluation_interval", // Prometheus
	"interval", "for", "keep_firing_for", // its rules
	"group_wait", "group_interval", "repeat_interval"} // Alertmanager

// windows are ranges in PromQL.
var windows = regexp.MustCompile(`\[(\d+[a-z]+)+\]`)

// File returns a shipped file, hurried, for a test to change.
func (h Hurry) File(t testing.TB, path string) map[string]any {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var file map[string]any
	if err := yaml.Unmarshal(text, &file); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	h.hurry(file)
	return file
}

func (h Hurry) hurry(node any) {
	switch node := node.(type) {
	case []any:
		for _, each := range node {
			h.hurry(each)
		}
	case map[string]any:
		for key, value := range node {
			text, isText := value.(string)
			switch {
			case isText && slices.Contains(waits, key):
				node[key] = h.Shorten(text)
			case isText && key == "expr":
				node[key] = windows.ReplaceAllStringFunc(text, func(window string) string {
					return "[" + h.Shorten(strings.Trim(window, "[]")) + "]"
				})
			default:
				h.hurry(value)
			}
		}
	}
}

// Shorten divides a duration as Prometheus and Alertmanager write them.
func (h Hurry) Shorten(duration string) string {
	return fmt.Sprintf("%dms", h.shorten(duration).Milliseconds())
}

func (h Hurry) shorten(duration string) time.Duration {
	d, err := model.ParseDuration(duration)
	if err != nil {
		panic(err) // of a file that promtool and amtool have checked
	}
	return time.Duration(d) / time.Duration(h)
}

// promFlags and pairFlags are what is not in the files. In life these are the defaults, but for the peer timeout.
//
// The failure detector of the pair (cluster.probe-…) keeps its pace: it waits for answers of the other machine, and those
// take what they take.
var (
	promFlags = map[string]string{"rules.alert.resend-delay": "1m", "query.lookback-delta": "5m"}
	pairFlags = map[string]string{"cluster.peer-timeout": peerTimeout, "cluster.gossip-interval": "200ms", "cluster.pushpull-interval": "1m"}
)

// peerTimeout is what docs/alerting.md asks for.
const peerTimeout = "8s"

// Flags are flags, hurried.
func (h Hurry) Flags(flags map[string]string) []string {
	var all []string
	for name, duration := range flags {
		all = append(all, "--"+name+"="+h.Shorten(duration))
	}
	return all
}
