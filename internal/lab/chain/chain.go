package chain

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"netwatchd/internal/lab/parts"
	"netwatchd/internal/lab/prom"
	"netwatchd/internal/lab/world"
)

// A Chain is a monitoring site: a Prometheus, a pair of Alertmanagers and an inbox. It watches the hosts of the cases.
type Chain struct {
	Scale      TimeScale
	Inbox      *Inbox
	Pair       []*prom.Alertmanager
	Prometheus *prom.Prometheus

	dir  string
	site *parts.Namespace
}

// patience bounds each wait: the longest hold is 15 minutes, and a ticket's resolution is sent within another five.
// What does not scale takes some seconds.
func (c *Chain) patience() time.Duration { return c.Scale.shorten("25m") + time.Minute }

// inboxAddress is the receiver of the shipped routes.
const inboxAddress = "127.0.0.1:19500"

// Start starts a chain for the cases of these names. Each is connected later.
func Start(t testing.TB, release prom.Release, scale TimeScale, cases []string) *Chain {
	t.Helper()
	c := open(t, scale)
	c.pair(t, release, always, "127.0.0.1", "127.0.0.2")
	c.write(t, "netwatchd.rules.yml", scale.File(t, shippedFile(t, "prometheus/netwatchd.rules.yml")))
	config := scale.File(t, shippedFile(t, "prometheus/prometheus.yml"))
	c.aim(config, cases)
	c.Prometheus = prom.StartPrometheus(t, c.site, release.Prometheus, c.write(t, "prometheus.yml", config),
		filepath.Join(c.dir, "tsdb"), "127.0.0.1:9090", scale.Flags(promFlags)...)
	return c
}

// open creates the monitoring site with its inbox only.
func open(t testing.TB, scale TimeScale) *Chain {
	t.Helper()
	parts.Need(t)
	c := &Chain{Scale: scale, Inbox: NewInbox(), dir: t.TempDir()}
	var err error
	if c.site, err = parts.NewNamespace("netwatchd-site", false); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.site.Close)
	listener, err := c.site.Listen("tcp", inboxAddress)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: c.Inbox}
	go server.Serve(listener)
	t.Cleanup(func() { server.Close() })
	return c
}

func shippedFile(t testing.TB, name string) string {
	return filepath.Join(prom.Root(t), "deploy", name)
}

// pair starts Alertmanagers with the shipped routes and these working hours.
func (c *Chain) pair(t testing.TB, release prom.Release, working hours, ips ...string) {
	t.Helper()
	c.Pair = prom.StartAlertmanagers(
		t,
		c.site,
		release.Alertmanager,
		c.routes(t, working),
		c.dir,
		ips,
		c.Scale.Flags(pairFlags)...)
}

// hours are the working hours, in which tickets are sent: a time interval of Alertmanager.
type hours map[string]any

// always is for tests that run at any time.
var always = hours{}

// routes writes the shipped routes with these working hours, and returns the path.
func (c *Chain) routes(t testing.TB, working hours) string {
	t.Helper()
	file := c.Scale.File(t, shippedFile(t, "alertmanager/alertmanager.yml"))
	for _, each := range file["time_intervals"].([]any) {
		each.(map[string]any)["time_intervals"] = []any{working}
	}
	return c.write(t, "alertmanager.yml", file)
}

// KillOne kills the Alertmanager that notifies first, once the other has its whole state. A notification that only the
// killed one knows of is sent again by the other: Alertmanager works that way.
func (c *Chain) KillOne(t testing.TB) {
	t.Helper()
	slices.SortFunc(c.Pair, func(a, b *prom.Alertmanager) int { return cmp.Compare(a.Name(t), b.Name(t)) })
	first, second := c.Pair[0], c.Pair[1]
	sent, states := -1, 0.0
	err := parts.Eventually(c.patience(), func() error {
		known, err := second.Metric(`alertmanager_cluster_messages_received_total{msg_type="full_state"}`)
		if err != nil {
			return err
		}
		if now := c.Inbox.From(first.Address); now != sent {
			sent, states = now, known
		}
		// A full state that is already under way may be older than the last message; the next one is not. Gossip of single
		// messages proves nothing: it may be lost, or overtaken by the full state.
		if known < states+2 {
			return fmt.Errorf(
				"%s has sent %d messages, and since then %s got its state %v times",
				first.Address,
				sent,
				second.Address,
				known-states,
			)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	first.Kill()
}

// aim points Prometheus at the hosts of the cases and at the Alertmanagers.
func (c *Chain) aim(config map[string]any, cases []string) {
	var managers, targets []any
	for _, a := range c.Pair {
		managers = append(managers, a.Address)
	}
	for i, name := range cases {
		targets = append(
			targets,
			map[string]any{"targets": []any{caseAddress(i)}, "labels": map[string]any{"instance": name}},
		)
	}
	alerting := config["alerting"].(map[string]any)["alertmanagers"].([]any)[0].(map[string]any)
	alerting["static_configs"] = []any{map[string]any{"targets": managers}}
	config["scrape_configs"].([]any)[0].(map[string]any)["static_configs"] = targets
}

// caseAddress is where the monitoring site reaches a case's netwatchd.
func caseAddress(i int) string { return fmt.Sprintf("127.0.1.%d:19405", i+1) }

// Connect makes a case's netwatchd, which listens on loopback only, reachable from the monitoring site, as `ssh -L`
// does. The connection does not use the network of the case, so that it survives the fault.
func (c *Chain) Connect(t testing.TB, i int, w *world.World) {
	t.Helper()
	listener, err := c.site.Listen("tcp", caseAddress(i))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			here, err := listener.Accept()
			if err != nil {
				return
			}
			go forward(here, w.Host)
		}
	}()
}

func forward(here net.Conn, host *parts.Namespace) {
	defer here.Close()
	var there net.Conn
	err := host.Do(func() (err error) {
		there, err = net.DialTimeout("tcp", "127.0.0.1:19405", time.Second)
		return err
	})
	if err != nil {
		return
	}
	defer there.Close()
	go func() { io.Copy(there, here); there.Close() }()
	io.Copy(here, there)
}

func (c *Chain) write(t testing.TB, name string, file map[string]any) string {
	t.Helper()
	text, err := json.Marshal(file) // JSON is YAML
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(c.dir, name)
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
