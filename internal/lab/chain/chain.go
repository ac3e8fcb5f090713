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

// A Chain is an office with a Prometheus, a pair of Alertmanagers and an inbox, which watches desks elsewhere.
type Chain struct {
	Hurry      Hurry
	Inbox      *Inbox
	Pair       []*prom.Alertmanager
	Prometheus *prom.Prometheus

	dir    string
	office *parts.Namespace
}

// patience only tells slow from stuck: the longest hold is a quarter of an hour, and a ticket's end is told within five minutes
// more; what cannot be hurried takes some seconds.
func (c *Chain) patience() time.Duration { return c.Hurry.shorten("25m") + time.Minute }

// inboxAddress is where the shipped routes lead to.
const inboxAddress = "127.0.0.1:19500"

// Start starts a chain. Of the desks it is told the names; each is connected later.
func Start(t testing.TB, release prom.Release, h Hurry, desks []string) *Chain {
	t.Helper()
	c := open(t, h)
	c.pair(t, release, always, "127.0.0.1", "127.0.0.2")
	c.write(t, "netwatchd.rules.yml", h.File(t, shippedFile(t, "prometheus/netwatchd.rules.yml")))
	config := h.File(t, shippedFile(t, "prometheus/prometheus.yml"))
	c.aim(config, desks)
	c.Prometheus = prom.StartPrometheus(t, c.office, release.Prometheus, c.write(t, "prometheus.yml", config),
		filepath.Join(c.dir, "tsdb"), "127.0.0.1:9090", h.Flags(promFlags)...)
	return c
}

// open opens the office, with nothing but the inbox.
func open(t testing.TB, h Hurry) *Chain {
	t.Helper()
	parts.Need(t)
	c := &Chain{Hurry: h, Inbox: NewInbox(), dir: t.TempDir()}
	var err error
	if c.office, err = parts.NewNamespace("netwatchd-office", false); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.office.Close)
	door, err := c.office.Listen("tcp", inboxAddress)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: c.Inbox}
	go server.Serve(door)
	t.Cleanup(func() { server.Close() })
	return c
}

func shippedFile(t testing.TB, name string) string {
	return filepath.Join(prom.Root(t), "deploy", name)
}

// pair starts Alertmanagers with the shipped routes, but for the hours.
func (c *Chain) pair(t testing.TB, release prom.Release, working hours, ips ...string) {
	t.Helper()
	c.Pair = prom.StartAlertmanagers(t, c.office, release.Alertmanager, c.routes(t, working), c.dir, ips, c.Hurry.Flags(pairFlags)...)
}

// hours are when tickets are told: a time interval of Alertmanager.
type hours map[string]any

// always is when they are told in a test that does not choose when it is run.
var always = hours{}

// routes writes the shipped routes with those working hours, and returns where.
func (c *Chain) routes(t testing.TB, working hours) string {
	t.Helper()
	file := c.Hurry.File(t, shippedFile(t, "alertmanager/alertmanager.yml"))
	for _, each := range file["time_intervals"].([]any) {
		each.(map[string]any)["time_intervals"] = []any{working}
	}
	return c.write(t, "alertmanager.yml", file)
}

// KillOne kills the Alertmanager of the pair that speaks first, as soon as the other knows all that it has told. What one
// alone knows to have told dies with it, and would be told again: that is as Alertmanager is made.
func (c *Chain) KillOne(t testing.TB) {
	t.Helper()
	slices.SortFunc(c.Pair, func(a, b *prom.Alertmanager) int { return cmp.Compare(a.Name(t), b.Name(t)) })
	first, second := c.Pair[0], c.Pair[1]
	told, states := -1, 0.0
	err := parts.Eventually(c.patience(), func() error {
		known, err := second.Metric(`alertmanager_cluster_messages_received_total{msg_type="full_state"}`)
		if err != nil {
			return err
		}
		if now := c.Inbox.From(first.Address); now != told {
			told, states = now, known
		}
		// The state that is on its way already may be older than the last message; the one after it is not. Gossip of single
		// messages is no measure: it may be lost, or overtaken by the state.
		if known < states+2 {
			return fmt.Errorf("%s has told %d, and since then %s has got its state %v times", first.Address, told, second.Address, known-states)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	first.Kill()
}

// aim points Prometheus at the desks and at the pair.
func (c *Chain) aim(config map[string]any, desks []string) {
	var managers, targets []any
	for _, a := range c.Pair {
		managers = append(managers, a.Address)
	}
	for i, desk := range desks {
		targets = append(targets, map[string]any{"targets": []any{deskAddress(i)}, "labels": map[string]any{"instance": desk}})
	}
	alerting := config["alerting"].(map[string]any)["alertmanagers"].([]any)[0].(map[string]any)
	alerting["static_configs"] = []any{map[string]any{"targets": managers}}
	config["scrape_configs"].([]any)[0].(map[string]any)["static_configs"] = targets
}

// deskAddress is where the office reaches a desk's netwatchd.
func deskAddress(desk int) string { return fmt.Sprintf("127.0.1.%d:19405", desk+1) }

// Connect makes a desk's netwatchd, which listens on its own host only, reachable from the office, as `ssh -L` does: over
// a way of its own, which stays when the desk's network is bent.
func (c *Chain) Connect(t testing.TB, desk int, w *world.World) {
	t.Helper()
	listener, err := c.office.Listen("tcp", deskAddress(desk))
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
	text, err := json.Marshal(file) // which is YAML
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(c.dir, name)
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
