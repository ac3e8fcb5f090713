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

// A TimeScale divides every wait of Prometheus and Alertmanager, so that their proportions and order stay as shipped.
//
// The machine's own work does not scale, which limits the time scale: docs/alerting.md says what must fit between two
// evaluations.
type TimeScale int

// waits are the keys of durations in the three files.
var waits = []string{"scrape_interval", "evaluation_interval", // Prometheus
	"interval", "for", "keep_firing_for", // its rules
	"group_wait", "group_interval", "repeat_interval"} // Alertmanager

// windows are ranges in PromQL.
var windows = regexp.MustCompile(`\[(\d+[a-z]+)+\]`)

// File returns a shipped file with scaled durations.
func (h TimeScale) File(t testing.TB, path string) map[string]any {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var file map[string]any
	if err := yaml.Unmarshal(text, &file); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	h.scale(file)
	return file
}

func (h TimeScale) scale(node any) {
	switch node := node.(type) {
	case []any:
		for _, each := range node {
			h.scale(each)
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
				h.scale(value)
			}
		}
	}
}

// Shorten scales a duration in Prometheus' notation.
func (h TimeScale) Shorten(duration string) string {
	return fmt.Sprintf("%dms", h.shorten(duration).Milliseconds())
}

func (h TimeScale) shorten(duration string) time.Duration {
	d, err := model.ParseDuration(duration)
	if err != nil {
		panic(err) // promtool and amtool have checked the file
	}
	return time.Duration(d) / time.Duration(h)
}

// promFlags and pairFlags are durations that are flags. Except for the peer timeout these are the defaults.
//
// The failure detector of the pair (cluster.probe-…) is not scaled: it waits for answers of the other process, which
// take their time.
var (
	promFlags = map[string]string{"rules.alert.resend-delay": "1m", "query.lookback-delta": "5m"}
	pairFlags = map[string]string{
		"cluster.peer-timeout":      peerTimeout,
		"cluster.gossip-interval":   "200ms",
		"cluster.pushpull-interval": "1m",
	}
)

// peerTimeout is what docs/alerting.md asks for.
const peerTimeout = "8s"

// Flags returns flags with scaled durations.
func (h TimeScale) Flags(flags map[string]string) []string {
	var all []string
	for name, duration := range flags {
		all = append(all, "--"+name+"="+h.Shorten(duration))
	}
	return all
}
