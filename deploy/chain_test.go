package deploy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

// hurry is how many times faster than shipped the chain is run: an outage is then held for six seconds, the sandbox for four,
// which leaves a busy machine two whole evaluations between them.
const hurry = 30

// A chain is a Prometheus, a pair of Alertmanagers and a receiver, with the shipped rules and routes, fed by an exporter
// that shows what the test says.
type chain struct {
	t        *testing.T
	dir      string
	managers []*manager

	mu     sync.Mutex
	shown  map[string]string // value by series
	told   []notice
	before int // how many of those were told before what is shown now
}

type manager struct {
	address string
	cmd     *exec.Cmd
}

// A notice is one alert in one message to one receiver.
type notice struct{ receiver, status, alert string }

func TestChain(t *testing.T) {
	for _, name := range []string{"prometheus", "alertmanager"} {
		tool(t, name)
	}
	if testing.Short() {
		t.Skip("takes a minute")
	}
	c := startChain(t)

	c.show("upstream", "upstream")
	c.awaitNotice(notice{"pager", "firing", "CodexUpstreamOutage"})
	c.show("healthy")
	c.awaitNotice(notice{"pager", "resolved", "CodexUpstreamOutage"})

	// The sandbox alone is a ticket, and holds back a page of its host, wherever that comes from.
	c.show("sandbox", "sandbox")
	c.awaitNotice(notice{"tickets", "firing", "CodexSandboxNetworkBlocked"})
	c.show("sandbox", "sandbox", "upstream")
	c.await("the page to fire and be silenced", func() bool { return c.silenced("CodexUpstreamOutage") })

	// The service is down as well, and that is why: the page gets through.
	c.show("upstream", "sandbox", "upstream")
	c.awaitNotice(notice{"pager", "firing", "CodexUpstreamOutage"})
	c.show("healthy")
	c.awaitNotice(notice{"pager", "resolved", "CodexUpstreamOutage"})

	// Both begin in the same moment.
	c.show("upstream", "sandbox", "upstream")
	c.awaitNotice(notice{"pager", "firing", "CodexUpstreamOutage"})
	c.show("healthy")
	c.awaitNotice(notice{"pager", "resolved", "CodexUpstreamOutage"})

	// One that is killed takes along what it alone knows to have been told. By the time that another alert has come and gone
	// the pair has agreed on the page.
	c.show("sandbox", "sandbox")
	c.awaitNotice(notice{"tickets", "firing", "CodexSandboxNetworkBlocked"})
	c.show("healthy")
	c.awaitNotice(notice{"tickets", "resolved", "CodexSandboxNetworkBlocked"})
	c.kill(0)
	c.show("upstream", "upstream")
	c.awaitNotice(notice{"pager", "firing", "CodexUpstreamOutage"})
	c.show("healthy")
	c.awaitNotice(notice{"pager", "resolved", "CodexUpstreamOutage"})

	firing, resolved := notice{"pager", "firing", "CodexUpstreamOutage"}, notice{"pager", "resolved", "CodexUpstreamOutage"}
	want := []notice{firing, resolved, firing, resolved, firing, resolved, firing, resolved}
	if diff := cmp.Diff(want, c.toldTo("pager"), cmp.AllowUnexported(notice{})); diff != "" {
		t.Errorf("what the pager was told (-want +got):\n%s", diff)
	}
}

func startChain(t *testing.T) *chain {
	c := &chain{t: t, dir: t.TempDir()}
	c.show("healthy")
	exporter := httptest.NewServer(http.HandlerFunc(c.metrics))
	receiver := httptest.NewServer(http.HandlerFunc(c.receive))
	t.Cleanup(exporter.Close)
	t.Cleanup(receiver.Close)

	c.write("am.yml", hurriedRoutes(t, receiver.URL))
	gossip := []string{freeAddress(t), freeAddress(t)}
	for i := range gossip {
		c.startManager(i, gossip[i], gossip[1-i])
	}
	for _, m := range c.managers {
		c.await("the Alertmanagers to find each other", func() bool { return m.ready() })
	}

	c.write("rules.yml", hurriedRules(t))
	var targets []string
	for _, m := range c.managers {
		targets = append(targets, m.address)
	}
	c.write("prom.yml", fmt.Appendf(nil, "global: {scrape_interval: 1s, evaluation_interval: 1s}\nrule_files: [rules.yml]\n"+
		"alerting: {alertmanagers: [{static_configs: [{targets: [%s]}]}]}\n"+
		"scrape_configs: [{job_name: netwatchd, static_configs: [{targets: [%s]}]}]\n",
		strings.Join(targets, ", "), strings.TrimPrefix(exporter.URL, "http://")))
	c.start("prometheus", "prometheus", "--config.file=prom.yml", "--storage.tsdb.path=prom", "--web.listen-address="+freeAddress(t))
	return c
}

func (c *chain) startManager(i int, own, other string) {
	m := &manager{address: freeAddress(c.t)}
	m.cmd = c.start(fmt.Sprintf("alertmanager%d", i), "alertmanager", "--config.file=am.yml", fmt.Sprintf("--storage.path=am%d", i),
		"--web.listen-address="+m.address, "--cluster.listen-address="+own, "--cluster.advertise-address="+own, "--cluster.peer="+other,
		// the one that speaks second waits so long for word of the first
		"--cluster.peer-timeout=5s", "--cluster.settle-timeout=3s", "--cluster.gossip-interval=50ms")
	c.managers = append(c.managers, m)
}

// start runs a program until the test ends; what it says is shown if the test fails.
func (c *chain) start(name, program string, args ...string) *exec.Cmd {
	c.t.Helper()
	cmd := exec.Command(tool(c.t, program), args...)
	cmd.Dir = c.dir
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if c.t.Failed() {
			c.t.Logf("%s said:\n%s", name, said.String())
		}
	})
	return cmd
}

func (c *chain) kill(i int) {
	if err := c.managers[i].cmd.Process.Kill(); err != nil {
		c.t.Fatal(err)
	}
	c.managers = slices.Delete(c.managers, i, i+1)
}

func (c *chain) write(name string, text []byte) {
	if err := os.WriteFile(filepath.Join(c.dir, name), text, 0o600); err != nil {
		c.t.Fatal(err)
	}
}

func freeAddress(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// hurriedRules are the shipped ones about causes and about netwatchd itself, each hold shortened. What looks back over hours
// is left out.
func hurriedRules(t *testing.T) []byte {
	f := shipped()
	f.Groups = f.Groups[:2]
	for _, g := range f.Groups {
		for i := range g.Rules {
			g.Rules[i].For /= hurry
			g.Rules[i].KeepFiringFor /= hurry
		}
	}
	var b bytes.Buffer
	if err := f.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// hurriedRoutes are the shipped ones, each wait shortened, without quiet hours, and to our receiver.
func hurriedRoutes(t *testing.T, receiver string) []byte {
	text, err := os.ReadFile(alertmanagerFile)
	if err != nil {
		t.Fatal(err)
	}
	var file map[string]any
	if err := yaml.Unmarshal(bytes.ReplaceAll(text, []byte("http://127.0.0.1:19500"), []byte(receiver)), &file); err != nil {
		t.Fatal(err)
	}
	hurryRoute(file["route"].(map[string]any))
	hurried, err := yaml.Marshal(file)
	if err != nil {
		t.Fatal(err)
	}
	return hurried
}

func hurryRoute(route map[string]any) {
	route["group_wait"], route["group_interval"], route["repeat_interval"] = "1s", "2s", "1h"
	delete(route, "active_time_intervals")
	children, _ := route["routes"].([]any)
	for _, child := range children {
		hurryRoute(child.(map[string]any))
	}
}

// show has the exporter say one verdict, and what else is found.
func (c *chain) show(verdict string, found ...string) {
	shown := map[string]string{}
	for _, cause := range []string{"healthy", "sandbox", "upstream"} {
		shown[fmt.Sprintf("netwatchd_verdict{service=\"codex\",cause=%q}", cause)] = bit(cause == verdict)
		shown[fmt.Sprintf("netwatchd_finding{service=\"codex\",cause=%q}", cause)] = bit(cause == verdict || slices.Contains(found, cause))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.shown, c.before = shown, len(c.told)
}

func bit(b bool) string {
	if b {
		return "1"
	}
	return "0"
}

func (c *chain) metrics(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; version=0.0.4")
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(c.shown)) {
		fmt.Fprintf(w, "%s %s\n", name, c.shown[name])
	}
}

// receive notes each alert of a message.
func (c *chain) receive(_ http.ResponseWriter, r *http.Request) {
	var message struct {
		Receiver string
		Alerts   []struct {
			Status string
			Labels map[string]string
		}
	}
	if err := json.NewDecoder(r.Body).Decode(&message); err != nil {
		c.t.Errorf("a message that is not JSON: %v", err)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, a := range message.Alerts {
		c.told = append(c.told, notice{message.Receiver, a.Status, a.Labels["alertname"]})
	}
}

func (c *chain) toldTo(receiver string) []notice {
	c.mu.Lock()
	defer c.mu.Unlock()
	var told []notice
	for _, n := range c.told {
		if n.receiver == receiver {
			told = append(told, n)
		}
	}
	return told
}

// awaitNotice waits until n has been told since what is shown last changed.
func (c *chain) awaitNotice(n notice) {
	c.t.Helper()
	c.await(fmt.Sprintf("%v", n), func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return slices.Contains(c.told[c.before:], n)
	})
}

// patience is for a machine that is busy with other tests: alone, nothing here takes longer than fifteen seconds.
const patience = time.Minute

func (c *chain) await(what string, happened func() bool) {
	c.t.Helper()
	for begun := time.Now(); !happened(); time.Sleep(100 * time.Millisecond) {
		if time.Since(begun) > patience {
			c.t.Fatalf("waited in vain for %s; the pager was told %v, the tickets %v", what, c.toldTo("pager"), c.toldTo("tickets"))
		}
	}
}

func (m *manager) ready() bool {
	var status struct{ Cluster struct{ Status string } }
	return get("http://"+m.address+"/api/v2/status", &status) && status.Cluster.Status == "ready"
}

// silenced reports whether an alert fires at every Alertmanager and each of them holds it back.
func (c *chain) silenced(alert string) bool {
	for _, m := range c.managers {
		var alerts []struct {
			Labels map[string]string
			Status struct{ InhibitedBy []string }
		}
		if !get("http://"+m.address+"/api/v2/alerts?filter=alertname="+alert, &alerts) || len(alerts) != 1 || len(alerts[0].Status.InhibitedBy) == 0 {
			return false
		}
	}
	return true
}

func get(url string, into any) bool {
	answer, err := http.Get(url)
	if err != nil {
		return false
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	return err == nil && json.Unmarshal(text, into) == nil
}
